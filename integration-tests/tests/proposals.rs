//! What peers may bring of agreements.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;

use overlap_integration_tests::{Agreement, HostileAsker, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_cannot_flood_a_node_with_proposals_nor_speak_for_others() {
    let mut world = World::new(&["politie", "kmar", "iszw"]);
    world.configure();
    world.start("kmar");
    let mut politie = HostileAsker::connect(&world, "politie", "kmar").await;
    let signed = |id: &str, asker: &str, holder: &str, signers: &[&str]| {
        let agreement = Agreement {
            id,
            ..Agreement::between(asker, holder)
        };
        fs::read(world.sign("politie", &agreement, signers)).unwrap()
    };
    // of others, unsigned, and altered
    let others = politie
        .settle(signed("others", "iszw", "kmar", &["iszw"]), vec![])
        .await;
    assert!(
        others
            .unwrap_err()
            .message()
            .contains("politie is no party to agreement others")
    );
    let mut altered = signed("altered", "politie", "kmar", &["politie"]);
    let at = altered.len() / 2;
    altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
    assert!(
        politie
            .settle(altered, vec![])
            .await
            .unwrap_err()
            .message()
            .contains("agreement")
    );
    let statement = politie.settle(vec![], vec![b"{}".to_vec()]).await;
    assert!(statement.unwrap_err().message().contains("statements"));
    // a proposal is one; what is more than 64 has to wait until somebody has decided on the others
    for number in 0..64 {
        let one = signed(&format!("p-{number}"), "politie", "kmar", &["politie"]);
        politie.settle(one.clone(), vec![]).await.unwrap();
        politie.settle(one, vec![]).await.unwrap();
    }
    let more = signed("p-64", "politie", "kmar", &["politie"]);
    let full = politie.settle(more.clone(), vec![]).await.unwrap_err();
    assert!(full.message().contains("64 agreements with this peer wait"), "{full:?}");
    let mut iszw = HostileAsker::connect(&world, "iszw", "kmar").await;
    iszw.settle(signed("other", "iszw", "kmar", &["iszw"]), vec![])
        .await
        .unwrap();
    let reject = ["agreement", "reject", "p-7", "--reason", "not asked for"];
    assert_eq!(world.run("kmar", "operator", &reject).code, 0);
    politie.settle(more, vec![]).await.unwrap();
    let denied = world.entries("kmar").into_iter().any(|entry| {
        entry["closing"]["outcome"] == "denied" && entry["entry"]["asker"] == "spiffe://overlap.example/agency/politie"
    });
    assert!(denied, "what was refused is in the log");
}
