//! Nodes as each other's witnesses: whoever shows two histories is caught, and everybody says so.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path, process::Command};

use overlap_audit::{Digest, SigningKey};
use overlap_integration_tests::{Agreement, HostileAsker, World, text_of, wait_for};
use overlap_proto::{fault::Reason, log::Cosign, pb::peer as pb};
use tonic::Status;

fn export(range: std::ops::Range<u32>) -> String {
    let rows = range.map(|n| format!("dossier-{n};06-{:08}", 10_000_000 + n));
    [vec!["ref;phone".to_owned()], rows.collect()].concat().join("\n")
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

fn alarms(world: &World, agency: &str) -> Vec<String> {
    let status = world.status(agency);
    let alarms = status["alarms"].as_array().unwrap();
    alarms.iter().map(|alarm| text_of(&alarm["what"]).to_owned()).collect()
}

#[test]
fn a_log_that_was_rolled_back_is_caught_by_everybody() {
    let mut world = World::new(&["politie", "kmar", "iszw"]);
    world.agree(&Agreement::between("politie", "kmar"));
    for name in ["politie", "kmar", "iszw"] {
        world.agency_mut(name).configuration = "[limits]\nwitness_every = \"300ms\"\n".into();
    }
    world.configure();
    for name in ["politie", "kmar", "iszw"] {
        world.start(name);
        world.import(name, &export(0..10));
    }
    world.ask("hits", &[]).json();
    for name in ["politie", "kmar", "iszw"] {
        world.wait_for_witnesses(name);
        assert!(alarms(&world, name).is_empty());
    }
    world.agency_mut("kmar").stop();
    copy(&world.agency("kmar").file("state"), &world.path("backup"));
    world.start("kmar");
    for _ in 0..3 {
        world.ask("hits", &[]).json();
    }
    world.wait_for_witnesses("kmar");
    world.agency_mut("kmar").stop();
    fs::remove_dir_all(world.agency("kmar").file("state")).unwrap();
    copy(&world.path("backup"), &world.agency("kmar").file("state"));
    world.start("kmar");

    // kmar learns it from its witnesses, and they from it
    for name in ["kmar", "politie", "iszw"] {
        wait_for(&format!("{name} has an alarm"), || !alarms(&world, name).is_empty());
        let what = alarms(&world, name).join("; ");
        assert!(what.contains("old backup") || what.contains("histor"), "{name}: {what}");
        let logged = world
            .entries(name)
            .into_iter()
            .find(|entry| entry["entry"]["side"] == "witness")
            .unwrap();
        assert_eq!(logged["closing"]["outcome"], "error");
    }
    // people are told, whatever they do; queries go on
    let ran = world.ask("hits", &[]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("ALARM: "), "{ran:?}");
    let shown = world.run("politie", "operator", &["status"]);
    assert!(shown.stdout.contains("ALARM"), "{shown:?}");
    assert!(world.agency("iszw").log().contains("\"ALARM\""));

    // somebody looks into it, and takes the log as it is
    // (as long as one has not, it tells the others of the old history, and they raise it again)
    wait_for("all is quiet", || {
        let mut quiet = true;
        for name in ["politie", "iszw", "kmar"] {
            for alarm in world.status(name)["alarms"].as_array().unwrap() {
                quiet = false;
                let id = text_of(&alarm["id"]);
                let arguments = ["log", "acknowledge", id, "--reason", "the disk was replaced, report 7"];
                assert_eq!(world.run(name, "auditor", &arguments).code, 3, "an operator's to do");
                assert_eq!(world.run(name, "operator", &arguments).code, 0);
            }
        }
        quiet
    });
    world.wait_for_witnesses("kmar");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_shows_two_histories() {
    let mut world = World::new(&["politie", "kmar", "iszw"]);
    world.agree(&Agreement::between("politie", "kmar"));
    for name in ["politie", "kmar", "iszw"] {
        world.agency_mut(name).configuration = "[limits]\nwitness_every = \"300ms\"\n".into();
    }
    world.configure();
    for name in ["kmar", "iszw"] {
        world.start(name);
    }
    let name = "overlap.example/agency/politie/log";
    let key = SigningKey::from_pkcs8(name, &SigningKey::generate().unwrap()).unwrap();
    let wish = |size, root: u8| Cosign {
        log_key: key.verifying_key(),
        cosigner_key: key.cosigner_key(),
        checkpoint: key.sign(size, &Digest([root; 32])).unwrap(),
        old_size: 0,
        proof: Vec::new(),
        seen: Vec::new(),
    };
    let mut kmar = HostileAsker::connect(&world, "politie", "kmar").await;
    let mut iszw = HostileAsker::connect(&world, "politie", "iszw").await;
    // each witness sees one history, and finds nothing wrong with it
    kmar.cosign(wish(5, 1)).await.unwrap();
    iszw.cosign(wish(5, 2)).await.unwrap();
    // what a witness has countersigned it countersigns again, and nothing else of that size
    kmar.cosign(wish(5, 1)).await.unwrap();
    let refused = |answer: Result<pb::CosignResponse, Status>| Reason::of(&answer.unwrap_err());
    assert_eq!(refused(kmar.cosign(wish(5, 3)).await), Some(Reason::PeerMisbehaved));
    // an unproved growth names where to begin
    let known = kmar.cosign(wish(9, 4)).await.unwrap().answer;
    assert_eq!(known, Some(pb::cosign_response::Answer::KnownSize(5)));
    // the two witnesses tell each other what they saw
    world.import("kmar", &export(0..3));
    for name in ["kmar", "iszw"] {
        wait_for(&format!("{name} has an alarm"), || !alarms(&world, name).is_empty());
        assert!(
            alarms(&world, name)[0].contains("politie"),
            "{:?}",
            alarms(&world, name)
        );
    }
    // another key than the first
    let other = SigningKey::from_pkcs8(name, &SigningKey::generate().unwrap()).unwrap();
    let mut swapped = wish(5, 1);
    swapped.log_key = other.verifying_key();
    assert_eq!(refused(iszw.cosign(swapped).await), Some(Reason::PeerMisbehaved));
    // a signature that is not the key's, and a log of another's name
    let mut forged = wish(7, 1);
    forged.checkpoint = other.sign(7, &Digest([1; 32])).unwrap();
    assert_eq!(refused(kmar.cosign(forged).await), Some(Reason::InvalidRequest));
    let stranger = SigningKey::from_pkcs8("overlap.example/agency/iszw/log", &SigningKey::generate().unwrap()).unwrap();
    let mut usurped = wish(7, 1);
    (usurped.log_key, usurped.cosigner_key) = (stranger.verifying_key(), stranger.cosigner_key());
    assert_eq!(refused(kmar.cosign(usurped).await), Some(Reason::InvalidRequest));
}
