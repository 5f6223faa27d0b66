//! Stories from the field: what agreements are for.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;

use jiff::{Timestamp, ToSpan as _};
use overlap_integration_tests::{Agreement, Ran, World, text_of, wait_for};
use serde_json::Value;

const CSV: &str =
    "ref;phone;role\na;06-10000001;suspect\nb;06-10000002;victim\nc;06-10000003;victim\nd;06-10000004;suspect\n";

fn import(world: &World, agency: &str, csv: &str) {
    let (file, mapping) = world.write_export(agency, csv);
    let toml = fs::read_to_string(&mapping).unwrap();
    let roles = "role = \"role\"\nroles = { suspect = \"suspect\", convicted = \"convicted\", victim = \"victim\" }\n";
    fs::write(&mapping, toml.replace("[record]\n", &format!("[record]\n{roles}"))).unwrap();
    let ran = world.import_file(agency, "operator", &file, &mapping, &["--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

fn refused(ran: &Ran, reason: &str, words: &str) {
    assert_eq!(ran.code, 3, "{words}: {ran:?}");
    assert_eq!(ran.failure()["reason"], reason, "{ran:?}");
    assert!(text_of(&ran.failure()["message"]).contains(words), "{words}: {ran:?}");
    assert!(ran.stdout.is_empty(), "{ran:?}");
}

fn denied(world: &World, agency: &str, words: &str) {
    let (outcome, detail) = world.newest_outcome(agency);
    assert_eq!(outcome, "denied", "{agency}: {detail}");
    assert!(detail.contains(words), "{agency}: {detail}");
}

#[test]
fn victims_are_counted_and_never_listed() {
    let mut world = World::new(&["politie", "kmar"]);
    let grant = "roles = [\"suspect\"]\n[[grant]]\nasker = \"politie\"\nholder = \"kmar\"\ndataset = \"cases\"\nmodes = [\"count\"]\n\
                 kinds = [\"phone\"]\nroles = [\"victim\"]\nmin_count = 2\nmax_set_size = 1000\nitems_per_day = 1000";
    world.agree(&Agreement {
        grant,
        ..Agreement::between("politie", "kmar")
    });
    world.configure();
    for name in ["politie", "kmar"] {
        world.start(name);
        import(&world, name, CSV);
    }
    // hits are about suspects alone, whoever asks for more is refused
    let found = world.ask("hits", &["--kind", "phone"]).json();
    let mut hits: Vec<_> = found["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| text_of(&hit["reference"]))
        .collect();
    hits.sort_unstable();
    assert_eq!((hits, &found["peer_set_size"]), (vec!["a", "d"], &2.into()));
    refused(
        &world.ask("hits", &["--kind", "phone", "--role", "victim"]),
        "AGREEMENT_DENIED",
        "roles asked about in mode hits",
    );
    // victims are counted: two of four
    let counted = world.ask("count", &["--kind", "phone", "--role", "victim"]).json();
    assert_eq!((&counted["count"], &counted["peer_set_size"]), (&2.into(), &2.into()));
    let entry = world.newest_match("kmar")["entry"].clone();
    assert_eq!(entry["roles"], serde_json::json!(["victim"]));
    // with one victim fewer in common the count is not told, nor is it in the log
    import(&world, "kmar", &CSV.replace("06-10000003", "06-30000003"));
    let counted = world.ask("count", &["--kind", "phone", "--role", "victim"]).json();
    assert_eq!(
        (&counted["count"], &counted["suppressed_below"]),
        (&Value::Null, &2.into())
    );
    let logged = world.newest_match("politie")["closing"].clone();
    assert_eq!(
        (&logged["outcome"], &logged["output_count"]),
        (&"done".into(), &Value::Null)
    );
}

#[test]
fn a_liaison_asks_on_behalf_of_another_country() {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement {
        grant: "on_behalf_of = [\"RO\"]\ndisclose = [\"reference\"]",
        ..Agreement::between("politie", "kmar")
    });
    world.configure();
    for name in ["politie", "kmar"] {
        world.start(name);
        import(&world, name, CSV);
    }
    assert_eq!(
        world.ask("hits", &["--kind", "phone", "--on-behalf-of", "RO"]).json()["count"],
        4
    );
    for agency in ["politie", "kmar"] {
        let entry = world.newest_match(agency)["entry"].clone();
        assert_eq!(
            (&entry["on_behalf_of"], &entry["country"]),
            (&"RO".into(), &"RO".into()),
            "{agency}"
        );
    }
    // and what is behind a hit is for that country too
    let hits = world.json("politie", "analyst", &["hits", "list", "--reason", "a test"]);
    let request = ["hits", "request", text_of(&hits[0]["id"]), "--reason", "a test"];
    world.json("politie", "analyst", &request);
    world.reconcile();
    refused(
        &world.ask("hits", &["--kind", "phone", "--on-behalf-of", "BG"]),
        "AGREEMENT_DENIED",
        "does not let this asker ask on behalf of BG",
    );
    denied(&world, "politie", "on behalf of BG");
}

#[test]
fn a_joint_investigation_team_ends_and_takes_its_data_with_it() {
    let mut world = World::new(&["politie", "romania"]);
    world.agency_mut("romania").country = "RO".to_owned();
    let until = (Timestamp::now() + 10.seconds()).to_string();
    let head = "at_end = \"erase\"";
    world.agree(&Agreement {
        id: "jit-2026",
        head,
        valid_until: &until,
        ..Agreement::between("politie", "romania")
    });
    world.agree(&Agreement::between("politie", "romania"));
    world.configure();
    for name in ["politie", "romania"] {
        world.start(name);
        world.import(name, "ref;phone;email\na;06-10000001;a@example.org\nb;06-10000002;\n");
    }
    let ask = |agreement: &str, kind: &str| {
        let arguments = [
            "--json",
            "match",
            "--peer",
            "romania",
            "--dataset",
            "cases",
            "--mode",
            "hits",
            "--purpose",
            "thb-investigation",
            "--case",
            "JIT",
            "--reason",
            "a test",
            "--kind",
            kind,
            "--agreement",
            agreement,
        ];
        world.run("politie", "analyst", &arguments)
    };
    let kept = || {
        let hits = world.json("politie", "analyst", &["hits", "list", "--reason", "a test"]);
        let mut kinds: Vec<String> = hits
            .as_array()
            .unwrap()
            .iter()
            .map(|hit| text_of(&hit["kind"]).to_owned())
            .collect();
        kinds.sort();
        kinds
    };
    assert_eq!(ask("jit-2026", "phone").json()["count"], 2);
    assert_eq!(ask("thb-2026", "email").json()["count"], 1);
    assert_eq!(kept(), ["email", "phone", "phone"]);
    let entry = world.newest_match("romania")["entry"].clone();
    assert_eq!(entry["country"], "NL");
    // the end comes by the clock; what another agreement found stays
    wait_for("the team's hits are gone", || kept() == ["email"]);
    wait_for("the erasure is logged with its number", || {
        let entries = world.entries("politie");
        let erased = entries.iter().find(|entry| entry["entry"]["operation"] == "erasure");
        erased.is_some_and(|entry| entry["closing"]["output_count"] == 2)
    });
    refused(&ask("jit-2026", "phone"), "AGREEMENT_DENIED", "has expired");
}

#[test]
fn unlocated_convicts_are_compared_against_all_partners() {
    let partners = ["kmar", "iszw", "emm"];
    let mut world = World::new(&["politie", "kmar", "iszw", "emm"]);
    for partner in partners {
        let id = format!("unlocated-{partner}");
        let agreement = Agreement {
            id: &id,
            purposes: r#""unlocated-convicts""#,
            modes: r#""hits""#,
            kinds: r#""person""#,
            min_set_size: 1,
            max_set_size: 5000,
            ..Agreement::between("politie", partner)
        };
        world.agree(&agreement);
    }
    world.configure();
    // 74 persons; each partner knows some of them, written its own way
    let row = |n: usize, prefix: &str, given: &str, family: &str| {
        format!(
            "{prefix}{n};{given};{family};19{:02}-0{}-1{};convicted\n",
            60 + n % 40,
            1 + n % 9,
            n % 9
        )
    };
    let family = |n: usize| {
        ["Bakker", "Ionescu", "Dimitrov", "Kovacs", "Yilmaz", "Nowak"][n % 6].to_owned() + ["a", "o", "i"][n % 3]
    };
    let given = |n: usize| {
        [
            "Alexandra",
            "Bogdan",
            "Cristina",
            "Dragomir",
            "Esmeralda",
            "Florian",
            "Gabriela",
        ][n % 7]
    };
    let head = "ref;given;family;born;role\n";
    let list = |numbers: &mut dyn Iterator<Item = usize>, prefix: &str| {
        numbers.fold(head.to_owned(), |csv, n| csv + &row(n, prefix, given(n), &family(n)))
    };
    world.start("politie");
    import(&world, "politie", &list(&mut (0..74), "c"));
    for (at, partner) in partners.iter().enumerate() {
        world.start(partner);
        let known = list(&mut (0..74).filter(|n| n % 10 == at), &format!("{partner}-"));
        import(
            &world,
            partner,
            &known
                .to_uppercase()
                .replacen(&head.to_uppercase(), head, 1)
                .replace("CONVICTED", "convicted"),
        );
    }
    for (at, partner) in partners.iter().enumerate() {
        let arguments = [
            "--json",
            "match",
            "--peer",
            partner,
            "--dataset",
            "cases",
            "--mode",
            "hits",
            "--purpose",
            "unlocated-convicts",
            "--case",
            "UC-2026",
            "--reason",
            "persons to be found",
            "--role",
            "convicted",
        ];
        let found = world.run("politie", "analyst", &arguments).json();
        let mut references: Vec<String> = found["candidates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| text_of(&one["reference"]).to_owned())
            .collect();
        references.sort();
        references.dedup();
        let mut expected: Vec<String> = (0..74).filter(|n| n % 10 == at).map(|n| format!("c{n}")).collect();
        expected.sort();
        assert!(
            expected.iter().all(|one| references.contains(one)),
            "{partner}: {references:?}"
        );
    }
    let kept = world.json(
        "politie",
        "analyst",
        &["hits", "list", "--reason", "who is known where"],
    );
    let peers: std::collections::BTreeSet<&str> = kept
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| text_of(&hit["peer"]))
        .collect();
    assert_eq!(peers.len(), 3);
}

#[test]
fn a_decoy_profiles_contacts_may_only_be_compared_under_an_order() {
    let mut world = World::new(&["politie", "iszw"]);
    // the labour inspectorate's decoy profile collected numbers: it marked the list, so its own people need an order too
    world.agency_mut("iszw").configuration = "[[datasets]]\nname = \"cases\"\norders_only = true\n".to_owned();
    let key = world.path("om.key");
    world.pki(&["signing-key", key.to_str().unwrap()]);
    let thumbprint = Ran::overlap(&["pki", "thumbprint", key.to_str().unwrap()]).stdout;
    let more = format!(
        "[[authority]]\nname = \"Openbaar Ministerie\"\ncountry = \"NL\"\nsigning_key = \"{}\"\n",
        thumbprint.trim()
    );
    world.agree(&Agreement {
        more,
        ..Agreement::between("iszw", "politie")
    });
    world.configure();
    for name in ["politie", "iszw"] {
        world.start(name);
        import(&world, name, CSV);
    }
    let ask = |more: &[&str]| {
        let arguments = [
            "--json",
            "match",
            "--peer",
            "politie",
            "--dataset",
            "cases",
            "--mode",
            "hits",
            "--kind",
            "phone",
            "--purpose",
            "thb-investigation",
            "--case",
            "2026-7",
            "--reason",
            "who contacts the decoy",
        ];
        world.run("iszw", "analyst", &[&arguments[..], more].concat())
    };
    refused(&ask(&[]), "ORDER_DENIED", "asks for an order");
    denied(&world, "iszw", "asks for an order");
    let (draft, signed) = (world.path("order.toml"), world.path("order.json"));
    let arguments = [
        "order",
        "draft",
        "--id",
        "OM-7",
        "--peer",
        "politie",
        "--mode",
        "hits",
        "--kind",
        "phone",
        "--purpose",
        "thb-investigation",
        "--case",
        "2026-7",
        "--reason",
        "a decoy",
        "--exact",
        "cases",
        "--out",
        draft.to_str().unwrap(),
    ];
    let ran = world.run("iszw", "operator", &arguments);
    assert_eq!(ran.code, 0, "{ran:?}");
    let text = fs::read_to_string(&draft).unwrap().replace("\"\"", "\"weighed\"");
    fs::write(&draft, text).unwrap();
    let sign = [
        "order",
        "sign",
        draft.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
        "--out",
        signed.to_str().unwrap(),
    ];
    assert_eq!(Ran::overlap(&sign).code, 0);
    let add = ["order", "add", signed.to_str().unwrap(), "--reason", "given today"];
    assert_eq!(world.run("iszw", "operator", &add).code, 0);
    assert_eq!(ask(&["--order", "OM-7"]).json()["count"], 4);
    refused(&ask(&["--order", "OM-7"]), "LIMIT_REACHED", "may be used 1 times");
}
