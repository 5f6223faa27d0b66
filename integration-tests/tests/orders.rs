//! Orders of a prosecutor, delegation, roles and amounts: stories from the field, and attempts to get past each.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use overlap_integration_tests::{Agreement, HostileAsker, Play, Ran, World, text_of, wait_for};
use overlap_proto::{pb::peer as pb, peer};
use serde_json::Value;

const CSV: &str =
    "ref;phone;role\na;06-10000001;suspect\nb;06-10000002;victim\nc;06-10000003;victim\nd;06-10000004;suspect\n";

/// The prosecutor's key, and an agreement between politie and kmar that names it; kmar's dataset may only be compared under an order.
struct Court {
    world: World,
    key: PathBuf,
    thumbprint: String,
}

impl Court {
    fn new(grant: &str) -> Self {
        let mut world = World::new(&["politie", "kmar"]);
        world.agency_mut("kmar").configuration = "[[datasets]]\nname = \"cases\"\norders_only = true\n".to_owned();
        let key = world.path("om.key");
        world.pki(&["signing-key", key.to_str().unwrap()]);
        let thumbprint = Ran::overlap(&["pki", "thumbprint", key.to_str().unwrap()]).stdout;
        let thumbprint = thumbprint.trim().to_owned();
        world.agree(&Agreement {
            grant,
            more: authority(&thumbprint),
            ..Agreement::between("politie", "kmar")
        });
        world.configure();
        for name in ["politie", "kmar"] {
            world.start(name);
            import(&world, name, CSV);
        }
        Self { world, key, thumbprint }
    }

    /// A draft of politie's operator, completed.
    fn draft(&self, id: &str, more: &[&str]) -> String {
        let out = self.world.path(&format!("{id}.toml"));
        let arguments = [
            "order",
            "draft",
            "--id",
            id,
            "--peer",
            "kmar",
            "--mode",
            "hits",
            "--kind",
            "phone",
            "--purpose",
            "thb-investigation",
            "--case",
            "2026-1",
            "--reason",
            "a test",
            "--out",
            out.to_str().unwrap(),
        ];
        let ran = self.world.run("politie", "operator", &[&arguments[..], more].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        fs::read_to_string(&out).unwrap().replace("\"\"", "\"weighed\"")
    }

    /// Signs a draft.
    fn sign(&self, id: &str, draft: &str, key: &Path) -> PathBuf {
        let (file, out) = (
            self.world.path(&format!("{id}-final.toml")),
            self.world.path(&format!("{id}.json")),
        );
        fs::write(&file, draft).unwrap();
        let arguments = [
            "order",
            "sign",
            file.to_str().unwrap(),
            "--key",
            key.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
        ];
        let ran = Ran::overlap(&arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        out
    }

    fn add(&self, agency: &str, file: &Path) -> Ran {
        let arguments = ["--json", "order", "add", file.to_str().unwrap(), "--reason", "a test"];
        self.world.run(agency, "operator", &arguments)
    }

    /// Drafts, completes, signs and takes in an order, changed as said.
    fn order(&self, id: &str, change: impl Fn(String) -> String) -> PathBuf {
        let file = self.sign(id, &change(self.draft(id, &[])), &self.key);
        let added = self.add("politie", &file);
        assert_eq!(added.code, 0, "{added:?}");
        file
    }

    fn ask(&self, order: &str) -> Ran {
        self.world.ask("hits", &["--kind", "phone", "--order", order])
    }
}

fn authority(thumbprint: &str) -> String {
    format!("[[authority]]\nname = \"Openbaar Ministerie\"\ncountry = \"NL\"\nsigning_key = \"{thumbprint}\"\n")
}

fn import(world: &World, agency: &str, csv: &str) {
    let (file, mapping) = world.write_export(agency, csv);
    let toml = fs::read_to_string(&mapping).unwrap();
    let roles = "role = \"role\"\nroles = { suspect = \"suspect\", victim = \"victim\" }\n";
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
fn a_crawlers_list_is_compared_under_a_prosecutors_order_alone() {
    let court = Court::new("");
    // kmar marked its list: without an order its node refuses, and both logs tell
    let ran = court.world.ask("hits", &["--kind", "phone"]);
    refused(&ran, "PEER_REFUSED", "asks for an order");
    denied(&court.world, "politie", "asks for an order");
    denied(&court.world, "kmar", "asks for an order");

    let file = court.order("OM-1", |draft| draft);
    let verify =
        |signer: &str| Ran::overlap(&["--json", "order", "verify", file.to_str().unwrap(), "--signer", signer]);
    let verified = verify(&court.thumbprint).json();
    assert_eq!(verified["order"]["weighing"]["necessity"], "weighed");
    assert_eq!(verify(&"0".repeat(64)).code, 6);
    let found = court.ask("OM-1").json();
    assert_eq!(found["count"], 4);
    for agency in ["politie", "kmar"] {
        let entry = court.world.newest_match(agency)["entry"].clone();
        let orders = court.world.json(agency, "auditor", &["order", "list"]);
        assert_eq!(orders[0]["hash"], verified["hash"], "{agency} has it, for its auditor");
        assert_eq!(
            (&entry["order"], &entry["order_hash"]),
            (&"OM-1".into(), &verified["hash"]),
            "{agency}"
        );
    }
    // it was for one use, also after a restart
    let mut court = court;
    court.world.agency_mut("politie").stop();
    court.world.start("politie");
    refused(&court.ask("OM-1"), "LIMIT_REACHED", "may be used 1 times");
    denied(&court.world, "politie", "may be used 1 times");
}

#[test]
fn an_order_covers_what_it_says_and_no_more() {
    let court = Court::new("");
    type Change = fn(String) -> String;
    let cases: [(&str, Change, &str); 9] = [
        (
            "purpose",
            |d| d.replace("purpose = \"thb-investigation\"", "purpose = \"other\""),
            "does not cover purpose",
        ),
        (
            "case",
            |d| d.replace("case_reference = \"2026-1\"", "case_reference = \"2026-2\""),
            "does not cover this case",
        ),
        (
            "asker",
            |d| {
                d.replace(
                    "asker = \"spiffe://overlap.example/agency/politie\"",
                    "asker = \"spiffe://overlap.example/agency/iszw\"",
                )
            },
            "does not cover the asker",
        ),
        (
            "holder",
            |d| {
                d.replace(
                    "holders = [\"spiffe://overlap.example/agency/kmar\"]",
                    "holders = [\"spiffe://overlap.example/agency/iszw\"]",
                )
            },
            "does not cover the holder",
        ),
        (
            "dataset",
            |d| d.replace("# datasets = [\"cases\"] ", "datasets = [\"crawler\"] "),
            "does not cover dataset cases",
        ),
        (
            "mode",
            |d| d.replace("modes = [\"hits\"]", "modes = [\"count\"]"),
            "does not cover mode hits",
        ),
        (
            "kind",
            |d| d.replace("kinds = [\"phone\"]", "kinds = [\"email\"]"),
            "does not cover all of the kinds",
        ),
        (
            "size",
            |d| d.replace("max_set_size = 1000", "max_set_size = 3"),
            "does not cover a set of 4 items",
        ),
        (
            "past",
            |d| dated(&d, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            "has expired",
        ),
    ];
    for (id, change, words) in cases {
        court.order(id, change);
        refused(&court.ask(id), "ORDER_DENIED", words);
        denied(&court.world, "politie", words);
    }
    court.order("later", |d| dated(&d, "2098-01-01T00:00:00Z", "2099-01-02T00:00:00Z"));
    refused(&court.ask("later"), "ORDER_DENIED", "holds from");
    let ran = court.ask("nothing");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("no order has the id nothing"), "{ran:?}");

    // altered, signed by somebody else, and unsigned
    let good = court.sign("OM-2", &court.draft("OM-2", &[]), &court.key);
    let other = court.sign("OM-3", &court.draft("OM-3", &[]), &court.key);
    let text = |file: &Path| fs::read_to_string(file).unwrap();
    let payload = |text: &str| text_of(&serde_json::from_str::<Value>(text).unwrap()["payload"]).to_owned();
    let altered = text(&good).replace(&payload(&text(&good)), &payload(&text(&other)));
    fs::write(&good, altered).unwrap();
    let ran = court.add("politie", &good);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("a signature does not hold"), "{ran:?}");
    let stray = court.world.path("stray.key");
    court.world.pki(&["signing-key", stray.to_str().unwrap()]);
    let forged = court.sign("OM-4", &court.draft("OM-4", &[]), &stray);
    refused(
        &court.add("politie", &forged),
        "ORDER_DENIED",
        "is not signed by Openbaar Ministerie",
    );
    // who signs nothing weighs nothing
    let unweighed = court.world.path("unweighed.toml");
    fs::write(
        &unweighed,
        court
            .draft("OM-5", &[])
            .replace("necessity = \"weighed\"", "necessity = \" \""),
    )
    .unwrap();
    let out = court.world.path("unweighed.json");
    let arguments = [
        "order",
        "sign",
        unweighed.to_str().unwrap(),
        "--key",
        court.key.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    let ran = Ran::overlap(&arguments);
    assert!(ran.code == 2 && ran.stderr.contains("weighing: necessity"), "{ran:?}");
}

fn dated(draft: &str, from: &str, until: &str) -> String {
    let lines = draft.lines().map(|line| match line.split_once(" = ") {
        Some(("valid_from", _)) => format!("valid_from = \"{from}\""),
        Some(("valid_until", _)) => format!("valid_until = \"{until}\""),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn an_order_for_one_exact_set_covers_no_other() {
    let court = Court::new("");
    let draft = court.draft("OM-1", &["--exact", "cases"]);
    assert!(draft.contains("input_commitment"), "{draft}");
    let file = court.sign("OM-1", &draft.replace("uses = 1", "uses = 3"), &court.key);
    assert_eq!(court.add("politie", &file).code, 0);
    assert_eq!(court.ask("OM-1").json()["count"], 4);
    let commitment = court.world.newest_match("kmar")["entry"]["input_commitment"].clone();
    assert!(draft.contains(text_of(&commitment)));
    // the same again, after an import of the same
    import(&court.world, "politie", CSV);
    assert_eq!(court.ask("OM-1").json()["count"], 4);
    // one number more
    import(&court.world, "politie", &CSV.replace("06-10000004", "06-20000004"));
    refused(&court.ask("OM-1"), "ORDER_DENIED", "given for another set");
    denied(&court.world, "politie", "given for another set");
}

#[test]
fn a_revoked_order_counts_no_more_at_either_side() {
    let court = Court::new("");
    let file = court.order("OM-1", |draft| draft.replace("uses = 1", "uses = 5"));
    assert_eq!(court.ask("OM-1").json()["count"], 4);
    let revoked = court.world.path("revoked.json");
    let revoke = |key: &Path, out: &Path| {
        let arguments = [
            "order",
            "revoke",
            file.to_str().unwrap(),
            "--key",
            key.to_str().unwrap(),
            "--reason",
            "over",
        ];
        Ran::overlap(&[&arguments[..], &["--out", out.to_str().unwrap()]].concat())
    };
    let stray = court.world.path("stray.key");
    court.world.pki(&["signing-key", stray.to_str().unwrap()]);
    assert_eq!(revoke(&stray, &court.world.path("forged.json")).code, 2);
    assert_eq!(revoke(&court.key, &revoked).code, 0);
    // the holder has the order since it was asked under it: who hears of the end first tells the other, and both refuse meanwhile
    assert_eq!(court.add("kmar", &revoked).code, 0);
    let ran = court.ask("OM-1");
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(
        text_of(&ran.failure()["message"]).contains("was revoked by Openbaar Ministerie"),
        "{ran:?}"
    );
    wait_for("politie has heard", || {
        let orders = court.world.json("politie", "auditor", &["order", "list"]);
        orders[0]["state"] == "revoked"
    });
    refused(&court.ask("OM-1"), "ORDER_DENIED", "was revoked by");
    denied(&court.world, "politie", "was revoked by");
}

#[test]
fn a_revocation_of_an_order_travels_to_whom_it_names() {
    let court = Court::new("");
    let file = court.order("OM-1", |draft| draft);
    let revoked = court.world.path("revoked.json");
    let arguments = [
        "order",
        "revoke",
        file.to_str().unwrap(),
        "--key",
        court.key.to_str().unwrap(),
        "--reason",
        "over",
        "--out",
    ];
    assert_eq!(
        Ran::overlap(&[&arguments[..], &[revoked.to_str().unwrap()]].concat()).code,
        0
    );
    assert_eq!(court.add("politie", &revoked).code, 0);
    wait_for("kmar has heard", || {
        let orders = court.world.json("kmar", "auditor", &["order", "list"]);
        orders
            .as_array()
            .unwrap()
            .iter()
            .any(|order| order["state"] == "revoked")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asker_whose_node_lies_is_refused_by_the_holder() {
    let court = Court::new("roles = [\"suspect\"]");
    let agreements = court.world.json("kmar", "operator", &["agreement", "list"]);
    let hash = text_of(&agreements[0]["hash"]).parse().unwrap();
    let open = |change: &dyn Fn(&mut peer::Open)| {
        let mut open = peer::Open {
            transaction: uuid::Uuid::now_v7(),
            agreement: "thb-2026".into(),
            agreement_hash: hash,
            dataset: "cases".into(),
            mode: peer::Mode::Hits,
            protocol: overlap_psi::Protocol::DhPsi,
            profile: overlap_records::Profile::eu_thb_1().name().into(),
            profile_hash: overlap_audit::Digest(overlap_records::Profile::eu_thb_1().hash()),
            kinds: vec![overlap_records::Kind::Phone],
            purpose: "thb-investigation".into(),
            case_reference: "1".into(),
            reason: "a test".into(),
            person: "spiffe://politie.example/user/analyst".into(),
            role: "analyst".into(),
            set_size: 4,
            input_commitment: overlap_audit::Digest([1; 32]),
            roles: vec![overlap_records::Role::Suspect],
            order: None,
            on_behalf_of: None,
        };
        change(&mut open);
        open
    };
    type Lie = Box<dyn Fn(&mut peer::Open)>;
    let cases: [(Lie, &str); 7] = [
        (
            Box::new(|open| open.purpose = "other".into()),
            "does not cover purpose other",
        ),
        (
            Box::new(|open| open.roles = vec![overlap_records::Role::Victim]),
            "roles asked about",
        ),
        (
            Box::new(|open| open.on_behalf_of = Some("BG".into())),
            "on behalf of BG",
        ),
        (Box::new(|open| open.set_size = 2_000_000), "larger than the 1000000"),
        (
            Box::new(|open| open.agreement_hash = overlap_audit::Digest([7; 32])),
            "has no agreement thb-2026",
        ),
        (
            Box::new(|open| open.agreement = "another".into()),
            "has no agreement another",
        ),
        (Box::new(|_| ()), "asks for an order"),
    ];
    let mut asker = HostileAsker::connect(&court.world, "politie", "kmar").await;
    for (lie, words) in &cases {
        let play = vec![Play::Send(pb::MatchRequest::from(open(lie)))];
        let (answers, status) = asker.play(play, None).await;
        assert!(answers.is_empty(), "{words}: nothing is handed over");
        assert!(status.unwrap().message().contains(words), "{words}");
        denied(&court.world, "kmar", words);
    }
}
