//! Records of class d: an informant whom nobody but the own agency may ever see.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;

use overlap_integration_tests::{Agreement, HostileAsker, Ran, World, text_of, wait_for};
use overlap_proto::{pb::peer::match_response::Message, peer};
use overlap_psi::{Encoded, Item, Key};

const ASKED: &str = "ref;phone\nx;06-10000001\ny;06-10000002\nz;06-10000003\n";
/// kmar knows the first number from an informant and the second from a case.
const WITH: &str = "ref;phone;class\ninformant;06-10000001;d\nb;06-10000002;b\n";
const WITHOUT: &str = "ref;phone;class\nb;06-10000002;b\n";

fn import(world: &World, csv: &str) {
    let (file, mapping) = world.write_export("kmar", csv);
    let toml = fs::read_to_string(&mapping).unwrap();
    fs::write(
        &mapping,
        toml.replace("[record]\n", "[record]\nvisibility_column = \"class\"\n"),
    )
    .unwrap();
    let ran = world.import_file("kmar", "operator", &file, &mapping, &["--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

fn world(grant: &str) -> World {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement {
        grant,
        ..Agreement::between("politie", "kmar")
    });
    world.configure();
    for name in ["politie", "kmar"] {
        world.start(name);
    }
    world.import("politie", ASKED);
    import(&world, WITH);
    world
}

/// Of hits that kmar keeps: references and who knows.
fn kept(world: &World) -> Vec<(String, bool)> {
    let hits = world.json("kmar", "operator", &["hits", "list", "--reason", "a test"]);
    let hits = hits.as_array().unwrap().iter();
    hits.map(|hit| (text_of(&hit["reference"]).to_owned(), hit["state"] == "hidden"))
        .collect()
}

#[test]
fn the_holder_alone_learns_of_a_hit_on_an_informant() {
    let world = world("mirror = 64");
    for mode in ["hits", "count"] {
        let found = world.ask(mode, &["--kind", "phone"]).json();
        assert_eq!(
            (&found["count"], &found["peer_set_size"]),
            (&1.into(), &1.into()),
            "{mode}"
        );
    }
    wait_for("kmar keeps it", || kept(&world) == [("informant".to_owned(), true)]);
    let closing = world.newest_match("kmar")["closing"].clone();
    assert_eq!((&closing["hits"], &closing["outcome"]), (&1.into(), &"done".into()));
    assert_eq!(
        world.newest_match("politie")["closing"]["hits"],
        serde_json::Value::Null
    );

    // nobody asks about it any more: nothing is noticed, and that is logged the same way
    world.import("politie", &ASKED.replace("06-10000001", "06-10000009"));
    assert_eq!(world.ask("hits", &["--kind", "phone"]).json()["count"], 1);
    wait_for("closed", || world.newest_match("kmar")["closing"]["hits"] == 0);
}

#[test]
fn without_a_mirrored_pass_such_records_take_no_part() {
    // not even where the agreement names their class
    let classes = r#"visibility = ["a", "b", "c", "d"]"#;
    let world = world(classes);
    for mode in ["hits", "count"] {
        let found = world.ask(mode, &["--kind", "phone"]).json();
        assert_eq!(
            (&found["count"], &found["peer_set_size"]),
            (&1.into(), &1.into()),
            "{mode}"
        );
    }
    assert_eq!(world.newest_outcome("kmar").0, "done");
    assert!(kept(&world).is_empty());
    // nor do they in the own agency's queries
    let agreement = Agreement {
        id: "back",
        ..Agreement::between("kmar", "politie")
    };
    world.agree(&agreement);
    let arguments = [
        "--json",
        "match",
        "--peer",
        "politie",
        "--dataset",
        "cases",
        "--mode",
        "hits",
        "--purpose",
        "thb-investigation",
        "--case",
        "1",
        "--reason",
        "a test",
    ];
    let found = world.run("kmar", "analyst", &arguments).json();
    assert_eq!(found["own_set_size"], 1, "the informant is not asked about");
}

/// Everything that an asker sees of a query, with its sizes.
async fn view(world: &World, mode: peer::Mode, key: &Key, elements: &[Encoded]) -> Vec<(&'static str, usize)> {
    let agreements = world.json("kmar", "operator", &["agreement", "list"]);
    let open = peer::Open {
        transaction: uuid::Uuid::now_v7(),
        agreement: "thb-2026".into(),
        agreement_hash: text_of(&agreements[0]["hash"]).parse().unwrap(),
        dataset: "cases".into(),
        mode,
        protocol: overlap_psi::Protocol::DhPsi,
        profile: overlap_records::Profile::eu_thb_1().name().into(),
        profile_hash: overlap_audit::Digest(overlap_records::Profile::eu_thb_1().hash()),
        kinds: vec![overlap_records::Kind::Phone],
        purpose: "thb-investigation".into(),
        case_reference: "1".into(),
        reason: "a test".into(),
        person: "spiffe://politie.example/user/analyst".into(),
        role: "analyst".into(),
        set_size: elements.len() as u64,
        input_commitment: overlap_audit::Digest([1; 32]),
        roles: overlap_records::Role::ALL.to_vec(),
        order: None,
        on_behalf_of: None,
    };
    let mut asker = HostileAsker::connect(world, "politie", "kmar").await;
    let answers = asker.ask_truly(open, key, elements).await;
    let seen = answers.into_iter().map(|answer| match answer {
        Message::Accepted(accepted) => ("accepted", accepted.set_size as usize),
        Message::Mirror(points) => ("mirror", points.elements.len()),
        Message::Evaluated(elements) => ("evaluated", elements.elements.len()),
        Message::Tokens(tokens) => ("tokens", tokens.tokens.len() + tokens.labels.len()),
        Message::Working(_) => ("working", 0),
        Message::Partly(partly) => ("partly", partly.hits.len()),
        Message::Complete(_) => ("complete", 0),
    });
    seen.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_view_of_the_asker_is_the_same_with_and_without() {
    let world = world("mirror = 64");
    let key = Key::random(&mut rand::rng());
    // the first is the informant's
    let elements: Vec<Encoded> = (1..4u8)
        .map(|n| Item::derive("eu-thb/1", "phone", format!("+3161000000{n}").as_bytes()))
        .map(|item| item.to_element().encode())
        .collect();
    for mode in [peer::Mode::Hits, peer::Mode::Count] {
        import(&world, WITH);
        let with = view(&world, mode, &key, &elements).await;
        // what is compared has the hit in it: the holder has noticed
        tokio::task::block_in_place(|| {
            wait_for("it is closed", || world.newest_match("kmar")["closing"]["hits"] == 1);
        });
        import(&world, WITHOUT);
        let without = view(&world, mode, &key, &elements).await;
        assert_eq!(with, without, "{mode}");
        assert_eq!(with[1], ("mirror", 64 * 32), "{mode}");
        // and a dataset with more of them than the pass has room for
        let many: String = (0..100).map(|n| format!("i{n};06-2{n:07};d\n")).collect();
        import(&world, &format!("{WITHOUT}{many}"));
        assert_eq!(view(&world, mode, &key, &elements).await, without, "{mode}");
    }
    // what is common among persons is counted without the hidden ones, and the own people see what is withheld
    let shown = Ran::json(&world.run("kmar", "operator", &["--json", "dataset", "show", "cases"]));
    assert_eq!((&shown["records"], &shown["withheld"]), (&101.into(), &100.into()));
}

#[test]
fn what_is_partly_visible_says_nothing_of_what_is_hidden() {
    // room for two points: the record of class c has its place whatever else there is
    let world = world("mirror = 2");
    let dim = "dim;06-10000003;c\n";
    let seen = |csv: &str| {
        import(&world, csv);
        let found = world.ask("hits", &["--kind", "phone"]).json();
        (
            found["count"].clone(),
            found["peer_set_size"].clone(),
            found["partly"].clone(),
        )
    };
    let without = seen(&format!("{WITHOUT}{dim}"));
    assert_eq!(without, (1.into(), 1.into(), serde_json::json!({ "phone": 1 })));
    let many: String = (0..50).map(|n| format!("i{n};06-2{n:07};d\n")).collect();
    assert_eq!(seen(&format!("{WITH}{many}{dim}")), without);
    // and an item that both a record of class c and a hidden one hold is one of class c
    assert_eq!(seen(&format!("{WITHOUT}informant;06-10000003;d\n{dim}")), without);
}
