//! What people look at: the shared picture of several agencies, with small cells withheld, as tables, charts and exports.
//!
//! A [`Tally`] counts; [`Picture`] is what of it may be told, and everything else here is made from that alone: charts, exports,
//! comparisons and figures can tell no more than it does. [`action`] has the counters of live sessions.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod action;
mod chart;
mod check;
mod compare;
mod export;
mod figures;
mod picture;
mod tally;
mod withhold;

pub use chart::{agency_matrix, day, timeline, upset};
pub use check::NoPicture;
pub use compare::{Change, CompareError, compare};
pub use export::{ExportError, csv, graphml, i2, json, xlsx};
pub use figures::{Figures, FiguresError, figures};
pub use picture::{Agency, Combination, Dropped, Form, KindPicture, MonthCount, Picture, RoleCount, Shared};
pub use tally::{Month, Roles, Subject, Tally, TooManyCells};
