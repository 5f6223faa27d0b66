//! Askers that follow up what they have not found, or may not.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;

use overlap_audit::Digest;
use overlap_integration_tests::{Agreement, HostileAsker, World, text_of};
use overlap_proto::{follow_up::FollowUp, pb::peer as pb};
use overlap_records::{Identifier, Kind};
use serde_json::Value;
use tonic::Status;
use uuid::Uuid;

/// Three numbers are asked about.
const ASKED: &str = "ref;phone\nx;06-10000001\ny;06-10000002\nz;06-10000007\n";
const HELD: &str = "ref;phone;email;class;role\n\
    closed;06-10000001;closed@example.org;b;suspect\n\
    informant;06-10000003;secret@example.org;d;suspect\n\
    dim;06-10000004;dim@example.org;c;suspect\n\
    near;06-10000007;near@example.org;c;suspect\n\
    child;06-10000005;child@example.org;a;victim\n\
    other;06-10000006;other@example.org;a;suspect\n";

struct Scene {
    world: World,
    wish: FollowUp,
    asker: HostileAsker,
}

/// A match that was asked as it should be; then politie's node is replaced by one that lies.
async fn scene() -> Scene {
    let mut world = World::new(&["politie", "kmar", "iszw"]);
    let grant = "disclose = [\"reference\", \"email\"]\nroles = [\"suspect\"]\nmirror = 16";
    world.agree(&Agreement {
        grant,
        ..Agreement::between("politie", "kmar")
    });
    world.configure();
    for name in ["politie", "kmar"] {
        world.start(name);
    }
    world.import("politie", ASKED);
    let (file, mapping) = world.write_export("kmar", HELD);
    let toml = fs::read_to_string(&mapping).unwrap();
    let columns = "[record]\nvisibility_column = \"class\"\nrole = \"role\"\n";
    fs::write(&mapping, toml.replace("[record]\n", columns)).unwrap();
    let ran = world.import_file("kmar", "operator", &file, &mapping, &["--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let found = world.ask("hits", &["--kind", "phone", "--role", "suspect"]).json();
    assert_eq!(found["count"], 1);
    let agreements = world.json("kmar", "operator", &["agreement", "list"]);
    let wish = FollowUp {
        pseudonym: None,
        transaction: Uuid::now_v7(),
        id: Uuid::new_v4(),
        about: text_of(&found["transaction"]).parse().unwrap(),
        agreement_hash: text_of(&agreements[0]["hash"]).parse().unwrap(),
        kind: Kind::Phone,
        identifier: Some(phone("+31610000001")),
        reason: "a test".into(),
        person: "spiffe://politie.example/user/analyst".into(),
        role: "analyst".into(),
    };
    world.agency_mut("politie").stop();
    let asker = HostileAsker::connect(&world, "politie", "kmar").await;
    Scene { world, wish, asker }
}

fn phone(canonical: &str) -> Identifier {
    Identifier::from_canonical(Kind::Phone, canonical).unwrap()
}

impl Scene {
    async fn ask(&mut self, change: impl FnOnce(&mut FollowUp)) -> Result<pb::FollowUpResponse, Status> {
        let mut wish = FollowUp {
            transaction: Uuid::now_v7(),
            id: Uuid::new_v4(),
            ..self.wish.clone()
        };
        change(&mut wish);
        self.asker.follow_up(&wish).await
    }

    fn newest(&self) -> Value {
        let mut entries = self.world.entries("kmar").into_iter();
        entries
            .find(|entry| entry["entry"]["operation"] == "disclosure")
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_match_found_is_not_told_and_only_as_often_as_it_asked() {
    let mut scene = scene().await;
    // the match asked about three items: an asker that lies learns of as many identifiers, and no more than a match would have said
    let informant = scene
        .ask(|wish| wish.identifier = Some(phone("+31610000003")))
        .await
        .unwrap();
    assert_eq!(
        (informant.state.as_str(), informant.declined.as_str()),
        ("declined", "not-held")
    );
    assert!(informant.records.is_empty());
    let nobody = scene
        .ask(|wish| wish.identifier = Some(phone("+31612345678")))
        .await
        .unwrap();
    assert_eq!((nobody.state, nobody.declined), (informant.state, informant.declined));
    scene.ask(|_| {}).await.unwrap();
    let fourth = scene.ask(|_| {}).await.unwrap_err();
    assert!(fourth.message().contains("3 hits of it were followed up"), "{fourth:?}");
    let entry = scene.newest();
    assert_eq!(entry["closing"]["outcome"], "denied");
    assert!(
        text_of(&entry["closing"]["detail"]).contains("asked about 3 items"),
        "{entry}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn classes_and_roles_that_were_not_shown_cannot_be_claimed() {
    let mut scene = scene().await;
    for number in ["+31610000004", "+31610000005"] {
        let answer = scene.ask(|wish| wish.identifier = Some(phone(number))).await.unwrap();
        assert_eq!(answer.declined, "not-held", "{number}");
        assert!(answer.records.is_empty());
    }
    // a hit of which the kind alone was shown: naming the right number is refused like naming a wrong one
    assert_eq!(scene.world.status("kmar")["undecided"], 1);
    let listed = scene
        .world
        .json("kmar", "functionary", &["hits", "list", "--reason", "a test"]);
    let id: Uuid = text_of(&listed[0]["id"]).parse().unwrap();
    let guess = |number: &str| {
        let number = number.to_owned();
        move |wish: &mut FollowUp| {
            wish.id = id;
            wish.identifier = Some(phone(&number));
        }
    };
    let right = scene.ask(guess("+31610000007")).await.unwrap_err();
    let wrong = scene.ask(guess("+31610000002")).await.unwrap_err();
    assert_eq!(right.message(), wrong.message());
    let without = scene.ask(|wish| {
        wish.id = id;
        wish.identifier = None;
    });
    let answer = without.await.unwrap();
    assert_eq!((answer.state.as_str(), answer.canonical.as_str()), ("pending", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_lie_about_what_is_followed_up_is_refused_and_logged() {
    let mut scene = scene().await;
    type Lie = Box<dyn FnOnce(&mut FollowUp)>;
    let lies: Vec<(&str, Lie)> = vec![
        ("not in the log", Box::new(|wish| wish.about = Uuid::now_v7())),
        (
            "has no agreement",
            Box::new(|wish| wish.agreement_hash = Digest([7; 32])),
        ),
        (
            "compared this kind",
            Box::new(|wish| {
                wish.kind = Kind::Iban;
                wish.identifier = None;
            }),
        ),
        ("no follow-up has this id", Box::new(|wish| wish.identifier = None)),
    ];
    for (what, lie) in lies {
        let refused = scene.ask(lie).await.unwrap_err();
        assert!(refused.message().contains(what), "{refused:?}");
        let entry = scene.newest();
        assert_eq!(entry["closing"]["outcome"], "denied", "{what}");
        assert!(text_of(&entry["closing"]["detail"]).contains(what), "{entry}");
        assert_eq!(entry["entry"]["asker"], "spiffe://overlap.example/agency/politie");
    }
    // one id is of one follow-up, whoever it is asked by
    let id = Uuid::new_v4();
    let answer = scene.ask(|wish| wish.id = id).await.unwrap();
    assert_eq!(answer.state, "pending");
    let twice = scene.ask(|wish| {
        wish.id = id;
        wish.identifier = Some(phone("+31610000006"));
    });
    let refused = twice.await.unwrap_err();
    assert!(refused.message().contains("of another"), "{refused:?}");
    let transaction = scene.newest()["entry"]["transaction"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let refused = scene.ask(|wish| wish.transaction = transaction).await.unwrap_err();
    assert!(refused.message().contains("used before"), "{refused:?}");

    // another agency cannot follow it up, nor hears of it what its asker would
    let mut stranger = HostileAsker::connect(&scene.world, "iszw", "kmar").await;
    let wish = FollowUp {
        transaction: Uuid::now_v7(),
        id,
        ..scene.wish.clone()
    };
    let refused = stranger.follow_up(&wish).await.unwrap_err();
    assert!(refused.message().contains("has no agreement"), "{refused:?}");
    assert_eq!(stranger.decisions(&[id]).await.unwrap(), [id], "as if it did not exist");
    assert!(scene.asker.decisions(&[id]).await.unwrap().is_empty());
}
