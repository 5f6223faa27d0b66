//! What a holder's labels say: by which of its records an item is held, under handles that mean nothing outside the session.

use std::fmt;

use overlap_psi::dh::Label;
use overlap_records::Kind;
use overlap_store::Element;
use ring::hmac;

/// Most records that a label can name; of an item that more hold, those with the lowest numbers.
pub(crate) const MOST: usize = 4;

/// A record of the holder, within one session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Handle(pub(crate) [u8; 8]);

/// Makes handles, under a secret of one session: no two sessions have a handle in common.
pub(crate) struct Handles(hmac::Key);

impl Handles {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The label of an item: of a person's, the records that hold it; of others nothing, since nothing is made of it.
    pub(crate) fn label(&self, element: &Element) -> Label {
        match element.kind {
            Kind::Person => self.of(&element.records),
            _ => Label::default(),
        }
    }

    fn of(&self, records: &[u32]) -> Label {
        let mut label = Label::default();
        let places = label.as_chunks_mut::<8>().0;
        for (place, record) in places.iter_mut().zip(records.iter().take(MOST)) {
            let tag = hmac::sign(&self.0, &record.to_be_bytes());
            place.copy_from_slice(&tag.as_ref()[..8]);
        }
        // in an order of their own: the records' would tell which came first
        places.sort_unstable();
        label
    }
}

/// The handles in a label. One that the holder filled at random names records that no other label names: nothing comes of it.
pub(crate) fn handles(label: &Label) -> impl Iterator<Item = Handle> {
    let places = label.as_chunks::<8>().0.iter().copied();
    places.filter(|place| *place != [0; 8]).map(Handle)
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_names_records_by_session() {
        let (one, other) = (Handles::new(&[1; 32]), Handles::new(&[2; 32]));
        let named: Vec<_> = handles(&one.of(&[7, 9])).collect();
        assert_eq!(named.len(), 2);
        assert!(handles(&one.of(&[9])).all(|handle| named.contains(&handle)));
        assert!(named.is_sorted());
        assert!(handles(&other.of(&[7, 9])).all(|handle| !named.contains(&handle)));
        assert_eq!(handles(&one.of(&[1, 2, 3, 4, 5, 6])).count(), MOST);
        assert_eq!(handles(&one.of(&[])).count(), 0);
    }
}
