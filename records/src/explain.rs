//! How raw text became a canonical form, for the eyes of those whose text it is.

use std::fmt;

use zeroize::Zeroizing;

use crate::identifier::{Hints, Identifier, MAX_RAW};
use crate::kind::Kind;
use crate::normalise::{self, Mrz};
use crate::person::{salvage_birth_date, tokens};
use crate::rejection::Rejection;

/// What was done to a text, in order, and what came of it. It holds values: `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Only what really happened; empty where the text was canonical and has nothing to verify.
    pub steps: Vec<Step>,
    /// The identifier, or why there is none.
    pub outcome: Result<Identifier, Rejection>,
}

/// One thing that was done to a text.
#[derive(Clone, PartialEq, Eq)]
pub struct Step {
    /// What was done, in a few words, without the value.
    pub what: String,
    /// The text after it: personal data, in clear.
    pub text: Zeroizing<String>,
}

impl fmt::Debug for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explanation")
            .field("steps", &self.steps.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").finish_non_exhaustive()
    }
}

/// Normalises as [`Identifier::normalise`] does, and tells each step. Slower: for a person who looks at one value.
///
/// ```
/// use overlap_records::{Hints, Kind, explain};
///
/// let explanation = explain(Kind::Phone, "010-1234567 toestel 12", &Hints::default());
/// let told: Vec<_> = explanation.steps.iter().map(|step| (step.what.as_str(), step.text.as_str())).collect();
/// assert_eq!(told, [
///     ("extension dropped", "010-1234567"),
///     ("separators dropped", "0101234567"),
///     ("region NL gave the country code", "+31101234567"),
///     ("verified: a number of its country's numbering plan", "+31101234567"),
/// ]);
/// ```
#[must_use]
pub fn explain(kind: Kind, raw: &str, hints: &Hints) -> Explanation {
    let outcome = Identifier::normalise(kind, raw, hints);
    let mut story = Story {
        steps: Vec::new(),
        text: Zeroizing::new(String::new()),
    };
    // longer text is not looked at
    if raw.len() <= MAX_RAW {
        story.text.push_str(raw);
        story.cell(kind);
        match &outcome {
            Ok(identifier) if kind == Kind::Person => story.person(identifier.canonical()),
            Ok(identifier) => story.form(kind, identifier.canonical(), hints),
            Err(reason) if kind == Kind::Person && reason.is_date() => story.salvaged(hints),
            Err(_) => {}
        }
    }
    Explanation {
        steps: story.steps,
        outcome,
    }
}

struct Story {
    steps: Vec<Step>,
    text: Zeroizing<String>,
}

impl Story {
    /// Tells a step, if it changed anything.
    fn changed(&mut self, what: impl Into<String>, text: &str) {
        if *self.text != *text {
            self.text = Zeroizing::new(text.to_owned());
            self.told(what);
        }
    }

    fn told(&mut self, what: impl Into<String>) {
        self.steps.push(Step {
            what: what.into(),
            text: self.text.clone(),
        });
    }

    /// What is done to every kind's text, see `normalise/cell.rs`.
    fn cell(&mut self, kind: Kind) {
        if let Some(visible) = normalise::visible(&self.text) {
            self.changed("invisible characters dropped, blanks made plain", &visible);
        }
        let before = self.text.clone();
        self.changed("blanks around it dropped", before.trim());
        if let Ok(text) = normalise::cell(kind, &before) {
            self.changed("a spreadsheet's marks on numbers dropped", text);
        }
    }

    /// From the text as it is seen to the canonical form.
    fn form(&mut self, kind: Kind, canonical: &str, hints: &Hints) {
        let before = self.text.clone();
        match kind {
            Kind::Phone => self.phone(canonical, hints),
            Kind::Plate | Kind::Document | Kind::National | Kind::Company | Kind::Address => {
                self.with_country(kind, canonical, hints);
            }
            Kind::Bsn | Kind::Imei | Kind::Imsi => self.digits(),
            Kind::Handle if !before.contains([':', '/']) => {
                if let Some(platform) = hints.platform {
                    self.changed(
                        format!("the platform is {platform}, as set"),
                        &format!("{platform}:{}", *before),
                    );
                }
            }
            _ => {}
        }
        self.changed(last_change(kind, &self.text.clone(), canonical), canonical);
        if let Some(check) = verified(kind, &before, canonical) {
            self.told(format!("verified: {check}"));
        }
    }

    /// Names in ASCII letters, and then what stays of them.
    fn person(&mut self, canonical: &str) {
        let text = self.text.clone();
        if *text == canonical {
            return;
        }
        // two fields are a whole name and a birth date
        let names = if text.matches('|').count() == 1 { 1 } else { 2 };
        let mut written = Zeroizing::new(String::new());
        for name in text.split('|').take(names) {
            for token in tokens(name).unwrap_or_default() {
                if !written.is_empty() {
                    written.push(' ');
                }
                written.push_str(&token);
            }
        }
        let own = canonical.split('|').take(2);
        let kept = Zeroizing::new(own.filter(|name| !name.is_empty()).collect::<Vec<_>>().join(" "));
        if !written.is_empty() {
            self.changed("names in small ASCII letters, apart", &written);
        }
        let mut sorted: Vec<&str> = written.split(' ').collect();
        let mut left: Vec<&str> = kept.split(' ').collect();
        sorted.sort_unstable();
        left.sort_unstable();
        if sorted != left {
            self.changed("particles dropped, names of two halves joined", &kept);
        }
        self.changed(
            "fields in the profile's order: given names, family names, birth date, and what is known besides",
            canonical,
        );
    }

    /// What an import takes of a person whose birth date cannot be: this one value is rejected all the same.
    fn salvaged(&mut self, hints: &Hints) {
        let text = self.text.clone();
        let mut fields: Vec<&str> = text.split('|').collect();
        let at = if fields.len() == 2 { 1 } else { 2 };
        let Some(born) = fields.get_mut(at) else { return };
        let left = salvage_birth_date(born, hints.dates);
        *born = &left;
        if let Ok(person) = Identifier::normalise(Kind::Person, &Zeroizing::new(fields.join("|")), hints) {
            self.changed(
                "an import reports the date and takes the person without what is wrong in it",
                person.canonical(),
            );
        }
    }

    fn ascii(&mut self) {
        let text = self.text.clone();
        if let Ok(ascii) = normalise::ascii(&text) {
            let has_digits = text.chars().any(|c| c.is_numeric() && !c.is_ascii());
            let what = if has_digits {
                "digits of another script or width read as 0 to 9"
            } else {
                "written in ASCII"
            };
            self.changed(what, &ascii);
        }
    }

    fn digits(&mut self) {
        self.ascii();
        let digits = kept(&self.text, |c| c.is_ascii_digit());
        self.changed("digits alone", &digits);
    }

    fn phone(&mut self, canonical: &str, hints: &Hints) {
        self.ascii();
        let (number, has_code) = normalise::number_part(&self.text);
        let has_code = has_code || number.starts_with('+');
        let what = if self.text.to_ascii_lowercase().starts_with(&*number) {
            "extension dropped"
        } else {
            "link dropped"
        };
        self.changed(what, &number);
        let digits = kept(&self.text, |c| c.is_ascii_digit() || c == '+');
        self.changed("separators dropped", &digits);
        if !has_code && !digits.ends_with(canonical.trim_start_matches('+')) {
            self.changed(format!("region {} gave the country code", hints.region), canonical);
        }
    }

    fn with_country(&mut self, kind: Kind, canonical: &str, hints: &Hints) {
        let text = self.text.clone();
        let country = canonical.split(':').next().unwrap_or_default();
        if kind == Kind::Document && Mrz::is_like(&text) {
            self.changed("number and issuer taken from the machine-readable zone", canonical);
        } else if !text.contains(':') && country == hints.region.as_str() {
            self.changed(
                format!("the country is {}, as set", hints.region),
                &format!("{country}:{}", *text),
            );
        }
        if kind != Kind::Address && kind != Kind::National {
            let (head, number) = self
                .text
                .split_once(':')
                .map_or(("", self.text.as_str()), |(head, number)| (head, number));
            if let Ok(number) = normalise::alphanumeric(number) {
                let text = if head.is_empty() {
                    number.to_string()
                } else {
                    format!("{}:{}", head.trim(), *number)
                };
                self.changed("letters and digits alone, in capitals", &Zeroizing::new(text));
            }
        }
    }
}

fn kept(text: &str, is_kept: impl Fn(char) -> bool) -> Zeroizing<String> {
    let mut kept = Zeroizing::new(String::with_capacity(text.len()));
    kept.extend(text.chars().filter(|c| is_kept(*c)));
    kept
}

/// What the kind's own rules did last, when `text` became `canonical`.
fn last_change(kind: Kind, text: &str, canonical: &str) -> &'static str {
    match kind {
        Kind::Phone if canonical.starts_with("+84") => "renumbered as in 2018, or written as E.164",
        Kind::Phone => "written as E.164",
        Kind::Email if canonical.ends_with("@gmail.com") => {
            "in lower case, the address alone; Gmail's dots and tags do not count"
        }
        Kind::Email => "in lower case, the address alone",
        Kind::Iban => "label and separators dropped, in capitals",
        Kind::Vin => "letters and digits alone, in capitals",
        Kind::Document if text.strip_prefix(canonical).is_some_and(|rest| rest.len() == 1) => {
            "fitting check digit (ICAO 9303) dropped"
        }
        Kind::Plate | Kind::Document => "country written with two letters",
        Kind::Bsn => "leading zero put back",
        Kind::National | Kind::Company => "written as the country's register does",
        Kind::Handle => "platform and name alone, case folded",
        Kind::Url => "scheme, host and ends folded; fragment and tracking parameters dropped",
        Kind::Ip => "written as RFC 5952 has it",
        Kind::Imei => "what follows the fourteenth digit dropped",
        Kind::Imsi => "written without separators",
        Kind::Wallet => "currency and address alone",
        Kind::Address => "postcode, street where it counts, and number in capitals, without separators",
        Kind::Person => "brought into the profile's form",
    }
}

/// What was verified in a text that gave this canonical form; none where nothing is or could be.
fn verified(kind: Kind, text: &str, canonical: &str) -> Option<&'static str> {
    let number = canonical.split_once(':').map_or(canonical, |(_, number)| number);
    let country = canonical.get(..2).unwrap_or_default();
    match kind {
        Kind::Phone => Some("a number of its country's numbering plan"),
        Kind::Iban => Some("length and check digits (ISO 7064 mod 97-10)"),
        Kind::Bsn => Some("the eleven test"),
        Kind::Vin if canonical.starts_with(['1', '2', '3', '4', '5']) => Some("check digit (49 CFR 565)"),
        Kind::Document if Mrz::is_like(text) => Some("the check digits of the machine-readable zone (ICAO 9303)"),
        Kind::National if normalise::has_check_digits(country, number) => Some("the country's check digits"),
        Kind::Imei => {
            let digits = kept(&normalise::ascii(text).ok()?, |c| c.is_ascii_digit());
            (digits.len() == 15 && !digits.ends_with('0')).then_some("check digit (Luhn)")
        }
        Kind::Wallet if canonical.starts_with("eth:") => {
            let digits = text.rsplit(['x', 'X']).next()?.split(['@', '?']).next()?;
            let is_mixed =
                digits.contains(|c: char| c.is_ascii_lowercase()) && digits.contains(|c: char| c.is_ascii_uppercase());
            is_mixed.then_some("checksum (EIP-55)")
        }
        Kind::Wallet if !canonical.starts_with("sol:") => Some("checksum of the address"),
        Kind::Company if matches!(country, "BE" | "FR") || (country == "PL" && !number.starts_with("00")) => {
            Some("the register's check digits")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: Kind, raw: &str, hints: &Hints) -> Vec<String> {
        let explanation = explain(kind, raw, hints);
        assert!(!format!("{explanation:?}{:?}", explanation.steps).contains(raw));
        explanation
            .steps
            .iter()
            .map(|step| format!("{}: {}", step.what, *step.text))
            .collect()
    }

    #[test]
    fn each_step_that_happened() {
        let hints = Hints::default();
        for (kind, raw, expected) in [
            (
                Kind::Phone,
                "+31612345678",
                &["verified: a number of its country's numbering plan: +31612345678"][..],
            ),
            (
                Kind::Phone,
                "\u{200e}+٣١ ٦١٢٣٤٥٦٧٨",
                &[
                    "invisible characters dropped, blanks made plain: +٣١ ٦١٢٣٤٥٦٧٨",
                    "digits of another script or width read as 0 to 9: +31 612345678",
                    "separators dropped: +31612345678",
                    "verified: a number of its country's numbering plan: +31612345678",
                ],
            ),
            (
                Kind::Bsn,
                "'12345672",
                &[
                    "a spreadsheet's marks on numbers dropped: 12345672",
                    "leading zero put back: 012345672",
                    "verified: the eleven test: 012345672",
                ],
            ),
            (
                Kind::Document,
                "l 898902c36",
                &[
                    "the country is NL, as set: NL:l 898902c36",
                    "letters and digits alone, in capitals: NL:L898902C36",
                    "fitting check digit (ICAO 9303) dropped: NL:L898902C3",
                ],
            ),
            (Kind::Plate, "NL:12AB34", &[]),
            (Kind::Ip, "192.0.002.010", &["written as RFC 5952 has it: 192.0.2.10"]),
            (Kind::Phone, "=A1", &[]),
        ] {
            assert_eq!(told(kind, raw, &hints), expected, "{kind} {raw}");
        }
    }

    #[test]
    fn the_last_text_is_the_canonical_form() {
        for kind in Kind::ALL {
            let path = format!("{}/tests/cases/{kind}.tsv", env!("CARGO_MANIFEST_DIR"));
            for line in std::fs::read_to_string(path)
                .unwrap()
                .lines()
                .filter(|line| !line.starts_with('#'))
            {
                let raw = line.split('\t').next().unwrap();
                let explanation = explain(kind, raw, &Hints::default());
                assert_eq!(explanation.outcome, Identifier::normalise(kind, raw, &Hints::default()));
                if let (Ok(identifier), Some(step)) = (&explanation.outcome, explanation.steps.last()) {
                    assert_eq!(*step.text, identifier.canonical(), "{kind} {raw}");
                }
            }
        }
    }
}
