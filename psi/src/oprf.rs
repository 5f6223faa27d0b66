//! RFC 9497 `OPRF(ristretto255, SHA-512)`, mode OPRF (0x00).
//!
//! The protocols of this crate use [`hash_to_group`]; [`blind`], [`blind_evaluate`] and [`finalize`] complete the RFC's protocol,
//! so that its published vectors cover the whole of it.

use curve25519_dalek::{ristretto::RistrettoPoint, scalar::Scalar};
use sha2::{Digest, Sha512};

use crate::{ApiMisuse, Element, Key};

/// `"HashToGroup-" || contextString`, with contextString = `"OPRFV1-" || I2OSP(0, 1) || "-" || identifier` (RFC 9497 section 3.1, 4.1).
const HASH_TO_GROUP_DST: &[u8] = b"HashToGroup-OPRFV1-\x00-ristretto255-SHA512";
/// SHA-512's block size in bytes, `s_in_bytes` of RFC 9380 section 5.3.1.
const S_IN_BYTES: usize = 128;

/// RFC 9497 section 4.1 `HashToGroup`: expand_message_xmd to 64 uniform bytes, then the ristretto255 element derivation.
pub fn hash_to_group(input: &[u8]) -> Element {
    let uniform = expand_message_xmd_64(input, HASH_TO_GROUP_DST);
    Element::new_unchecked(RistrettoPoint::from_uniform_bytes(&uniform))
}

/// RFC 9497 section 3.3.1 `Blind`, with the blind given.
pub fn blind(input: &[u8], blind: &Key) -> Element {
    blind.multiply(&hash_to_group(input))
}

/// RFC 9497 section 3.3.1 `BlindEvaluate`.
pub fn blind_evaluate(key: &Key, blinded: &Element) -> Element {
    key.multiply(blinded)
}

/// RFC 9497 section 3.3.1 `Finalize`: unblinds, then hashes with the input.
///
/// # Errors
/// [`ApiMisuse::TooLarge`] for an input over 2^16 - 1 bytes, as the RFC has it.
pub fn finalize(input: &[u8], blind: &Key, evaluated: &Element) -> Result<[u8; 64], ApiMisuse> {
    let max = u16::MAX;
    let too_large = |_| ApiMisuse::TooLarge {
        size: input.len() as u64,
        max: max.into(),
    };
    let length = u16::try_from(input.len()).map_err(too_large)?;
    let unblinded = blind.inverse().multiply(evaluated).encode();
    let mut hash = Sha512::new();
    hash.update(length.to_be_bytes());
    hash.update(input);
    hash.update((unblinded.len() as u16).to_be_bytes());
    hash.update(unblinded);
    hash.update(b"Finalize");
    Ok(hash.finalize().into())
}

/// A key from its canonical 32 bytes, for test vectors.
#[doc(hidden)]
pub fn key_from_bytes(bytes: [u8; 32]) -> Option<Key> {
    Option::<Scalar>::from(Scalar::from_canonical_bytes(bytes)).map(|scalar| Key::from_scalar(&scalar))
}

/// RFC 9380 section 5.3.1 `expand_message_xmd` with SHA-512 for `len_in_bytes = 64`, which is one block: `ell = 1`.
pub(crate) fn expand_message_xmd_64(msg: &[u8], dst: &[u8]) -> [u8; 64] {
    let dst_prime_len = [dst.len() as u8];
    let b_0 = Sha512::new()
        .chain_update([0; S_IN_BYTES])
        .chain_update(msg)
        .chain_update(64u16.to_be_bytes())
        .chain_update([0])
        .chain_update(dst)
        .chain_update(dst_prime_len)
        .finalize();
    Sha512::new()
        .chain_update(b_0)
        .chain_update([1])
        .chain_update(dst)
        .chain_update(dst_prime_len)
        .finalize()
        .into()
}
