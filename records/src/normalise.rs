//! The rules of profile `eu-thb/1`, one file per kind: raw text in, canonical form out.

mod bsn;
mod document;
mod email;
mod iban;
mod person;
mod phone;
mod plate;
mod text;

pub use person::PersonNames;

pub(crate) use bsn::bsn;
pub(crate) use document::document;
pub(crate) use email::email;
pub(crate) use iban::iban;
pub(crate) use person::{PARTICLES, UNKNOWN_NAMES, person, person_line};
pub(crate) use phone::{VIETNAM_2018, phone};
pub(crate) use plate::plate;
pub(crate) use text::{FILLERS, ascii};
