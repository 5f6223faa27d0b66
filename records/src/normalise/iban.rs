//! Bank accounts, ISO 13616.

use iban::{Iban, IbanLike, ParseBaseIbanError, ParseIbanError};
use zeroize::Zeroizing;

use super::text::ascii;
use crate::rejection::Rejection;

/// `IBAN: NL91-ABNA-0417-1643-00` -> `NL91ABNA0417164300`.
///
/// # Errors
///
/// - [`Rejection::IbanNotValid`]: length or characters do not fit the country.
/// - [`Rejection::IbanCheckDigits`]: ISO 7064 mod 97-10 fails.
/// - [`Rejection::IbanCountryUnknown`]: no such country in the registry.
/// - [`Rejection::SeveralValues`]: a list separator.
pub(crate) fn iban(raw: &str) -> Result<Zeroizing<String>, Rejection> {
    let mut text = ascii(raw)?;
    text.make_ascii_uppercase();
    let text = text.trim();
    let text = text
        .strip_prefix("IBAN")
        .unwrap_or(text)
        .trim_start_matches([':', '.', ' ']);
    if text.contains([',', ';', '|', '\n', '\r']) {
        return Err(Rejection::SeveralValues);
    }
    let mut compact = Zeroizing::new(text.to_owned());
    compact.retain(|c| !matches!(c, ' ' | '-' | '.' | '/' | '_' | '\t'));
    match compact.parse::<Iban>() {
        Ok(iban) => Ok(Zeroizing::new(iban.electronic_str().to_owned())),
        Err(ParseIbanError::InvalidBaseIban {
            source: ParseBaseIbanError::InvalidChecksum,
        }) => Err(Rejection::IbanCheckDigits),
        Err(ParseIbanError::UnknownCountry(_)) => Err(Rejection::IbanCountryUnknown),
        Err(_) => Err(Rejection::IbanNotValid),
    }
}
