//! What files and spreadsheets do to a value before any kind's own rules.

use zeroize::Zeroizing;

use crate::kind::Kind;
use crate::rejection::Rejection;

/// The text that a reader sees: without invisible characters, and with plain blanks. `None` where that changes nothing.
pub(crate) fn visible(raw: &str) -> Option<Zeroizing<String>> {
    if raw.is_ascii() || !raw.chars().any(|c| is_hidden(c) || is_odd_blank(c)) {
        return None;
    }
    let mut text = Zeroizing::new(String::with_capacity(raw.len()));
    for c in raw.chars().filter(|c| !is_hidden(*c)) {
        text.push(match c {
            '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
            c if is_odd_blank(c) => ' ',
            c => c,
        });
    }
    Some(text)
}

/// The cell without blanks around it, and without the marks that a spreadsheet puts on numbers.
///
/// # Errors
///
/// - [`Rejection::Empty`]: nothing to see.
/// - [`Rejection::Formula`]: `=HYPERLINK(...)`, `+SUM(...)`.
/// - [`Rejection::CellDate`]: `12-mrt`, `Mar-26`, `2026-03-12`, which a spreadsheet made of a plate or a number.
/// - [`Rejection::ScientificNotation`]: `6.12E+08`; the digits that are gone cannot be guessed.
pub(crate) fn cell(kind: Kind, text: &str) -> Result<&str, Rejection> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Rejection::Empty);
    }
    if is_formula(text) {
        return Err(Rejection::Formula);
    }
    if !is_number(kind) {
        return Ok(text);
    }
    if is_made_date(text) {
        return Err(Rejection::CellDate);
    }
    // '0612345678 is how one tells a spreadsheet that a number is text
    let text = text.strip_prefix('\'').unwrap_or(text);
    if is_scientific(text) {
        return Err(Rejection::ScientificNotation);
    }
    Ok(whole(text))
}

/// A whole number without its decimals: a column of numbers with an empty cell comes out of many programs as 612345678.0.
pub(crate) fn whole(text: &str) -> &str {
    match text.split_once('.') {
        Some((whole, zeros))
            if !whole.is_empty()
                && whole.bytes().all(|b| b.is_ascii_digit())
                && !zeros.is_empty()
                && zeros.bytes().all(|b| b == b'0') =>
        {
            whole
        }
        _ => text,
    }
}

/// Kinds that a spreadsheet can take for a number.
fn is_number(kind: Kind) -> bool {
    match kind {
        Kind::Phone | Kind::Iban | Kind::Plate | Kind::Vin | Kind::Document | Kind::Bsn | Kind::National => true,
        Kind::Imei | Kind::Imsi | Kind::Company => true,
        Kind::Email | Kind::Handle | Kind::Url | Kind::Ip | Kind::Wallet | Kind::Address | Kind::Person => false,
    }
}

/// `="0612345678"`, which is how exports keep a spreadsheet from making a number of text, is that text.
pub(crate) fn unquoted(text: &str) -> &str {
    let inner = text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"'));
    inner.filter(|inner| !inner.contains('"')).unwrap_or(text)
}

/// What a spreadsheet shows where a formula failed: `#N/A`, `#REF!`, `#WAARDE!`, `#NOM?`.
pub(crate) fn is_error(text: &str) -> bool {
    let Some(name) = text.strip_prefix('#') else {
        return false;
    };
    let is_name = |name: &str| {
        let letters = |c: char| c.is_uppercase() || matches!(c, '/' | '0');
        !name.is_empty() && name.chars().all(letters)
    };
    matches!(name, "N/A" | "N/B" | "NV" | "NA") || name.strip_suffix(['!', '?']).is_some_and(is_name)
}

/// `=` begins a formula always; `+`, `-` and `@` begin values too, but none with a call or a reference to a sheet.
pub(crate) fn is_formula(text: &str) -> bool {
    let mut characters = text.chars();
    match characters.next() {
        Some('=') => true,
        Some('+' | '-' | '@') => {
            let is_call = characters.next().is_some_and(|c| c.is_ascii_alphabetic()) && text.contains('(');
            is_call || text.contains('!')
        }
        _ => false,
    }
}

/// What spreadsheets show where they took something for a date: a day with a month's name, or all three parts in numbers.
fn is_made_date(text: &str) -> bool {
    const MONTHS: [&str; 20] = [
        "jan", "feb", "mrt", "mar", "apr", "mei", "may", "mai", "jun", "jul", "aug", "sep", "sept", "okt", "oct",
        "nov", "dec", "dez", "juni", "juli",
    ];
    // the longest is 31-sept-2026
    if !(5..=12).contains(&text.len()) || !text.is_ascii() {
        return false;
    }
    let parts: Vec<&str> = text.split(['-', '/', ' ']).collect();
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| -> Option<u32> {
        let fits = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| text.parse().ok()).flatten()
    };
    let day = |text: &str| number(text, 1..=2).is_some_and(|day| (1..=31).contains(&day));
    let month = |text: &str| number(text, 1..=2).is_some_and(|month| (1..=12).contains(&month));
    let year = |text: &str| number(text, 4..=4).is_some_and(|year| (1900..2100).contains(&year));
    let named = |text: &str| MONTHS.contains(&text.to_ascii_lowercase().as_str());
    // a plate in capitals may begin with such letters
    let shown = |text: &str| named(text) && text.bytes().any(|byte| byte.is_ascii_lowercase());
    match parts.as_slice() {
        [a, b] => (day(a) && named(b)) || (shown(a) && (year(b) || number(b, 2..=2).is_some())),
        [a, b, c] if named(b) => day(a) && (year(c) || number(c, 2..=2).is_some()),
        [a, b, c] => (year(a) && month(b) && day(c)) || (year(c) && ((day(a) && month(b)) || (month(a) && day(b)))),
        _ => false,
    }
}

/// One digit, decimals, `E+` and the exponent.
fn is_scientific(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['E', 'e']) else {
        return false;
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, decimals) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, "0"));
    whole.len() == 1 && is_digits(whole) && is_digits(decimals) && exponent.strip_prefix('+').is_some_and(is_digits)
}

fn is_odd_blank(c: char) -> bool {
    c.is_whitespace() && !c.is_ascii()
}

/// Characters without width or ink: they come along when text is copied, and make equal values differ.
pub(crate) fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
        | '\u{200b}'..='\u{200f}'   // zero-width blanks and joiners, marks of direction
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{fe00}'..='\u{fe0f}')
}
