//! Amounts that hold, and sets that are not asked with.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{fs, thread};

use overlap_integration_tests::{Agreement, Ran, World, text_of};

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
fn amounts_hold_against_queries_that_run_side_by_side() {
    let mut world = World::new(&["politie", "kmar"]);
    let grant = "items_per_user_and_day = 12";
    world.agree(&Agreement {
        grant,
        ..Agreement::between("politie", "kmar")
    });
    world.configure();
    for name in ["politie", "kmar"] {
        world.start(name);
        import(&world, name, CSV);
    }
    // 4 items each: three of eight fit
    let done = thread::scope(|scope| {
        let asking: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| world.ask("hits", &["--kind", "phone"])))
            .collect();
        let ran: Vec<_> = asking.into_iter().map(|one| one.join().unwrap()).collect();
        for ran in ran.iter().filter(|ran| ran.code != 0) {
            refused(ran, "LIMIT_REACHED", "12 items for one user");
        }
        ran.iter().filter(|ran| ran.code == 0).count()
    });
    assert_eq!(done, 3);
    // another user has an amount of their own
    let ran = world.ask_as("coordinator", "hits", &["--kind", "phone"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn queries_per_hour_survive_a_restart() {
    let mut world = World::new(&["politie", "kmar"]);
    let draft = Agreement::between("politie", "kmar")
        .draft(&world)
        .replace("queries_per_hour = 100000", "queries_per_hour = 1");
    world.configure();
    for name in ["politie", "kmar"] {
        world.start(name);
        import(&world, name, CSV);
    }
    let file = world.path("draft.toml");
    fs::write(&file, draft).unwrap();
    let reason = ["--reason", "a test"];
    let propose = ["agreement", "propose", file.to_str().unwrap()];
    assert_eq!(
        world.run("politie", "operator", &[&propose[..], &reason].concat()).code,
        0
    );
    let hash = text_of(&world.json("kmar", "operator", &["agreement", "list"])[0]["hash"]).to_owned();
    assert_eq!(
        world
            .run(
                "kmar",
                "operator",
                &[&["agreement", "accept", &hash][..], &reason].concat()
            )
            .code,
        0
    );
    assert_eq!(world.ask("hits", &[]).code, 0);
    for name in ["politie", "kmar"] {
        world.agency_mut(name).stop();
        world.start(name);
    }
    // an hour may begin between the two; then the second is the first of the new one
    let ran = world.ask("hits", &[]);
    let ran = if ran.code == 0 { world.ask("hits", &[]) } else { ran };
    refused(&ran, "LIMIT_REACHED", "allows 1 queries an hour");
    denied(&world, "politie", "queries an hour");
}

#[test]
fn a_numbering_range_is_not_asked_nor_the_same_again_and_again() {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement::between("politie", "kmar"));
    world.configure();
    let config = world.agency("politie").file("node.toml");
    let strict = |mark: &str| {
        let text = fs::read_to_string(&config).unwrap();
        let guard = format!("[guard]\nenumeration_most = 40\nrepeats_per_day = 2\n{mark}");
        fs::write(
            &config,
            text.replacen(
                "[guard]\nenumeration_most = 1000000\nrepeats_per_day = 1000000\n",
                &guard,
                1,
            ),
        )
        .unwrap();
    };
    strict("");
    for name in ["politie", "kmar"] {
        world.start(name);
    }
    import(&world, "kmar", CSV);
    let rows = |step: usize, count: usize| {
        let rows = (0..count).map(|n| format!("r{n};06-1{:07};suspect\n", step * n));
        "ref;phone;role\n".to_owned() + &rows.collect::<String>()
    };
    let ask = || world.ask("hits", &["--kind", "phone"]);
    // every third number of a range
    import(&world, "politie", &rows(3, 41));
    refused(
        &ask(),
        "LIMIT_REACHED",
        "41 identifiers of kind phone are among 1000 numbers",
    );
    denied(&world, "politie", "looks like an enumeration");
    // one fewer, or further apart, is a list like others
    import(&world, "politie", &rows(3, 40));
    assert_eq!(ask().code, 0);
    import(&world, "politie", &rows(25, 2000));
    assert_eq!(ask().code, 0);
    assert_eq!(ask().code, 0);
    refused(&ask(), "LIMIT_REACHED", "repeats_per_day");
    denied(&world, "politie", "asked of this dataset 2 times today");
    // the operator looked at it
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        format!("{text}[[datasets]]\nname = \"cases\"\nmay_enumerate = true\n"),
    )
    .unwrap();
    world.agency_mut("politie").stop();
    world.start("politie");
    import(&world, "politie", &rows(1, 100));
    assert_eq!(world.ask("hits", &["--kind", "phone"]).code, 0);
}
