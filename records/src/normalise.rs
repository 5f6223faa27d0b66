//! The rules of profile `eu-thb/1`, one file per numbered kind: raw text in, canonical form out.

mod address;
mod bsn;
mod cell;
mod check;
mod company;
mod device;
mod document;
mod email;
mod handle;
mod iban;
mod ip;
mod mrz;
mod national;
mod phone;
mod plate;
mod text;
mod url;
mod vin;
mod wallet;

pub use address::AddressParts;
pub use mrz::Mrz;

use crate::person::{ARTICLES, FIRST_HALVES, NO_NAMES, PARTICLES, SECOND_HALVES, STREET_WORDS, UNKNOWN_NAMES};

pub(crate) use address::{address, address_line};
pub(crate) use bsn::bsn;
pub(crate) use cell::{cell, is_error, is_formula, is_hidden, unquoted, visible};
pub(crate) use company::company;
pub(crate) use device::{imei, imsi};
pub(crate) use document::document;
pub(crate) use email::email;
pub(crate) use handle::handle;
pub(crate) use iban::iban;
pub(crate) use ip::ip;
pub(crate) use national::{has_check_digits, national};
pub(crate) use phone::{VIETNAM_2018, number_part, phone};
pub(crate) use plate::plate;
use text::FILLERS;
pub(crate) use text::{alphanumeric, ascii};
pub(crate) use url::url;
pub(crate) use vin::vin;
pub(crate) use wallet::wallet;

/// Word lists that decide what a text becomes: part of what two nodes agree on.
pub(crate) const WORD_LISTS: &[&[&str]] = &[
    FILLERS,
    PARTICLES,
    ARTICLES,
    FIRST_HALVES,
    SECOND_HALVES,
    UNKNOWN_NAMES,
    NO_NAMES,
    STREET_WORDS,
    device::SHARED_IMEIS,
    handle::RESERVED,
    url::TRACKING,
];
