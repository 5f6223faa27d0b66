//! Persons: what a record says of one, field by field, and the one spelling of it.
//!
//! No single field identifies a person and every field may be misspelt, so a person is compared by several match keys, each made
//! of a few [features](Feature). The [profile](crate::Profile) says which.

mod address;
mod birth;
mod feature;
mod names;
mod parts;
mod root;
mod script;
mod sound;

pub(crate) use address::STREET_WORDS;
pub(crate) use feature::{FIELDS, Feature, Field};
pub(crate) use names::{ARTICLES, FIRST_HALVES, NO_NAMES, PARTICLES, SECOND_HALVES, UNKNOWN_NAMES, tokens};
pub(crate) use parts::{Person, canonical, canonical_of_line};
pub use parts::{PersonParts, salvage_birth_date};
pub(crate) use root::NAMESAKES;
pub(crate) use sound::{SOUNDS, STARTS};
