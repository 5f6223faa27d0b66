//! Sets that look like an enumeration of a numbering range.

use std::{collections::VecDeque, path::Path};

use overlap_records::{Identifier, Kind, Visibility};
use ring::digest;

use super::{Dataset, Selection, decode_record};
use crate::{SealedSorter, StoreError};

/// `kind (1) ‖ range (7) ‖ number (8)`: numbers of a range stand together, in order.
pub type Numbered = [u8; 16];

pub(super) fn densest(
    dataset: &Dataset,
    selection: &Selection,
    window: u64,
    spill: &Path,
) -> Result<Option<(Kind, u64)>, StoreError> {
    let kinds: Vec<Kind> = selection.keys().map(|(_, key)| key.kind()).collect();
    let mut sorter = SealedSorter::<16>::new(spill);
    for row in dataset.version().record_rows()? {
        let record = decode_record(&row?.1)?;
        if record.visibility == Visibility::D {
            continue;
        }
        let wanted = record.identifiers.iter().filter(|one| kinds.contains(&one.kind()));
        let numbers: Vec<Numbered> = wanted.filter_map(numbered).collect();
        sorter.push(&numbers)?;
    }
    let mut sorted = sorter.finish()?;
    let (mut most, mut last): (Option<(Kind, u64)>, Option<Numbered>) = (None, None);
    let mut within: VecDeque<u64> = VecDeque::new();
    for value in sorted.iter()? {
        let value = value?;
        if last == Some(value) {
            continue;
        }
        let (range, number) = value.split_at(8);
        let number = u64::from_be_bytes(number.try_into().unwrap_or_default());
        if last.is_none_or(|last| &last[..8] != range) {
            within.clear();
        }
        while within.front().is_some_and(|first| number - first >= window) {
            within.pop_front();
        }
        within.push_back(number);
        let count = within.len() as u64;
        if most.is_none_or(|(_, most)| count > most)
            && let Some(kind) = Kind::ALL.get(usize::from(value[0]))
        {
            most = Some((*kind, count));
        }
        last = Some(value);
    }
    Ok(most)
}

/// An identifier as a number of a range: its last digits, up to nine, behind whatever stands before them. Kinds that nobody numbers have
/// none.
pub fn numbered(identifier: &Identifier) -> Option<Numbered> {
    let canonical = identifier.canonical();
    // check digits in front would tear a range apart
    let text = match identifier.kind() {
        Kind::Iban => format!("{}{}", canonical.get(..2)?, canonical.get(4..)?),
        Kind::Phone | Kind::Bsn | Kind::Document | Kind::Imei | Kind::Imsi | Kind::National | Kind::Company => {
            canonical.to_owned()
        }
        _ => return None,
    };
    let digits = text.bytes().rev().take(9).take_while(u8::is_ascii_digit).count();
    let (range, number) = text.split_at(text.len() - digits);
    let number: u64 = number.parse().ok()?;
    let hash = digest::digest(&digest::SHA256, range.as_bytes());
    let mut value = [0; 16];
    value[0] = u8::try_from(Kind::ALL.iter().position(|kind| *kind == identifier.kind())?).ok()?;
    value[1..8].copy_from_slice(&hash.as_ref()[..7]);
    value[8..].copy_from_slice(&number.to_be_bytes());
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_one_range_stand_together() {
        let of = |kind: Kind, text: &str| numbered(&Identifier::from_canonical(kind, text).unwrap()).unwrap();
        let (one, next) = (of(Kind::Phone, "+31612345678"), of(Kind::Phone, "+31612345679"));
        assert_eq!(one[..8], next[..8]);
        assert_eq!(
            u64::from_be_bytes(next[8..].try_into().unwrap()) - u64::from_be_bytes(one[8..].try_into().unwrap()),
            1
        );
        // the check digits of an account differ from number to number
        let (one, next) = (
            of(Kind::Iban, "NL91ABNA0417164300"),
            of(Kind::Iban, "NL20INGB0001234567"),
        );
        assert_ne!(one[..8], next[..8], "another bank");
        assert!(numbered(&Identifier::from_canonical(Kind::Email, "a1@example.org").unwrap()).is_none());
    }
}
