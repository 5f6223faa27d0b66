//! The profile file: what it says, and what is refused.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use overlap_records::{Kind, Profile, ProfileError};

const SHIPPED: &str = include_str!("../profiles/eu-thb-1.toml");

fn error(toml: &str) -> String {
    Profile::parse(toml).unwrap_err().to_string()
}

#[test]
fn the_shipped_profile() {
    let profile = Profile::eu_thb_1();
    assert_eq!(profile.name(), "eu-thb/1");
    assert_eq!(profile.kinds(), Kind::ALL);
    let names: BTreeSet<_> = profile.keys().iter().map(|key| key.name()).collect();
    assert_eq!(names.len(), profile.keys().len());
    for kind in Kind::ALL {
        let counted = profile
            .keys()
            .iter()
            .filter(|key| key.kind() == kind && key.counts())
            .count();
        assert_eq!(counted, 1, "{kind}");
    }
    assert!(profile.keys().iter().all(|key| !key.description().is_empty()));
}

#[test]
fn the_hash_is_over_content_not_spelling() {
    let hash = |toml: &str| Profile::parse(toml).unwrap().hash();
    let spelt = SHIPPED
        .replace(" = ", "   =   ")
        .replace("[kinds]", "# a remark\n[kinds]");
    assert_eq!(hash(&spelt), hash(SHIPPED));
    let mut hashes = BTreeSet::from([hash(SHIPPED)]);
    let changes = [
        ("eu-thb/1", "eu-thb/2"),
        ("common = ", "common = 1"),
        ("phone = \"e164/1\"\n", ""),
        ("threshold = ", "threshold = 1"),
        ("base = -", "base = "),
        ("shared = -", "shared = "),
        ("address = -", "address = 0.5 #"),
        ("    \"pair+born.y\",\n", ""),
        ("\"names+born\"", "\"born+names\""),
        ("\"born.sorted\" = ", "\"born.sorted\" = -"),
        ("[person.differ]\ngiven = -", "[person.differ]\ngiven = "),
        ("[person.excuse]\ngiven = ", "[person.excuse]\ngiven = 1"),
    ];
    for (from, to) in changes {
        let changed = SHIPPED.replace(from, to);
        assert_ne!(changed, SHIPPED, "{from}");
        assert!(hashes.insert(hash(&changed)), "{from} -> {to} does not change the hash");
    }
}

#[test]
fn unknown_words_are_named_with_the_known_ones() {
    let cases = [
        (
            "phone = ",
            "fax = ",
            "unknown kind `fax` in the profile, use one of: phone, email, ",
        ),
        (
            "e164/1",
            "e164/9",
            "unknown form `e164/9` in the profile, use one of: e164/1",
        ),
        (
            "pair+born.y",
            "pair+shoe",
            "unknown feature `shoe` in the profile, use one of: given, ",
        ),
        (
            "\"place\" = ",
            "\"shoe\" = ",
            "unknown feature `shoe` in the profile, use one of: given, ",
        ),
        (
            "[person.differ]\ngiven",
            "[person.differ]\nshoe",
            "unknown field `shoe` in the profile, use one of: given, family, ",
        ),
    ];
    for (from, to, message) in cases {
        let found = error(&SHIPPED.replace(from, to));
        assert!(found.starts_with(message), "{found}");
    }
}

#[test]
fn rules_that_cannot_hold_are_refused() {
    let cases = [
        (
            SHIPPED.replace("count = \"names+born\"", "count = \"born\""),
            "`born` in the profile is to be counted",
        ),
        (
            SHIPPED.replace("    \"pair+born.y\",\n", "    \"pair+born.y\",\n    \"born.y+pair\",\n"),
            "`born.y+pair` in the profile stands in `keys` twice",
        ),
        (
            SHIPPED.replace("person = \"person/1\"\n", ""),
            "`person` in the profile has a section but no form",
        ),
        (
            SHIPPED.replace("eu-thb/1", "eu thb"),
            "`profile` in the profile is no name",
        ),
        (
            SHIPPED.replace("shared = -", "shared = -1000"),
            "`shared` in the profile is out of range",
        ),
        (
            SHIPPED.replace("base = -", "base = nan #"),
            "`base` in the profile is out of range",
        ),
        (
            SHIPPED.replace("common = 200", "common = 0"),
            "`common` in the profile is 0",
        ),
    ];
    for (toml, message) in cases {
        let found = Profile::parse(&toml).expect_err(message).to_string();
        assert!(found.starts_with(message), "{found}");
    }
    assert!(matches!(Profile::parse("nonsense"), Err(ProfileError::Toml { .. })));
    assert!(matches!(
        Profile::parse(&SHIPPED.replace("common = ", "commoner = ")),
        Err(ProfileError::Toml { .. })
    ));
}

#[test]
fn a_profile_without_persons() {
    let profile =
        Profile::parse("profile = \"numbers/1\"\ncommon = 10\n[kinds]\nbsn = \"bsn/1\"\nphone = \"e164/1\"\n").unwrap();
    assert_eq!(profile.kinds(), [Kind::Phone, Kind::Bsn]);
    let names: Vec<_> = profile.keys().iter().map(|key| key.name()).collect();
    assert_eq!(names, ["phone", "bsn"]);
}
