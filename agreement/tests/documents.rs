//! Documents, signed by several parties, on their way between them.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use overlap_agreement::{
    ActionVerb, Agreement, Document, Order, Plan, Signed, SigningKey, Statement, Step, diff, from_toml, is_signed,
};
use proptest::prelude::*;

fn key(seed: u8) -> SigningKey {
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let der = [&head[..], &[seed; 32]].concat();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der)
    );
    SigningKey::from_pem(&pem).unwrap()
}

fn toml() -> String {
    let [politie, kmar, om] = [1, 2, 3].map(|seed| key(seed).public().thumbprint());
    format!(
        r#"
id = "thb-2026"
purposes = ["thb-investigation", "missing-minors"]
regime = "wpg"
article = "20"
profile = "eu-thb/1"
profile_hash = "{0}"
valid_from = "2026-01-01T01:00:00+01:00"
valid_until = "2027-01-01T00:00:00Z"
[[party]]
name = "politie"
id = "spiffe://overlap.example/agency/politie"
country = "NL"
key = "{0}"
signing_key = "{politie}"
[[party]]
name = "kmar"
id = "spiffe://overlap.example/agency/kmar"
country = "NL"
key = "{1}"
signing_key = "{kmar}"
[[authority]]
name = "Openbaar Ministerie"
country = "NL"
signing_key = "{om}"
[[grant]]
asker = "politie"
holder = "kmar"
dataset = "cases"
modes = ["hits", "count"]
kinds = ["phone"]
max_set_size = 1000
items_per_day = 10000
order = "required"
"#,
        "00".repeat(32),
        "11".repeat(32),
    )
}

fn agreement() -> Signed<Agreement> {
    from_toml(&toml()).unwrap()
}

#[test]
fn spelling_does_not_change_the_hash_and_values_do() {
    let one = agreement();
    let spelled = toml()
        .replace(
            r#"["thb-investigation", "missing-minors"]"#,
            r#"["missing-minors", "thb-investigation"]"#,
        )
        .replace("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z")
        .replace("items_per_day", "min_count = 1\nitems_per_day");
    assert_eq!(from_toml::<Agreement>(&spelled).unwrap().hash(), one.hash());
    let other: Signed<Agreement> = from_toml(&toml().replace("= 1000\n", "= 1001\n")).unwrap();
    assert_ne!(other.hash(), one.hash());
    let changes = diff(one.document(), other.document());
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].field, "grant[0].max_set_size");
    assert_eq!(changes[0].from.as_deref(), Some("1000"));
}

#[test]
fn parties_sign_apart_and_copies_come_together() {
    let mut at_politie = agreement();
    at_politie.sign(&key(1));
    let mut at_kmar = Signed::<Agreement>::parse(&at_politie.to_json()).unwrap();
    assert_eq!(at_kmar, at_politie);
    at_kmar.sign(&key(2));
    at_kmar.sign(&key(2));
    let parties = at_kmar.document().parties.clone();
    let signed = |document: &Signed<Agreement>| {
        let signed = parties.iter().filter(|party| document.is_signed_by(&party.signing_key));
        signed.count()
    };
    assert_eq!(signed(&at_politie), 1);
    assert!(at_politie.merge(&at_kmar));
    assert!(!at_politie.merge(&at_kmar));
    assert_eq!(signed(&at_politie), 2);
    assert_eq!(at_politie.to_json(), at_kmar.to_json());
    assert_eq!(signed(&agreement()), 0);
}

#[test]
fn a_signature_counts_for_its_document_alone() {
    let mut one = agreement();
    one.sign(&key(1));
    assert!(Signed::<Order>::parse(&one.to_json()).is_err());
    assert!(Signed::<Statement>::parse(&one.to_json()).is_err());
    let mut other: Signed<Agreement> = from_toml(&toml().replace("= 1000\n", "= 1001\n")).unwrap();
    assert!(!other.merge(&one), "signatures on another document are not taken over");
    assert!(!other.is_signed_by(&key(1).public().thumbprint()));
}

#[test]
fn each_flaw_is_named() {
    for (from, to, words) in [
        ("\"thb-2026\"", "\"thb 2026\"", "id must be"),
        ("\"NL\"", "\"nl\"", "two capital letters"),
        ("\"thb-investigation\", \"missing-minors\"", "", "purposes must name"),
        ("2027", "2025", "valid_until must be after"),
        (
            "asker = \"politie\"",
            "asker = \"polizei\"",
            "polizei must be the name of a party",
        ),
        (
            "holder = \"kmar\"",
            "holder = \"politie\"",
            "asker and holder must differ",
        ),
        ("\"hits\", \"count\"", "\"all\"", "modes"),
        ("[\"phone\"]", "[\"fax\"]", "fax"),
        ("max_set_size = 1000", "max_set_size = 0", "max_set_size must be"),
        ("[[authority]]", "[[autority]]", "autority"),
        ("signing_key", "signing", "signing"),
    ] {
        let error = from_toml::<Agreement>(&toml().replacen(from, to, 1))
            .unwrap_err()
            .to_string();
        assert!(error.contains(words) || error.contains("unknown"), "{from}: {error}");
    }
    let nobody = toml().replace(
        "[[authority]]\nname = \"Openbaar Ministerie\"\ncountry = \"NL\"\n",
        "[x]\n",
    );
    assert!(from_toml::<Agreement>(&nobody).is_err());
}

#[test]
fn other_forms_of_the_same_json_are_refused() {
    let document = agreement().document().clone();
    document.check().unwrap();
    let pretty = serde_json::to_vec_pretty(&document).unwrap();
    // signed as it stands, but not canonical
    let protected = String::from_utf8({
        let mut signed = agreement();
        signed.sign(&key(1));
        signed.to_json()
    })
    .unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(pretty);
    let mut value: serde_json::Value = serde_json::from_str(&protected).unwrap();
    value["payload"] = payload.into();
    value["signatures"] = serde_json::json!([]);
    let error = Signed::<Agreement>::parse(&serde_json::to_vec(&value).unwrap()).unwrap_err();
    assert!(error.to_string().contains("canonical"), "{error}");
}

fn plan() -> String {
    format!(
        r#"
id = "jad-2026-11"
coordinator = "spiffe://overlap.example/agency/politie"
agreement = "{}"
purpose = "thb-investigation"
case_reference = "JAD-2026-11"
reason = "the days of action against exploitation"
participants = ["spiffe://overlap.example/agency/kmar", "spiffe://overlap.example/agency/politie"]
kinds = ["phone", "plate"]
roles = ["suspect", "convicted"]
from = "2026-11-30T06:00:00Z"
until = "2026-12-04T20:00:00Z"
checks_per_minute = 600
"#,
        agreement().hash()
    )
}

#[test]
fn a_plan_of_an_action_names_its_flaws_and_steps_count_by_the_pinned_key() {
    let signed: Signed<Plan> = from_toml(&plan()).unwrap();
    assert_eq!(
        (signed.document().deadline_ms, signed.document().escalate_after_seconds),
        (2000, 600)
    );
    for (from, to, words) in [
        ("jad-2026-11\"\nco", "jad 2026\"\nco", "id must be"),
        (
            "\"spiffe://overlap.example/agency/kmar\", ",
            "",
            "there must be 2 to 64",
        ),
        ("2026-12-04T20", "2026-11-30T05", "until must be after"),
        ("2026-12-04", "2028-12-04", "within 366 days"),
        ("= 600", "= 0", "checks_per_minute must be"),
        ("[\"phone\", \"plate\"]", "[]", "kinds must name"),
    ] {
        let error = from_toml::<Plan>(&plan().replacen(from, to, 1))
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    let step = |by: &str, signer: u8| {
        let step = Step {
            plan: signed.hash(),
            by: format!("spiffe://overlap.example/agency/{by}"),
            verb: ActionVerb::Join,
            at: "2026-11-29T12:00:00Z".parse().unwrap(),
            reason: "we take part".to_owned(),
        };
        let mut step = Signed::new(step).unwrap();
        step.sign(&key(signer));
        Signed::<Step>::parse(&step.to_json()).unwrap()
    };
    let agreement = agreement();
    assert!(is_signed(&step("kmar", 2), agreement.document()));
    assert!(
        !is_signed(&step("kmar", 1), agreement.document()),
        "nobody joins for another"
    );
    assert!(!is_signed(&step("iszw", 2), agreement.document()), "iszw is no party");
    assert!(Signed::<Step>::parse(&signed.to_json()).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_panic(bytes: Vec<u8>, text: String) {
        let _ = Signed::<Agreement>::parse(&bytes);
        let _ = Signed::<Order>::parse(&bytes);
        let _ = Signed::<Plan>::parse(&bytes);
        let _ = from_toml::<Agreement>(&text);
        let _ = SigningKey::from_pem(&text);
    }

    #[test]
    fn one_changed_byte_is_refused(at in 0usize..2000, to in any::<u8>()) {
        let mut signed = agreement();
        signed.sign(&key(1));
        let json = signed.to_json();
        let mut altered = json.clone();
        let at = at % altered.len();
        altered[at] = to;
        if let Ok(parsed) = Signed::<Agreement>::parse(&altered) {
            // white space between tokens says nothing
            prop_assert_eq!(parsed, signed);
        }
    }
}
