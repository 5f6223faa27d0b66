//! The items of one identifier, to be held against what a match or a check found.

use overlap_records::{Identifier, MatchKey};

use super::{Dataset, Link, Place, Selection, item_of, item_tag};
use crate::keys::TAG;

/// The items of one identifier.
pub struct ItemTags(Vec<(u16, [u8; TAG])>);

impl ItemTags {
    /// Whether the item at a place is one of them.
    pub fn hold(&self, place: &Place) -> bool {
        self.0.contains(&(place.key, place.tag))
    }

    /// Whether the item of a link is one of them.
    pub fn has(&self, link: &Link) -> bool {
        let [high, low, tag @ ..] = *link;
        self.0.contains(&(u16::from_be_bytes([high, low]), tag))
    }
}

impl Dataset {
    /// The items of an identifier, to be held against places.
    pub fn items_of(&self, selection: &Selection, identifier: &Identifier) -> ItemTags {
        let keys = identifier.match_keys(&selection.profile).into_iter();
        let tag = |key: &MatchKey| Some(item_tag(&self.version.inner, &item_of(&selection.profile, key).ok()?));
        ItemTags(keys.filter_map(|key| Some((key.key(), tag(&key)?))).collect())
    }
}
