//! A Joint Action Day of four agencies, live.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Result, anyhow};
use overlap_proto::pb::operator::{self as pb, check_request, check_response};
use overlap_records::{Hints, Identifier, Kind};
use overlap_report::action::Figures;
use serde::Serialize;

use super::story::{load, load_into};
use crate::{
    action::{self, ActionShape, AlertShape, checks},
    client::Failure,
    files,
    fleet::{ACTION, Acting, CASE, Fleet, ready, step},
    output::{Output, table},
};

const AGENCIES: [&str; 4] = ["politie", "kmar", "iszw", "belgium"];

const MAPPING: &str = r#"
[source]
region = "NL"
dates = "ymd"
[record]
reference = "id"
role = "role"
roles = { suspect = "suspect", convicted = "convicted", victim = "victim" }
visibility_column = "class"
[[identifier]]
kind = "person"
given = "given"
family = "family"
born = "born"
[[identifier]]
kind = "phone"
columns = ["phone"]
[[identifier]]
kind = "document"
columns = ["document"]
"#;

const HEAD: &str = "id;role;class;given;family;born;phone;document\n";

/// What each holds: made up.
const RECORDS: [&str; 4] = [
    "P-11;suspect;a;Milan;Horvat;1984-05-12;06-20000011;\nP-12;victim;b;;;;06-20000012;\n",
    "K-21;suspect;b;;;;06-20000021;HRV4455667\nK-22;convicted;a;Pieter;van der Velde;1979-11-02;;NXK223344\n",
    "S-31;suspect;c;;;;06-20000021;\nS-32;suspect;d;;;;06-20000032;\n",
    "B-41;suspect;a;Milan;Horvat;1984-05-12;+32470000041;\n",
];

/// Identifiers as people write them.
type Values = &'static [(Kind, &'static str)];

/// What officers meet in the street: who checks, what it is, and identifiers.
const CHECKS: [(&str, &str, Values); 6] = [
    (
        "politie",
        "a passenger at a petrol station",
        &[(Kind::Phone, "06 2000 0099")],
    ),
    (
        "politie",
        "the driver of a van, with a Croatian passport",
        &[(Kind::Document, "HR: 4455667"), (Kind::Phone, "0031620000021")],
    ),
    (
        "kmar",
        "a traveller at the border",
        &[(Kind::Person, "Milan Horvat|1984-05-12")],
    ),
    (
        "belgium",
        "a foreman at a building site",
        &[(Kind::Phone, "+31 6 20000012")],
    ),
    ("politie", "a phone found in a house", &[(Kind::Phone, "06-20000032")]),
    ("kmar", "a man with a return ticket", &[(Kind::Phone, "06-20000077")]),
];

/// What comes in in the middle of the day.
const LATER: &str = "B-42;suspect;b;;;;+31620000077;\n";

/// The demonstration of an action, in JSON.
#[derive(Serialize)]
struct Shape {
    checks: Vec<CheckShape>,
    /// By agency: its alerts before the end.
    alerts: BTreeMap<String, Vec<AlertShape>>,
    /// By agency: the counters of the day.
    reports: BTreeMap<String, Figures>,
    /// How it stands at the end.
    action: ActionShape,
    /// Where the end report of politie is.
    written: String,
}

#[derive(Serialize)]
struct CheckShape {
    by: String,
    what: String,
    /// By partner: hit, no-hit, unreachable or refused.
    answers: BTreeMap<String, String>,
    milliseconds: f64,
}

pub(super) async fn run(directory: &Path, out: &Path, output: &mut Output) -> Result<(), Failure> {
    files::create_dir(out).map_err(Failure::usage)?;
    output.say("Four agencies of two countries, each with its own node, keys and records. All people and numbers are made up.\n")?;
    let fleet = Fleet::start(directory, &AGENCIES, &[])
        .await
        .map_err(Failure::internal)?;
    let told = tell(&fleet, out, output).await;
    fleet.stop().await.map_err(Failure::internal)?;
    let shape = told?;
    output.print(&shape, |_| Ok(()))
}

async fn tell(fleet: &Fleet, out: &Path, output: &mut Output) -> Result<Shape, Failure> {
    for (name, records) in AGENCIES.into_iter().zip(RECORDS) {
        let agency = fleet.agency(name).map_err(Failure::internal)?;
        load(agency, format!("{HEAD}{records}").as_bytes(), MAPPING).await?;
    }
    let acting = Acting {
        asks: |_, _| true,
        kinds: &["phone", "document", "person"],
        // iszw learns of checks on its informant, and nobody learns that it has one
        grant: "mirror = 16\n",
        checks_per_minute: 600,
        deadline_ms: 2000,
    };
    fleet.act(&acting).await.map_err(Failure::internal)?;
    for name in AGENCIES {
        let mut coordinator = fleet.coordinator(name).await.map_err(Failure::internal)?;
        ready(&mut coordinator, AGENCIES.len() - 1)
            .await
            .map_err(Failure::internal)?;
    }
    output.say(
        "1. politie planned the day, all four joined, and politie started it. Each made a key, and gave the others a filter over its records\n   \
         under that key: nothing can be looked up in it without asking its owner, who sees blinded points alone.\n",
    )?;
    output.say("2. Officers check whom they meet; all partners answer at once.\n")?;
    let mut shown = Vec::new();
    let mut rows = table(["checked by", "who or what", "answers", "ms"]);
    for (by, what, values) in CHECKS {
        let made = check(fleet, by, what, values).await?;
        let answers: Vec<String> = made
            .answers
            .iter()
            .map(|(partner, outcome)| format!("{partner}: {outcome}"))
            .collect();
        rows.add_row([
            by.to_owned(),
            what.to_owned(),
            answers.join(", "),
            format!("{:.0}", made.milliseconds),
        ]);
        shown.push(made);
    }
    output.say(format!("{rows}\n"))?;

    output.say("3. Belgium hears of a number, and adds it: an earlier check of kmar becomes a hit by itself.\n")?;
    let belgium = fleet.agency("belgium").map_err(Failure::internal)?;
    load_into(belgium, format!("{HEAD}{LATER}").as_bytes(), MAPPING, true).await?;
    let late = wait_for(fleet, "kmar", |alert| {
        alert.partner == "belgium" && alert.kind == "phone"
    })
    .await?;
    output.say(format!("   kmar: {}\n", late.line()))?;

    output.say(
        "4. Both sides of each hit were told. kmar takes the late one on, and confirms it; belgium sees that.\n",
    )?;
    for verb in ["claim", "confirm"] {
        let wish = pb::HandleAlertRequest {
            action: ACTION.to_owned(),
            alert: late.id.clone(),
            verb: verb.to_owned(),
            reason: "the officer is with him".to_owned(),
        };
        fleet
            .coordinator("kmar")
            .await
            .map_err(Failure::internal)?
            .handle(wish)
            .await?;
    }
    wait_for(fleet, "belgium", |alert| {
        alert.id == late.id && alert.state == "confirmed"
    })
    .await?;
    let mut alerts = BTreeMap::new();
    for name in AGENCIES {
        let own = self::alerts(fleet, name).await?;
        output.say(format!("   {name}:"))?;
        for alert in &own {
            output.say(format!("     {}", alert.line()))?;
        }
        alerts.insert(name.to_owned(), own);
    }
    output.say("")?;

    output.say("5. politie ends the day: keys, filters, checks and alerts are gone on all nodes. The logs stay, and the numbers:\n")?;
    let mut leader = fleet.coordinator("politie").await.map_err(Failure::internal)?;
    step(&mut leader, "end").await.map_err(Failure::internal)?;
    let mut reports = BTreeMap::new();
    for name in AGENCIES {
        reports.insert(name.to_owned(), ended(fleet, name).await?);
    }
    if let Some(own) = reports.get("politie") {
        action::save(own, out)?;
        if !output.json() {
            action::print_report(output.writer(), own).map_err(Failure::internal)?;
        }
    }
    output.say(format!(
        "\nThe report of politie is in {}: open {}",
        out.display(),
        out.join("action.svg").display()
    ))?;
    let wish = pb::ListActionsRequest {
        action: ACTION.to_owned(),
    };
    let listed = leader.list(wish).await?.into_inner().actions.into_iter().next();
    let stands = listed.ok_or_else(|| Failure::internal(anyhow!("the action is not known")))?;
    Ok(Shape {
        checks: shown,
        alerts,
        reports,
        action: stands.into(),
        written: out.display().to_string(),
    })
}

async fn check(fleet: &Fleet, by: &str, what: &str, values: &[(Kind, &str)]) -> Result<CheckShape, Failure> {
    let mut client = fleet.coordinator(by).await.map_err(Failure::internal)?;
    let open = pb::CheckOpen {
        action: ACTION.to_owned(),
        case_reference: CASE.to_owned(),
        reason: what.to_owned(),
        on_behalf_of: String::new(),
    };
    let (wishes, mut answers) = checks(&mut client, open).await?;
    let hints = Hints {
        region: "NL".parse().map_err(Failure::internal)?,
        dates: overlap_records::DateOrder::Ymd,
        platform: None,
    };
    let mut identifiers = Vec::new();
    for (kind, value) in values {
        let made = Identifier::normalise(*kind, value, &hints)
            .map_err(|error| Failure::internal(anyhow!("{kind}: {error}")))?;
        identifiers.push(pb::Identifier {
            kind: kind.to_string(),
            canonical: made.canonical().to_owned(),
        });
    }
    let wish = pb::CheckWish {
        number: 1,
        identifiers,
        ..pb::CheckWish::default()
    };
    let request = pb::CheckRequest {
        message: Some(check_request::Message::Check(wish)),
    };
    wishes.send(request).await.map_err(Failure::internal)?;
    drop(wishes);
    let mut made = CheckShape {
        by: by.to_owned(),
        what: what.to_owned(),
        answers: BTreeMap::new(),
        milliseconds: 0.0,
    };
    while let Some(answer) = answers.message().await? {
        match answer.message {
            Some(check_response::Message::Answer(answer)) => drop(made.answers.insert(answer.partner, answer.outcome)),
            Some(check_response::Message::Done(done)) => made.milliseconds = done.milliseconds,
            None => {}
        }
    }
    Ok(made)
}

async fn alerts(fleet: &Fleet, name: &str) -> Result<Vec<AlertShape>, Failure> {
    let mut client = fleet.coordinator(name).await.map_err(Failure::internal)?;
    let wish = pb::FeedRequest {
        action: ACTION.to_owned(),
        once: true,
    };
    let mut feed = client.feed(wish).await?.into_inner();
    let mut alerts = Vec::new();
    while let Some(alert) = feed.message().await? {
        alerts.push(AlertShape::from(alert));
    }
    Ok(alerts)
}

/// Waits for an alert.
async fn wait_for(fleet: &Fleet, name: &str, is_meant: impl Fn(&AlertShape) -> bool) -> Result<AlertShape, Failure> {
    const TRIES: usize = 200;
    for _ in 0..TRIES {
        if let Some(alert) = alerts(fleet, name).await?.into_iter().find(&is_meant) {
            return Ok(alert);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Failure::internal(anyhow!("{name} was not alerted in time")))
}

/// Waits until an action has ended at an agency, and gives its counters.
async fn ended(fleet: &Fleet, name: &str) -> Result<Figures, Failure> {
    const TRIES: usize = 200;
    let settings = fleet.agency(name).map_err(Failure::internal)?.settings("coordinator");
    for _ in 0..TRIES {
        let figures = action::figures(&settings, ACTION).await?;
        if figures.ended.is_some() {
            return Ok(figures);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Failure::internal(anyhow!("the action has not ended at {name} in time")))
}
