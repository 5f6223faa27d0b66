//! Addresses of crypto-assets.

use sha2::{Digest, Sha256};
use sha3::Keccak256;
use zeroize::Zeroizing;

use super::text::ascii;
use crate::rejection::Rejection;

/// Words before a colon, in URIs (BIP 21, EIP-681) and out of them, and the currency that they mean.
const PREFIXES: &[(&str, Currency)] = &[
    ("bitcoin", Currency::Bitcoin),
    ("btc", Currency::Bitcoin),
    ("eth", Currency::Ethereum),
    ("ethereum", Currency::Ethereum),
    ("litecoin", Currency::Litecoin),
    ("ltc", Currency::Litecoin),
    ("monero", Currency::Monero),
    ("sol", Currency::Solana),
    ("solana", Currency::Solana),
    ("tron", Currency::Tron),
    ("trx", Currency::Tron),
    ("xmr", Currency::Monero),
];

/// The digits of Base58.
const ALPHABET: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Version bytes of Base58Check addresses.
const BITCOIN_VERSIONS: [u8; 2] = [0x00, 0x05];
const LITECOIN_VERSIONS: [u8; 2] = [0x30, 0x32];
const TRON_VERSION: u8 = 0x41;

#[derive(Clone, Copy)]
enum Currency {
    Bitcoin,
    Ethereum,
    Litecoin,
    Monero,
    Solana,
    Tron,
}

/// `bitcoin:1BoatSLRHtKNngkdXEeobR76b53LETtpyT?amount=1` -> `btc:1BoatSLRHtKNngkdXEeobR76b53LETtpyT`.
///
/// A currency in front of a colon decides, else the form of the address. Solana's addresses have no checksum and look like anything:
/// only `sol:` in front makes one. A chain that shares Ethereum's addresses shares `eth:`.
///
/// # Errors
///
/// - [`Rejection::WalletNotValid`]: no known form, a test network's included.
/// - [`Rejection::WalletChecksum`].
/// - [`Rejection::Placeholder`]: Ethereum's zero address, which everyone burns tokens at.
pub(crate) fn wallet(raw: &str) -> Result<Zeroizing<String>, Rejection> {
    let text = ascii(raw)?;
    let text = text.trim();
    let (currency, address) = match text.split_once(':') {
        Some((prefix, rest)) => {
            let known = PREFIXES
                .iter()
                .find(|(word, _)| word.eq_ignore_ascii_case(prefix.trim()));
            let (_, currency) = known.ok_or(Rejection::WalletNotValid)?;
            (
                *currency,
                rest.split(['?', '@'])
                    .next()
                    .unwrap_or(rest)
                    .trim()
                    .trim_start_matches('/'),
            )
        }
        None => (by_form(text).ok_or(Rejection::WalletNotValid)?, text),
    };
    if !address.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(Rejection::WalletNotValid);
    }
    match currency {
        Currency::Bitcoin => bitcoin_like("btc", "bc", address, |version| BITCOIN_VERSIONS.contains(&version)),
        Currency::Litecoin => litecoin(address),
        Currency::Ethereum => ethereum(address),
        Currency::Tron => {
            base58_check(address, |version| version == TRON_VERSION)?;
            Ok(named("tron", address))
        }
        Currency::Monero => monero(address),
        Currency::Solana => match decoded(address) {
            Some(key) if key.len() == 32 => Ok(named("sol", address)),
            _ => Err(Rejection::WalletNotValid),
        },
    }
}

fn by_form(address: &str) -> Option<Currency> {
    let is_segwit = |part: &str| {
        address
            .get(..part.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(part))
    };
    if is_segwit("bc1") {
        return Some(Currency::Bitcoin);
    }
    if is_segwit("ltc1") {
        return Some(Currency::Litecoin);
    }
    match (address.as_bytes().first()?, address.len()) {
        (b'0', 42) => Some(Currency::Ethereum),
        (b'1' | b'3', 25..=35) => Some(Currency::Bitcoin),
        (b'T', 34) => Some(Currency::Tron),
        (b'L' | b'M', 33..=35) => Some(Currency::Litecoin),
        (b'4' | b'8', 95 | 106) => Some(Currency::Monero),
        _ => None,
    }
}

fn named(currency: &str, address: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("{currency}:{address}"))
}

/// Base58Check, or a witness program in bech32 (BIP 173) or bech32m (BIP 350), whose case does not count.
fn bitcoin_like(
    currency: &str,
    network: &str,
    address: &str,
    is_version: impl Fn(u8) -> bool,
) -> Result<Zeroizing<String>, Rejection> {
    let separator = address.get(network.len()..=network.len());
    if separator != Some("1")
        || !address
            .get(..network.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(network))
    {
        base58_check(address, is_version)?;
        return Ok(named(currency, address));
    }
    // the crate knows bc and tb alone as networks, but decodes any
    bech32::segwit::decode(address).map_err(|_| Rejection::WalletChecksum)?;
    Ok(named(currency, &Zeroizing::new(address.to_ascii_lowercase())))
}

/// Script addresses were written with Bitcoin's version 5 once; they are the same as those that begin with M.
fn litecoin(address: &str) -> Result<Zeroizing<String>, Rejection> {
    let [_, script] = LITECOIN_VERSIONS;
    if !address.starts_with('3') {
        return bitcoin_like("ltc", "ltc", address, |version| LITECOIN_VERSIONS.contains(&version));
    }
    let mut payload = base58_check(address, |version| version == 5)?;
    if let Some(version) = payload.first_mut() {
        *version = script;
    }
    let checksum = double_sha256(&payload);
    payload.extend(checksum);
    Ok(named("ltc", &bs58::encode(&*payload).into_string()))
}

fn decoded(address: &str) -> Option<Zeroizing<Vec<u8>>> {
    // decoding is quadratic: nothing that is an address is longer
    (address.len() <= 64)
        .then(|| bs58::decode(address).into_vec().ok().map(Zeroizing::new))
        .flatten()
}

/// Version and hash of 20 bytes, without the checksum.
fn base58_check(address: &str, is_version: impl Fn(u8) -> bool) -> Result<Zeroizing<Vec<u8>>, Rejection> {
    let mut bytes = decoded(address).ok_or(Rejection::WalletNotValid)?;
    let Some((payload, checksum)) = bytes.split_at_checked(21).filter(|(_, checksum)| checksum.len() == 4) else {
        return Err(Rejection::WalletNotValid);
    };
    if double_sha256(payload) != checksum {
        return Err(Rejection::WalletChecksum);
    }
    if !payload.first().is_some_and(|version| is_version(*version)) {
        return Err(Rejection::WalletNotValid);
    }
    bytes.truncate(21);
    Ok(bytes)
}

fn double_sha256(payload: &[u8]) -> [u8; 4] {
    let hash: [u8; 32] = Sha256::digest(Sha256::digest(payload)).into();
    let [a, b, c, d, ..] = hash;
    [a, b, c, d]
}

/// Forty hexadecimal digits. Capitals among small letters are a checksum, EIP-55.
fn ethereum(address: &str) -> Result<Zeroizing<String>, Rejection> {
    let digits = address
        .strip_prefix("0x")
        .or_else(|| address.strip_prefix("0X"))
        .filter(|digits| digits.len() == 40 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
        .ok_or(Rejection::WalletNotValid)?;
    let lower = Zeroizing::new(digits.to_ascii_lowercase());
    if lower.bytes().all(|b| b == b'0') {
        return Err(Rejection::Placeholder);
    }
    let is_mixed = digits.bytes().any(|b| b.is_ascii_lowercase()) && digits.bytes().any(|b| b.is_ascii_uppercase());
    if is_mixed {
        let hash = Keccak256::digest(lower.as_bytes());
        let nibbles = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let fits =
            |(digit, nibble): (u8, u8)| !digit.is_ascii_alphabetic() || digit.is_ascii_uppercase() == (nibble > 7);
        if !digits.bytes().zip(nibbles).all(fits) {
            return Err(Rejection::WalletChecksum);
        }
    }
    Ok(Zeroizing::new(format!("eth:0x{}", *lower)))
}

/// Network bytes of Monero's main network: standard, integrated and sub-address.
const MONERO_NETWORKS: [u8; 3] = [18, 19, 42];

/// Bytes that so many Base58 characters write in Monero, which encodes blocks of 8 bytes as 11 characters.
const MONERO_BLOCKS: [(usize, usize); 3] = [(11, 8), (7, 5), (2, 1)];

/// 69 bytes, or 77 with a payment id; the last four are the Keccak-256 of the others.
fn monero(address: &str) -> Result<Zeroizing<String>, Rejection> {
    if !matches!(address.len(), 95 | 106) {
        return Err(Rejection::WalletNotValid);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(80));
    for block in address.as_bytes().chunks(11) {
        let (_, size) = MONERO_BLOCKS
            .iter()
            .find(|(characters, _)| *characters == block.len())
            .ok_or(Rejection::WalletNotValid)?;
        let mut value = 0_u128;
        for byte in block {
            let digit = ALPHABET.iter().position(|known| known == byte);
            value = value * 58 + digit.ok_or(Rejection::WalletNotValid)? as u128;
        }
        if value >> (8 * size) != 0 {
            return Err(Rejection::WalletNotValid);
        }
        bytes.extend(value.to_be_bytes().into_iter().skip(16 - size));
    }
    let (payload, checksum) = bytes
        .split_at_checked(bytes.len().saturating_sub(4))
        .ok_or(Rejection::WalletNotValid)?;
    if !Keccak256::digest(payload).starts_with(checksum) {
        return Err(Rejection::WalletChecksum);
    }
    if !payload.first().is_some_and(|network| MONERO_NETWORKS.contains(network)) {
        return Err(Rejection::WalletNotValid);
    }
    Ok(named("xmr", address))
}
