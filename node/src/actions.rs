//! Actions: live matching sessions. What is planned and who takes part is in `known`; what runs, in `live`.

mod alerts;
mod answered;
mod asked;
mod attend;
mod attended;
mod catch_up;
mod check;
mod claim;
mod connection;
mod figures;
mod guard;
mod handle;
mod hold;
mod known;
mod live;
mod manage;
mod peer_service;
mod recent;
mod remembered;
mod service;
mod spread;
mod table;

pub(crate) use handle::disclosed;
pub(crate) use known::{Actions, Joined, Known};
pub(crate) use live::{follow_data, keep_all, run};
pub(crate) use peer_service::PeerActions;
pub(crate) use service::OwnActions;
pub(crate) use spread::run as spread;
