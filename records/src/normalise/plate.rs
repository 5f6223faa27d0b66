//! Vehicle registration marks.

use zeroize::Zeroizing;

use super::text::{alphanumeric, with_country};
use crate::region::Region;
use crate::rejection::Rejection;

/// `12-ab-34` in NL -> `NL:12AB34`; a text that starts with a country and a colon keeps its own country.
///
/// # Errors
///
/// - [`Rejection::PlateNotValid`]: fewer than 2 or more than 12 letters and digits.
/// - [`Rejection::CountryUnknown`]: what stands before a colon names no country.
/// - [`Rejection::Placeholder`], [`Rejection::SeveralValues`].
pub(crate) fn plate(raw: &str, region: Region) -> Result<Zeroizing<String>, Rejection> {
    let (region, mark) = with_country(raw, region)?;
    let mark = alphanumeric(mark)?;
    if !(2..=12).contains(&mark.len()) {
        return Err(Rejection::PlateNotValid);
    }
    Ok(Zeroizing::new(format!("{region}:{}", *mark)))
}
