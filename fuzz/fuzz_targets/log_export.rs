//! Exports of logs, notes and proofs, as an auditor gets them from anybody.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlap_audit::{
    Anchors, ExportReader, InputProof, Proof, SignedCheckpoint, SignedReceipt, SigningKey, VerifyingKey, verify,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(export) = ExportReader::open(bytes) {
        let _ = verify(export, &Anchors::default(), &mut ());
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(checkpoint) = SignedCheckpoint::parse(text) {
        assert!(SignedCheckpoint::parse(&checkpoint.to_string()).is_ok_and(|again| again == checkpoint));
    }
    if let Ok(key) = text.parse::<VerifyingKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(proof) = serde_json::from_str::<Proof>(text) {
        let _ = proof.check(None);
    }
    if let Ok(proof) = serde_json::from_str::<InputProof>(text) {
        for one in &proof.keys {
            let _ = one.membership.check(&proof.salt, proof.input_count, &proof.input_commitment);
        }
    }
    let receipt = SignedReceipt {
        note: text.to_owned(),
        opened_path: Vec::new(),
        closed_path: Vec::new(),
    };
    if let Ok(key) = SigningKey::from_pkcs8("a", bytes) {
        let _ = receipt.verify(&key.verifying_key());
    }
    let _ = receipt.unverified();
});
