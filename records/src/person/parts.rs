//! The fields of a person and their canonical form: `given|family|birth|sex|postcode|house number|street|place`.

use zeroize::Zeroizing;

use super::address;
use super::birth::Birth;
use super::names::{NO_NAMES, Names, tokens};
use crate::date::DateOrder;
use crate::identifier::Hints;
use crate::rejection::Rejection;

/// What a record says of a person, field by field, as raw text; blank is not known.
#[derive(Clone, Copy, Default)]
pub struct PersonParts<'a> {
    /// The whole name, where the record has it in one field: `BERG, Jan v.d.`, `Jan van den Berg`.
    pub name: &'a str,
    /// Given names or initials.
    pub given: &'a str,
    /// Family name, with or without its particles.
    pub family: &'a str,
    /// Particles in a column of their own (Dutch: tussenvoegsels).
    pub particle: &'a str,
    /// Birth date in the order that the hints give; parts may be missing: `00-00-1985`, `1985`, `1985-02`.
    pub born: &'a str,
    /// Sex, as a word, a letter or the digit of ISO/IEC 5218; other words count as not known.
    pub sex: &'a str,
    /// Postcode of any country.
    pub postcode: &'a str,
    /// House number; its additions are not compared.
    pub house_number: &'a str,
    /// Street, with the house number where that has no field of its own.
    pub street: &'a str,
    /// Town or village.
    pub place: &'a str,
}

/// What of a birth date that was rejected may still be right, as a partial date: `1985-02-30` leaves `1985-02-00`.
///
/// Blank if nothing is left. An import that has reported the bad date can go on with this instead of losing the person.
#[must_use]
pub fn salvage_birth_date(raw: &str, order: DateOrder) -> Zeroizing<String> {
    Zeroizing::new(Birth::salvage(raw, order).to_string())
}

/// A canonical form, taken apart.
#[derive(Default)]
pub(crate) struct Person<'a> {
    pub(crate) given: Vec<&'a str>,
    pub(crate) family: Vec<&'a str>,
    pub(crate) birth: Birth,
    pub(crate) sex: &'a str,
    pub(crate) postcode: &'a str,
    pub(crate) house_number: &'a str,
    pub(crate) street: &'a str,
    pub(crate) place: &'a str,
}

impl<'a> Person<'a> {
    pub(crate) fn of(canonical: &'a str) -> Self {
        let mut fields = canonical.split('|');
        let mut next = || fields.next().unwrap_or_default();
        Self {
            given: next().split_whitespace().collect(),
            family: next().split_whitespace().collect(),
            birth: Birth::parse(next(), DateOrder::Ymd).unwrap_or_default(),
            sex: next(),
            postcode: next(),
            house_number: next(),
            street: next(),
            place: next(),
        }
    }
}

/// The fields in canonical form; trailing blank ones after the birth date are left out.
pub(crate) fn canonical(parts: &PersonParts<'_>, hints: &Hints) -> Result<Zeroizing<String>, Rejection> {
    let is_none = |text: &str| NO_NAMES.contains(&text.trim().to_lowercase().as_str());
    if [parts.name, parts.given, parts.family].into_iter().any(is_none) {
        return Err(Rejection::Placeholder);
    }
    let mut given = tokens(parts.given)?;
    let mut family = tokens(parts.family)?;
    if given.is_empty() && family.is_empty() {
        Names { given, family } = Names::whole(parts.name)?;
    } else if let Some((_, extra)) = parts.family.split_once(',').filter(|_| given.is_empty()) {
        given = tokens(extra)?;
        family = tokens(parts.family.split(',').next().unwrap_or_default())?;
    }
    let particle = tokens(parts.particle)?;
    let family = particle.into_iter().chain(family).collect();
    let Names { given, family } = Names::new(given, family)?;
    let (street, number_in_street) = address::words(parts.street)?;
    let house_number = address::house_number(parts.house_number)?;
    let fields = [
        joined(&given),
        joined(&family),
        Zeroizing::new(Birth::parse(parts.born, hints.dates)?.to_string()),
        Zeroizing::new(address::sex(parts.sex)?.to_owned()),
        address::postcode(parts.postcode)?,
        if house_number.is_empty() {
            number_in_street
        } else {
            house_number
        },
        street,
        address::words(parts.place)?.0,
    ];
    let known = fields.iter().rposition(|field| !field.is_empty()).unwrap_or(0).max(2);
    let mut text = Zeroizing::new(String::new());
    for (index, field) in fields.iter().take(known + 1).enumerate() {
        if index > 0 {
            text.push('|');
        }
        text.push_str(field);
    }
    Ok(text)
}

/// A person in one line: a canonical form, or `Jan van den Berg|1985-02-23`.
pub(crate) fn canonical_of_line(raw: &str, hints: &Hints) -> Result<Zeroizing<String>, Rejection> {
    let fields: Vec<&str> = raw.split('|').collect();
    let part = |index: usize| fields.get(index).copied().unwrap_or_default();
    let parts = match fields.len() {
        2 => PersonParts {
            name: part(0),
            born: part(1),
            ..PersonParts::default()
        },
        3..=8 => PersonParts {
            name: "",
            given: part(0),
            family: part(1),
            particle: "",
            born: part(2),
            sex: part(3),
            postcode: part(4),
            house_number: part(5),
            street: part(6),
            place: part(7),
        },
        _ => return Err(Rejection::PersonForm),
    };
    canonical(&parts, hints)
}

fn joined(tokens: &[Zeroizing<String>]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::new());
    for token in tokens {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(token);
    }
    text
}
