//! Other uses of actions: a standing watch list, a joint team of two countries, and a country that takes part through a liaison's node.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;

use overlap_integration_tests::{ActionDay, alert, answer, by_partner, text_of, wait_for};

/// Made-up names that are far from each other.
fn person(number: usize) -> (String, String, String) {
    let given = [
        "Adriaan", "Bogdan", "Cornelis", "Dragan", "Evert", "Florin", "Gheorghe", "Hendrik", "Ivan", "Joost",
    ];
    let family = [
        "Abelson",
        "Brinkhof",
        "Ceausu",
        "Dumitrescu",
        "Eijkelboom",
        "Fuchsberg",
        "Grozdanov",
        "Hoogland",
    ];
    let born = format!(
        "19{:02}-{:02}-{:02}",
        50 + number % 45,
        1 + number % 12,
        1 + number % 28
    );
    let (given, family) = (given[number % given.len()], family[number / given.len() % family.len()]);
    (given.to_owned(), family.to_owned(), born)
}

fn line(number: usize) -> String {
    let (given, family, born) = person(number);
    format!("{{\"person\": \"{given} {family}|{born}\", \"reason\": \"convicted, not found\"}}\n")
}

fn row(reference: &str, number: usize) -> String {
    let (given, family, born) = person(number);
    format!("{reference};{given};{family};{born}\n")
}

#[test]
fn a_watch_list_of_74_convicts_finds_those_that_are_known_and_those_that_turn_up() {
    let mut day = ActionDay::new(&["politie", "kmar", "belgium"], "");
    day.start();
    let head = "ref;given;family;born\n";
    day.import("politie", &format!("{head}x;Nobody;Ofnote;1901-01-01\n"));
    day.import("kmar", &format!("{head}{}{}", row("k1", 3), row("k2", 40)));
    day.import("belgium", &format!("{head}{}", row("b1", 3)));
    day.begin("cc-74", &["--kind", "person", "--escalate", "1"]);
    let list: String = (0..74).map(line).collect();
    let printed = day.checked("politie", "cc-74", &list, &["--case", "CC-74"]);
    assert_eq!(printed.iter().filter(|one| one["done"] == true).count(), 74);
    let hits: Vec<_> = printed.iter().filter(|one| one["outcome"] == "hit").collect();
    assert_eq!(hits.len(), 3, "{hits:?}");
    assert_eq!(answer(&printed, 4, "belgium")["outcome"], "hit");
    assert_eq!(answer(&printed, 41, "kmar")["outcome"], "hit");
    // weeks later one of them turns up
    day.append("belgium", &format!("{head}{}", row("b2", 60)));
    let alerts = day.wait_for_alerts("politie", "cc-74", 4);
    assert_eq!(
        (&alerts[3]["partner"], &alerts[3]["case_reference"]),
        (&"belgium".into(), &"CC-74".into())
    );
    // what nobody claims is raised again
    wait_for("it is escalated", || {
        day.alerts("politie", "cc-74")
            .iter()
            .all(|one| one["escalated"] == true)
    });
    day.handle("politie", "claim", "cc-74", &alerts[3]);
    let claimed = day.alerts("politie", "cc-74");
    assert!(
        claimed
            .iter()
            .any(|one| one["escalated"] == false && one["id"] == alerts[3]["id"])
    );
    // the numbers, for whoever reports on them
    let out = day.world.path("report");
    let report = day
        .action("politie", &["report", "cc-74", "--out", out.to_str().unwrap()])
        .json();
    assert_eq!(report["checks"], 74);
    let csv = fs::read_to_string(out.join("action.csv")).unwrap();
    assert!(csv.contains("cc-74,belgium,person,74,2,"), "{csv}");
    assert!(fs::read_to_string(out.join("action.svg")).unwrap().starts_with("<svg"));
    assert!(out.join("action.json").exists());
}

#[test]
fn a_joint_team_of_two_countries_checks_under_orders_alone() {
    let mut day = ActionDay::with(&["politie", "belgium"], "order = \"required\"", |world| {
        world.agency_mut("belgium").country = "BE".to_owned();
        let key = world.path("om.key");
        world.pki(&["signing-key", key.to_str().unwrap()]);
    });
    day.start();
    day.import("politie", "ref;phone\np1;06-10000001\n");
    day.import("belgium", "ref;phone\nb1;06-10000002\n");
    for (agency, order) in [("politie", "OM-1"), ("belgium", "OM-2")] {
        day.give_order(agency, order);
    }
    day.create("jit", &[]);
    day.step("politie", "invite", "jit");
    // without an order nobody may ask
    day.step("politie", "join", "jit");
    let join = ["join", "jit", "--order", "OM-2", "--reason", "a test"];
    assert_eq!(day.action("belgium", &join).code, 0);
    day.step("politie", "start", "jit");
    day.wait_for_link("belgium", "politie", "jit", "ready");
    wait_for("politie is refused", || {
        day.link("politie", "belgium", "jit").contains("order")
    });
    let join = ["join", "jit", "--order", "OM-1", "--reason", "with the order"];
    assert_eq!(day.action("politie", &join).code, 0);
    day.wait_until_ready("jit");
    let printed = day.checked("belgium", "jit", "phone 06-10000001\n", &[]);
    let hit = alert(&printed, 1, "politie");
    day.wait_for_alerts("politie", "jit", 1);
    day.handle("belgium", "claim", "jit", hit);
    day.handle("belgium", "hand-over", "jit", hit);
    wait_for("politie has it", || {
        let alerts = day.alerts("politie", "jit");
        alerts[0]["state"] == "handed-over" && alerts[0]["owner"] == "politie"
    });
    let entry = day.world.newest_match("politie");
    assert_eq!(
        (&entry["entry"]["order"], &entry["entry"]["country"]),
        (&"OM-2".into(), &"BE".into())
    );
}

#[test]
fn a_country_without_a_node_checks_through_a_liaison_under_its_own_name() {
    let mut day = ActionDay::new(&["politie", "belgium"], "on_behalf_of = [\"LU\"]");
    day.start();
    day.import("politie", "ref;phone\np1;06-10000001\n");
    day.import("belgium", "ref;phone\nb1;06-10000002\n");
    day.begin("jad", &[]);
    let printed = day.checked("belgium", "jad", "phone 06-10000001\n", &["--for", "LU"]);
    assert_eq!(answer(&printed, 1, "politie")["outcome"], "hit");
    for agency in ["politie", "belgium"] {
        let entries = day.world.entries(agency);
        let checks = entries.iter().filter(|one| one["entry"]["on_behalf_of"] == "LU");
        assert_eq!(checks.clone().count(), 2, "a check and a claim at {agency}");
        assert!(checks.into_iter().all(|one| one["entry"]["country"] == "LU"));
    }
    let alerts = day.wait_for_alerts("politie", "jad", 1);
    assert_eq!(alerts[0]["on_behalf_of"], "LU");
    // for whom no agreement lets it ask, it is refused
    let printed = day.checked_with_code(3, "belgium", "jad", "phone 06-10000001\n", &["--for", "FR"]);
    let told = answer(&printed, 1, "politie");
    assert!(
        told["outcome"] == "refused" && text_of(&told["detail"]).contains("on behalf of FR"),
        "{told}"
    );
}

#[test]
fn each_user_may_do_what_the_role_is_for() {
    let mut day = ActionDay::new(&["politie", "kmar"], "");
    day.start();
    day.import("politie", "ref;phone\np1;06-10000001\n");
    day.import("kmar", "ref;phone\nk1;06-10000002\n");
    let create = |user: &str| {
        let arguments = [
            "--json",
            "action",
            "create",
            "--id",
            "x",
            "--with",
            "politie,kmar",
            "--until",
            "2099-01-01T00:00:00Z",
            "--purpose",
            "thb-investigation",
            "--case",
            "J",
            "--reason",
            "a test",
        ];
        day.world.run("politie", user, &arguments)
    };
    for user in ["analyst", "operator", "functionary", "auditor"] {
        let ran = create(user);
        assert_eq!(ran.code, 3, "{user}: {ran:?}");
        assert!(text_of(&ran.failure()["message"]).contains("coordinator"), "{ran:?}");
    }
    // a window of more than a year is no action
    assert!(text_of(&create("coordinator").failure()["message"]).contains("366 days"));
    day.begin("jad", &[]);
    let file = day.world.path("one");
    fs::write(&file, "phone 06-10000002\n").unwrap();
    let check = [
        "--json",
        "action",
        "check",
        "jad",
        "--file",
        file.to_str().unwrap(),
        "--case",
        "J",
        "--reason",
        "a test",
    ];
    let ran = day.world.run("politie", "operator", &check);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stdout.contains("role"), "{ran:?}");
    assert_eq!(day.world.run("politie", "analyst", &check).code, 0);
    // nobody is asked about a kind that the action is not about, and a bad line is named by its number
    let ran = day.check(
        "politie",
        "jad",
        "iban NL91ABNA0417164300\nphone CANARY\nphone 06-10000002\n",
        &[],
    );
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(!format!("{ran:?}").contains("CANARY"), "{ran:?}");
    assert!(ran.stdout.contains("not about kind iban"), "{ran:?}");
    let printed: Vec<serde_json::Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let unread = printed.iter().find(|one| one["check"] == 2).unwrap();
    assert!(text_of(&unread["refused"]).starts_with("phone: "), "{unread}");
    assert_eq!(by_partner(&printed, 3)["kmar"], "hit");
}
