//! Agreements, orders and statements: as people write them, and as they travel.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlap_agreement::{Agreement, Document, Order, Plan, Roster, Signed, SigningKey, Statement, Step, diff, from_toml};

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\n-----END PRIVATE KEY-----\n";

fn read<D: Document + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(signed) = Signed::<D>::parse(bytes) {
        survives(&signed);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(mut signed) = from_toml::<D>(text)
    {
        survives(&signed);
        let key = SigningKey::from_pem(KEY).expect("a fixed key is a key");
        signed.sign(&key);
        assert!(signed.is_signed_by(&key.public().thumbprint()));
        survives(&signed);
        assert!(diff(signed.document(), signed.document()).is_empty());
    }
}

/// What was read is the same after it was sent.
fn survives<D: Document + PartialEq + std::fmt::Debug>(signed: &Signed<D>) {
    let again = Signed::<D>::parse(&signed.to_json()).expect("what is written can be read");
    assert_eq!(&again, signed);
}

fuzz_target!(|bytes: &[u8]| {
    read::<Agreement>(bytes);
    read::<Order>(bytes);
    read::<Roster>(bytes);
    read::<Statement>(bytes);
    read::<Plan>(bytes);
    read::<Step>(bytes);
    let _ = std::str::from_utf8(bytes).map(SigningKey::from_pem);
});
