//! Encryption at rest: AES-256-GCM under subkeys of the node's data key, and HMAC tags for lookups.

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf, hmac,
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    StoreError,
    keys::{Cf, KIND_TAG, TAG},
};

/// The node's data key, 32 bytes; everything at rest depends on it. Wiped when dropped, prints nothing.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct DataKey([u8; 32]);

/// The text is not a data key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a data key is 64 hexadecimal digits; make one with `overlap pki data-key`")]
pub struct BadKey;

/// The key of one dataset version's data, random; erased with its description. Wiped when dropped, prints nothing.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub(crate) struct VersionKey([u8; 32]);

impl VersionKey {
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The keys of an open store.
pub(crate) struct Keys {
    tags: hmac::Key,
    datasets: Sealer,
    log: Sealer,
    hits: Sealer,
    documents: Sealer,
    random: SystemRandom,
}

/// Seals the values of one column family; a value opens only under the key that it was stored at.
pub(crate) struct Sealer {
    key: LessSafeKey,
    random: SystemRandom,
}

impl DataKey {
    /// Reads 64 hexadecimal digits; white space around them is skipped.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn from_hex(text: &str) -> Result<Self, BadKey> {
        let digits = text.trim().as_bytes();
        let mut key = Self([0; 32]);
        if digits.len() != 2 * key.0.len() {
            return Err(BadKey);
        }
        for (byte, pair) in key.0.iter_mut().zip(digits.chunks_exact(2)) {
            let high = (pair[0] as char).to_digit(16).ok_or(BadKey)?;
            let low = (pair[1] as char).to_digit(16).ok_or(BadKey)?;
            *byte = (high << 4 | low) as u8;
        }
        Ok(key)
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey(..)")
    }
}

impl Keys {
    pub(crate) fn derive(data_key: &DataKey) -> Result<Self, StoreError> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"overlap/store/v1").extract(&data_key.0);
        let subkey = |name: &str| -> Result<Zeroizing<[u8; 32]>, StoreError> {
            let mut bytes = Zeroizing::new([0; 32]);
            root.expand(&[name.as_bytes()], hkdf::HKDF_SHA256)
                .and_then(|okm| okm.fill(&mut *bytes))
                .map_err(|_| StoreError::Crypto)?;
            Ok(bytes)
        };
        Ok(Self {
            tags: hmac::Key::new(hmac::HMAC_SHA256, &*subkey("tags")?),
            datasets: Sealer::new(&*subkey("datasets")?)?,
            log: Sealer::new(&*subkey("log")?)?,
            hits: Sealer::new(&*subkey("hits")?)?,
            documents: Sealer::new(&*subkey("documents")?)?,
            random: SystemRandom::new(),
        })
    }

    /// HMAC-SHA256 over a domain and a value, cut to 16 bytes.
    pub(crate) fn tag(&self, domain: &[u8], value: &[u8]) -> [u8; TAG] {
        let mut context = hmac::Context::with_key(&self.tags);
        context.update(&(domain.len() as u64).to_be_bytes());
        context.update(domain);
        context.update(value);
        let mut tag = [0; TAG];
        tag.copy_from_slice(&context.sign().as_ref()[..TAG]);
        tag
    }

    /// The tag of a kind within a version: a disk does not tell which kinds there are.
    pub(crate) fn kind_tag(&self, version: u64, kind: &str) -> [u8; KIND_TAG] {
        let tag = self.tag(&[b"kind", &version.to_be_bytes()[..]].concat(), kind.as_bytes());
        let mut short = [0; KIND_TAG];
        short.copy_from_slice(&tag[..KIND_TAG]);
        short
    }

    pub(crate) fn datasets(&self) -> &Sealer {
        &self.datasets
    }

    pub(crate) fn log(&self) -> &Sealer {
        &self.log
    }

    pub(crate) fn hits(&self) -> &Sealer {
        &self.hits
    }

    pub(crate) fn documents(&self) -> &Sealer {
        &self.documents
    }

    pub(crate) fn random_key(&self) -> Result<VersionKey, StoreError> {
        let mut key = VersionKey([0; 32]);
        self.random.fill(&mut key.0).map_err(|_| StoreError::Crypto)?;
        Ok(key)
    }
}

impl Sealer {
    pub(crate) fn new(key: &[u8; 32]) -> Result<Self, StoreError> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| StoreError::Crypto)?;
        Ok(Self {
            key: LessSafeKey::new(key),
            random: SystemRandom::new(),
        })
    }

    /// `nonce ‖ ciphertext ‖ tag`. Nonces are random: at most 2^32 values per key (NIST SP 800-38D section 8.3), which a dataset
    /// version cannot reach by its record and identifier limits, nor a log in its lifetime.
    pub(crate) fn seal(&self, cf: Cf, at: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| StoreError::Crypto)?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, aad(cf, at), &mut sealed[NONCE_LEN..])
            .map_err(|_| StoreError::Crypto)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    pub(crate) fn open(&self, cf: Cf, at: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        const DAMAGED: StoreError = StoreError::Damaged("a sealed value does not open");
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(DAMAGED)?;
        let mut plain = Zeroizing::new(rest.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self
            .key
            .open_in_place(nonce, aad(cf, at), &mut plain)
            .map_err(|_| DAMAGED)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}

fn aad(cf: Cf, at: &[u8]) -> Aad<Vec<u8>> {
    Aad::from([cf.name().as_bytes(), b"/", at].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_opens_only_where_it_was_stored() {
        let sealer = Sealer::new(&[1; 32]).unwrap();
        let sealed = sealer.seal(Cf::Log, b"a", b"value").unwrap();
        assert_eq!(&**sealer.open(Cf::Log, b"a", &sealed).unwrap(), b"value");
        assert!(sealer.open(Cf::Log, b"b", &sealed).is_err());
        assert!(sealer.open(Cf::Items, b"a", &sealed).is_err());
        assert!(Sealer::new(&[2; 32]).unwrap().open(Cf::Log, b"a", &sealed).is_err());
        for cut in 0..sealed.len() {
            assert!(sealer.open(Cf::Log, b"a", &sealed[..cut]).is_err());
        }
    }

    #[test]
    fn data_keys_are_64_digits() {
        assert!(DataKey::from_hex(&"0a".repeat(32)).is_ok());
        assert!(DataKey::from_hex(&format!("{}\n", "0A".repeat(32))).is_ok());
        for bad in ["", "0a", &"0g".repeat(32), &"0a".repeat(33), &"é".repeat(32)] {
            assert_eq!(DataKey::from_hex(bad).unwrap_err(), BadKey);
        }
    }
}
