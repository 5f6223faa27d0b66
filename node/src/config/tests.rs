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
fn sample_agreement_is_read_and_its_spelling_does_not_matter() {
    let path = Path::new(EXAMPLES).join("agreement.toml");
    let text = files::read(&path).unwrap();
    let own = "spiffe://overlap.example/agency/politie";
    let profile = Profile::eu_thb_1();
    let agreement = Agreement::parse(&path, &text, own, &profile).unwrap();
    let respelled = text.replace(" = ", "   =   ") + "\n# a remark\n";
    assert_eq!(
        Agreement::parse(&path, &respelled, own, &profile).unwrap().hash,
        agreement.hash
    );
    let changed = text.replace("max_set_size = ", "max_set_size = 1");
    assert_ne!(
        Agreement::parse(&path, &changed, own, &profile).unwrap().hash,
        agreement.hash
    );
    assert!(Agreement::parse(&path, &text, "spiffe://overlap.example/agency/nobody", &profile).is_err());
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
