//! E-mail addresses, RFC 5321 and 5322.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::rejection::Rejection;

/// Longest local part and domain, RFC 5321 section 4.5.3.1.
const MAX_LOCAL: usize = 64;
const MAX_ADDRESS: usize = 254;

/// `J.Doe+werk@GoogleMail.com` -> `jdoe@gmail.com`.
///
/// Case is folded in the local part too: RFC 5321 leaves it to the receiving host, and no provider in use tells `Jan` from `jan`.
/// Dots and `+tags` are folded for Gmail only, whose rules are known; elsewhere `a.b@` and `ab@` may be two people.
///
/// # Errors
///
/// - [`Rejection::EmailNotValid`]: no `name@domain.tld`, or quoted local parts and address literals.
/// - [`Rejection::EmailNotAscii`]: letters outside ASCII.
/// - [`Rejection::SeveralValues`]: two addresses.
pub(crate) fn email(raw: &str) -> Result<Zeroizing<String>, Rejection> {
    let text: Zeroizing<String> = Zeroizing::new(raw.trim().nfkc().collect());
    if !text.is_ascii() {
        return Err(Rejection::EmailNotAscii);
    }
    let lower = Zeroizing::new(text.to_ascii_lowercase());
    let address = bare(&lower);
    let (local, domain) = address.rsplit_once('@').ok_or(Rejection::EmailNotValid)?;
    if local.contains('@') {
        return Err(Rejection::SeveralValues);
    }
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if !is_local(local) || !is_domain(domain) || local.len() + 1 + domain.len() > MAX_ADDRESS {
        return Err(Rejection::EmailNotValid);
    }
    if !matches!(domain, "gmail.com" | "googlemail.com") {
        return Ok(Zeroizing::new(format!("{local}@{domain}")));
    }
    let untagged = local.split('+').next().unwrap_or(local);
    let mut folded = Zeroizing::new(untagged.replace('.', ""));
    if folded.is_empty() {
        return Err(Rejection::EmailNotValid);
    }
    folded.push_str("@gmail.com");
    Ok(folded)
}

/// Drops what mail programs put around an address: `mailto:`, a display name, angle brackets, a query.
fn bare(text: &str) -> &str {
    let text = match (text.rfind('<'), text.strip_suffix('>')) {
        (Some(open), Some(closed)) => closed.get(open + 1..).unwrap_or(closed),
        _ => text,
    };
    match text.strip_prefix("mailto:") {
        Some(link) => link.split('?').next().unwrap_or(link).trim(),
        None => text.trim(),
    }
}

/// Dot-atom, RFC 5322 section 3.2.3.
fn is_local(local: &str) -> bool {
    let is_atext = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    local.len() <= MAX_LOCAL
        && local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}

/// Two labels at least, the last one not a number: host names as in RFC 1123 section 2.1.
fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let top = domain.rsplit('.').next().unwrap_or(domain);
    domain.contains('.')
        && domain.split('.').all(is_label)
        && top.len() >= 2
        && !top.bytes().all(|b| b.is_ascii_digit())
}
