//! The node: one agency's server.
//!
//! Handlers translate; the spine does the work: `validate -> authorise -> Permit -> open the log -> Opened -> session -> close the log -> result`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod actions;
mod agreement_service;
mod agreements;
mod alarm;
mod approvals;
pub mod config;
mod correspond;
mod counted;
mod dataset_service;
mod decisions;
mod dial;
mod differences;
mod error;
mod explain;
mod fault;
mod files;
mod findings;
mod guard;
mod hits_service;
mod identity;
mod ldv;
mod listen;
mod log_service;
mod node;
mod operator_service;
mod operator_stream;
mod orders;
mod peer_service;
mod picture_service;
mod pictures;
mod policy;
mod pool;
mod retention;
mod rules;
mod sent;
pub mod server;
mod session;
mod settle;
mod spine;
pub mod telemetry;
mod tiles;
mod tls;
mod trace;
mod witness;

/// Name and version of the software, as entries and [`server`] give it.
pub const SOFTWARE: &str = concat!("overlap/", env!("CARGO_PKG_VERSION"));
