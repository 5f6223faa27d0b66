use overlap_agreement::{Agreement, Order};

use super::*;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples");

#[test]
fn sample_configuration_is_read() {
    let path = Path::new(EXAMPLES).join("node.toml");
    let raw: Raw = parse(&path, &files::read(&path).unwrap()).unwrap();
    assert!(is_spiffe(&raw.id));
    assert!(!peers(raw.peers).unwrap().is_empty());
    assert!(!users(raw.users).unwrap().is_empty());
    raw.limits.check().unwrap();
}

#[test]
fn sample_agreement_and_order_are_read() {
    let read = |name: &str| files::read(&Path::new(EXAMPLES).join(name)).unwrap();
    let agreement = overlap_agreement::from_toml::<Agreement>(&read("agreement.toml")).unwrap();
    let profile = Profile::eu_thb_1();
    let agreement = agreement.document();
    assert_eq!(
        (agreement.profile.as_str(), agreement.profile_hash),
        (profile.name(), Digest(profile.hash()))
    );
    let order = overlap_agreement::from_toml::<Order>(&read("order.toml")).unwrap();
    let order = order.document();
    assert!(
        agreement
            .authorities
            .iter()
            .any(|authority| authority.name == order.authority)
    );
    assert!(agreement.purposes.contains(&order.purpose));
}

#[test]
fn spiffe_uris_are_told_from_others() {
    assert!(is_spiffe("spiffe://overlap.example/agency/politie"));
    for bad in [
        "",
        "spiffe://",
        "spiffe://a",
        "spiffe:///a",
        "https://a/b",
        "spiffe://a/b c",
        "spiffe://a/b\n",
    ] {
        assert!(!is_spiffe(bad), "{bad:?}");
    }
}
