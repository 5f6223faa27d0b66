//! Web addresses, WHATWG URL.

use std::borrow::Cow;

use url::{Host, Url};
use zeroize::Zeroizing;

use crate::rejection::Rejection;

/// Query parameters that say from where a reader came, not what is read; `utm_` and what starts with it besides.
pub(crate) const TRACKING: &[&str] = &[
    "_ga",
    "dclid",
    "fbclid",
    "gad_source",
    "gbraid",
    "gclid",
    "gclsrc",
    "igsh",
    "igshid",
    "mc_cid",
    "mc_eid",
    "mibextid",
    "msclkid",
    "ref_src",
    "ref_url",
    "ttclid",
    "twclid",
    "wbraid",
    "yclid",
];

/// Hosts of which `si` says who shared an address.
const SHARED: &[&str] = &["youtube.com", "youtu.be", "spotify.com"];

/// `HTTP://www.Example.NL:80/a/?utm_source=x&id=7#top` -> `https://example.nl/a?id=7`.
///
/// One scheme for both, host in lower case and ASCII (IDNA); `www.`, default ports, fragments, [`TRACKING`] parameters and slashes at the
/// end are dropped; fragments that start with `!` or `/` are pages and stay. Path and other parameters stay as they are: their case and order may count.
///
/// # Errors
///
/// - [`Rejection::UrlNotValid`]: no host name with a dot, or no address at all.
/// - [`Rejection::UrlScheme`]: neither http nor https.
/// - [`Rejection::UrlCredentials`]: a user name or password, which is somebody's secret.
/// - [`Rejection::SeveralValues`]: two addresses.
pub(crate) fn url(raw: &str) -> Result<Zeroizing<String>, Rejection> {
    if raw.contains(char::is_whitespace) {
        let is_list = raw.split_whitespace().filter(|word| word.contains('.')).count() > 1;
        return Err(if is_list {
            Rejection::SeveralValues
        } else {
            Rejection::UrlNotValid
        });
    }
    let url = Url::parse(&with_scheme(raw)).map_err(|_| Rejection::UrlNotValid)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Rejection::UrlScheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Rejection::UrlCredentials);
    }
    // before the scheme is folded, so that port 80 is http's and 443 https's
    let port = url.port().filter(|port| !matches!(port, 80 | 443));
    let host = match url.host() {
        Some(Host::Domain(name)) => Zeroizing::new(domain(name).ok_or(Rejection::UrlNotValid)?.to_owned()),
        // the URL Standard takes any number for an address: 33 for 0.0.0.33
        Some(Host::Ipv4(address)) if !raw.contains(&*Zeroizing::new(address.to_string())) => {
            return Err(Rejection::UrlNotValid);
        }
        Some(address) => Zeroizing::new(address.to_string()),
        None => return Err(Rejection::UrlNotValid),
    };
    let mut canonical = Zeroizing::new(format!("https://{}", *host));
    if let Some(port) = port {
        canonical.push_str(&format!(":{port}"));
    }
    canonical.push_str(url.path().trim_end_matches('/'));
    let mut mark = '?';
    for parameter in url
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|parameter| is_kept(parameter, &host))
    {
        canonical.push(mark);
        canonical.push_str(parameter);
        mark = '&';
    }
    if let Some(page) = url.fragment().filter(|fragment| fragment.starts_with(['!', '/'])) {
        canonical.push('#');
        canonical.push_str(page);
    }
    Ok(canonical)
}

/// `example.nl/a` and `example.nl:8080` are read as addresses too.
fn with_scheme(raw: &str) -> Cow<'_, str> {
    let is_port = |rest: &str| {
        let port = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
    };
    match raw.split_once(':') {
        Some((_, rest)) if rest.starts_with("//") => Cow::Borrowed(raw),
        Some((before, rest)) if !before.contains(['/', '?', '#', '[', '.']) && !is_port(rest) => Cow::Borrowed(raw),
        _ => Cow::Owned(format!("https://{raw}")),
    }
}

/// The name without `www.` and the root's dot; none unless it has a dot.
fn domain(name: &str) -> Option<&str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let bare = name
        .strip_prefix("www.")
        .filter(|rest| rest.contains('.'))
        .unwrap_or(name);
    let is_label = |label: &str| (1..=63).contains(&label.len());
    (bare.contains('.') && bare.split('.').all(is_label)).then_some(bare)
}

fn is_kept(parameter: &str, host: &str) -> bool {
    let name = parameter.split('=').next().unwrap_or(parameter);
    let is_shared = |known: &&str| {
        host.strip_suffix(*known)
            .is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
    };
    if name == "si" && SHARED.iter().any(is_shared) {
        return false;
    }
    !parameter.is_empty() && !name.starts_with("utm_") && !TRACKING.contains(&name)
}
