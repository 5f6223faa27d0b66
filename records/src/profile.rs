//! The rules that two nodes agree on before they compare anything.

use sha2::{Digest, Sha256};

use crate::kind::Kind;
use crate::normalise::{FILLERS, PARTICLES, UNKNOWN_NAMES, VIETNAM_2018};

/// A named set of normalisation rules and match keys.
///
/// Profiles are compiled in; reading them from TOML is the seam for rules that change without a new build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    name: &'static str,
    rules: &'static str,
}

/// Change this text with every change of a rule: it is what makes two builds with different rules refuse each other.
const EU_THB_1_RULES: &str = "\
phone: NFKC, ASCII; tel: and wa.me; extension and (0) dropped; valid by libphonenumber as in rlibphonenumber 2.2; VN renumbered 2018; E.164
email: NFKC, lower case; mailto: and display name dropped; ASCII dot-atom and host name; gmail dots, tags and googlemail folded
iban: NFKC, ASCII, upper case; label and separators dropped; ISO 13616 structure and check digits
plate: country:letters and digits; NFKC, upper case; Cyrillic and Greek by shape; 2 to 12
document: letters and digits; NFKC, upper case; Cyrillic and Greek by shape; ICAO 9303 check digit of 10 dropped; 5 to 24, one digit
bsn: digits; 8 padded to 9; not zero; eleven test
person: NFKC, any_ascii 0.3, lower case; apostrophes join, other non-letters split; particles dropped if two names remain; sorted|yyyy-mm-dd
keys: the canonical form, one per identifier
";

impl Profile {
    /// The first profile: exact numbers, and persons by sorted names and birth date.
    pub const EU_THB_1: Self = Self {
        name: "eu-thb/1",
        rules: EU_THB_1_RULES,
    };

    /// The profile of that name, if this build has it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::EU_THB_1].into_iter().find(|profile| profile.name == name)
    }

    /// Its name and version: `eu-thb/1`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The kinds that it has rules for.
    #[must_use]
    pub const fn kinds(&self) -> &'static [Kind] {
        &Kind::ALL
    }

    /// SHA-256 over the name, the description of the rules and the word lists they use: equal only where the rules are.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut sha = Sha256::new();
        let mut add = |text: &str| {
            // length first, so that no two sequences of texts run together
            sha.update((text.len() as u64).to_be_bytes());
            sha.update(text.as_bytes());
        };
        add(self.name);
        add(self.rules);
        for words in [FILLERS, PARTICLES, UNKNOWN_NAMES] {
            words.iter().for_each(|word| add(word));
            add("");
        }
        for (old, new) in VIETNAM_2018 {
            add(old);
            add(new);
        }
        sha.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_covers_name_and_rules() {
        let profile = Profile::EU_THB_1;
        assert_eq!(Profile::named("eu-thb/1"), Some(profile));
        assert_eq!(Profile::named("eu-thb/2"), None);
        assert_eq!(profile.hash(), profile.hash());
        assert_ne!(
            profile.hash(),
            Profile {
                name: "eu-thb/2",
                ..profile
            }
            .hash()
        );
        assert_ne!(
            profile.hash(),
            Profile {
                rules: "none",
                ..profile
            }
            .hash()
        );
    }

    #[test]
    fn every_kind_is_described() {
        for kind in Profile::EU_THB_1.kinds() {
            assert!(
                EU_THB_1_RULES.lines().any(|line| line.starts_with(&format!("{kind}:"))),
                "{kind}"
            );
        }
    }
}
