//! What tells sets from each other.

use overlap_audit::Digest;
use ring::digest;

use super::{Dataset, Selection};
use crate::StoreError;

impl Dataset {
    /// What tells the set that is selected from others: equal for equal sets of one store.
    pub fn digest(&self, selection: &Selection) -> Digest {
        let mut hash = digest::Context::new(&digest::SHA256);
        for (_, key) in selection.keys() {
            if let Some(info) = self.info().keys.get(key.name()) {
                hash.update(key.name().as_bytes());
                hash.update(&info.digest.0);
            }
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(hash.finish().as_ref());
        Digest(digest)
    }

    /// The least of the tags of its items, ascending, `most` of them: equal for equal items in every version.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn sample(&self, selection: &Selection, most: usize) -> Result<Vec<u64>, StoreError> {
        let mut tags = Vec::new();
        for (_, key) in selection.keys() {
            // they come in the order of their tags
            for group in self.version.groups(key, selection.classes).take(most) {
                let [a, b, c, d, e, f, g, h, ..] = group?.tag;
                tags.push(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
            }
        }
        tags.sort_unstable();
        tags.truncate(most);
        Ok(tags)
    }
}
