//! `overlap action`.

mod check;
mod feed;
mod lines;
mod print;
mod settled;

pub(crate) use check::checks;
pub(crate) use feed::AlertShape;
pub(crate) use print::{ActionShape, print_report};

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::builder::NonEmptyStringValueParser;
use jiff::Timestamp;
use overlap_proto::pb::operator as pb;
use overlap_records::{Kind, Role};
use overlap_report::{action::Figures, day};

use crate::{
    client::{self, Failure},
    files,
    output::Output,
    settings::{Connection, Settings},
};

/// Live matching among many agencies, with a start and an end
///
/// One agency coordinates: it plans the action, invites, starts, pauses and ends it. Each participant joins, checks what it meets, and is told
/// when somebody checks what it holds. Nobody sees what others check or hold but where they meet. At the end keys, snapshots, checks and
/// alerts are gone; the logs and the numbers stay.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Plan an action that your agency coordinates; nobody is told yet
    Create(Create),
    /// Tell the participants of an action that you planned
    Invite(Step),
    /// Take part in an action
    Join {
        #[command(flatten)]
        step: Step,
        /// Id of the order that you check under, where the agreement wants one
        #[arg(long)]
        order: Option<String>,
        #[command(flatten)]
        wait: settled::Wait,
    },
    /// Take part no more: your keys and what was made with them are gone at once
    Leave(Step),
    /// Start an action, or let it go on
    Start {
        #[command(flatten)]
        step: Step,
        #[command(flatten)]
        wait: settled::Wait,
    },
    /// Let nobody check anything for now
    Pause(Step),
    /// End an action, for good
    End(Step),
    /// Show how actions stand, and who can be checked
    Status {
        /// The action, by its id or the first 8 digits or more of its hash [default: all]
        action: Option<String>,
    },
    /// Check persons or things at all partners at once
    Check(check::Args),
    /// Follow the alerts of your agency: hits of your checks, and of others' on what you hold
    Feed(feed::Args),
    /// Take an alert on
    Claim(feed::Handle),
    /// Say that an alert is right: it is who or what was looked for
    Confirm(feed::Handle),
    /// Say that an alert is wrong
    False(feed::Handle),
    /// Let the other agency go on with an alert
    HandOver(feed::Handle),
    /// Show the counters of the day, live or after the end
    Report {
        /// The action, by its id or the first 8 digits or more of its hash
        action: String,
        /// Also write a table (CSV), a timeline (SVG) and the numbers (JSON) into this directory, made if missing
        #[arg(long, value_name = "DIRECTORY")]
        out: Option<PathBuf>,
    },
}

#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  overlap action create --id jad-2026-06 --with politie,kmar,iszw,belgium --kind phone,document,plate,person \\\n    --from 2026-06-08T05:00:00Z --until 2026-06-13T22:00:00Z --purpose thb-investigation --case JAD-2026-06 \\\n    --reason \"Joint Action Days on labour exploitation\""
)]
pub(crate) struct Create {
    /// What people call it
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    id: String,
    /// Names of the agencies that take part, your own among them if it does: separated by commas, or repeated
    #[arg(long = "with", value_name = "AGENCY", value_delimiter = ',', required = true)]
    participants: Vec<String>,
    /// Kinds of identifiers that may be checked: separated by commas, or repeated [default: all that every grant covers]
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',', value_parser = |word: &str| word.parse::<Kind>().map(|kind| kind.to_string()))]
    kinds: Vec<String>,
    /// Roles of the subjects that are looked for: separated by commas, or repeated [default: all that every grant covers]
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',', value_parser = |word: &str| word.parse::<Role>().map(|role| role.to_string()))]
    roles: Vec<String>,
    /// First moment at which anything may be checked, such as 2026-06-08T05:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// First moment at which nothing may be checked any more
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Timestamp,
    /// Purpose, as the agreement names it
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    purpose: String,
    /// Reference of the case
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    case: String,
    /// Why, in words; goes to all logs
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    reason: String,
    /// Agreement that all are parties to, by id or hash [default: the one that covers it]
    #[arg(long)]
    agreement: Option<String>,
    /// Milliseconds that a check waits for its answers
    #[arg(long, value_name = "MS", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..=60_000))]
    deadline: u32,
    /// Checks that each agency may make in a minute
    #[arg(long, value_name = "NUMBER", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    checks_per_minute: u32,
    /// Seconds after which an alert that nobody has claimed is raised again
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    escalate: u32,
}

fn time(word: &str) -> Result<Timestamp, &'static str> {
    let wrong = "a time has a date and a zone, such as 2026-06-13T22:00:00Z or 2026-06-14T00:00:00+02:00";
    word.parse().map_err(|_| wrong)
}

#[derive(clap::Args)]
pub(crate) struct Step {
    /// The action, by its id or the first 8 digits or more of its hash
    action: String,
    /// Why, in words; goes to the logs of all participants
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    reason: String,
}

pub(crate) async fn run(connection: Connection, command: Command, output: &mut Output) -> Result<(), Failure> {
    let settings = connection.check()?;
    match command {
        Command::Create(args) => {
            let made = client::actions(&settings)
                .await?
                .create(request(args))
                .await?
                .into_inner();
            let shape = ActionShape::from(made);
            output.print(&shape, |out| {
                print::action(out, &shape)?;
                writeln!(
                    out,
                    "nobody is told yet: overlap action invite {} --reason ...",
                    shape.id
                )
            })
        }
        Command::Invite(step) => {
            let request = pb::AboutActionRequest {
                action: step.action,
                reason: step.reason,
            };
            let told = client::actions(&settings).await?.invite(request).await?.into_inner();
            heard(told, output)
        }
        Command::Join { step, order, wait } => {
            let told = make(&settings, "join", step, order).await?;
            heard(wait.until_ready(&settings, told, output).await?, output)
        }
        Command::Start { step, wait } => {
            let told = make(&settings, "start", step, None).await?;
            heard(wait.until_ready(&settings, told, output).await?, output)
        }
        Command::Leave(step) => heard(make(&settings, "leave", step, None).await?, output),
        Command::Pause(step) => heard(make(&settings, "pause", step, None).await?, output),
        Command::End(step) => heard(make(&settings, "end", step, None).await?, output),
        Command::Status { action } => {
            let request = pb::ListActionsRequest {
                action: action.unwrap_or_default(),
            };
            let listed = client::actions(&settings).await?.list(request).await?.into_inner();
            let shapes: Vec<ActionShape> = listed.actions.into_iter().map(ActionShape::from).collect();
            output.print(&shapes, |out| print::actions(out, &shapes))
        }
        Command::Check(args) => check::run(&settings, args, output).await,
        Command::Feed(args) => feed::run(&settings, args, output).await,
        Command::Claim(args) => feed::handle(&settings, "claim", args, output).await,
        Command::Confirm(args) => feed::handle(&settings, "confirm", args, output).await,
        Command::False(args) => feed::handle(&settings, "false", args, output).await,
        Command::HandOver(args) => feed::handle(&settings, "hand-over", args, output).await,
        Command::Report { action, out } => report(&settings, action, out, output).await,
    }
}

fn request(args: Create) -> pb::CreateActionRequest {
    pb::CreateActionRequest {
        id: args.id,
        agreement: args.agreement.unwrap_or_default(),
        purpose: args.purpose,
        case_reference: args.case,
        reason: args.reason,
        participants: args.participants,
        kinds: args.kinds,
        roles: args.roles,
        from: args.from.unwrap_or_else(this_second).to_string(),
        until: args.until.to_string(),
        deadline_ms: args.deadline,
        checks_per_minute: args.checks_per_minute,
        escalate_after_seconds: args.escalate,
    }
}

/// Whole seconds are all that people read.
fn this_second() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

async fn make(settings: &Settings, verb: &str, step: Step, order: Option<String>) -> Result<pb::Action, Failure> {
    let request = pb::StepActionRequest {
        action: step.action,
        verb: verb.to_owned(),
        reason: step.reason,
        order: order.unwrap_or_default(),
    };
    Ok(client::actions(settings).await?.step(request).await?.into_inner())
}

fn heard(told: pb::Action, output: &mut Output) -> Result<(), Failure> {
    let shape = ActionShape::from(told);
    output.print(&shape, |out| {
        print::action(out, &shape)?;
        for partner in shape
            .partners
            .iter()
            .filter(|one| one.heard.as_deref().is_some_and(|heard| heard != "yes"))
        {
            writeln!(
                out,
                "{} has not heard yet, and will when it can be reached: {}",
                partner.name,
                partner.heard.as_deref().unwrap_or_default()
            )?;
        }
        let have = shape.partners.iter().filter(|one| one.heard.as_deref() == Some("yes"));
        let have: Vec<&str> = have.map(|one| one.name.as_str()).collect();
        if !have.is_empty() {
            writeln!(out, "have heard: {}", have.join(", "))?;
        }
        let is_alone = shape.partners.iter().all(|one| one.link == "own" || !one.has_joined);
        if shape.state == "running" && is_alone {
            writeln!(
                out,
                "nobody else has joined yet: their users do, with overlap action join {}",
                shape.id
            )?;
        }
        Ok(())
    })
}

/// The counters of an action.
pub(crate) async fn figures(settings: &Settings, action: &str) -> Result<Figures, Failure> {
    let request = pb::AboutActionRequest {
        action: action.to_owned(),
        reason: String::new(),
    };
    let told = client::actions(settings).await?.report(request).await?.into_inner();
    let figures = serde_json::from_str(&told.figures).context("the node's counters cannot be read");
    figures.map_err(Failure::internal)
}

async fn report(settings: &Settings, action: String, out: Option<PathBuf>, output: &mut Output) -> Result<(), Failure> {
    if let Some(directory) = &out {
        // before anything is asked that could then not be written
        files::create_dir(directory).map_err(Failure::usage)?;
    }
    let figures = figures(settings, &action).await?;
    if let Some(directory) = &out {
        save(&figures, directory)?;
    }
    output.print(&figures, |printed| {
        print_report(printed, &figures)?;
        match &out {
            Some(directory) => writeln!(printed, "table, timeline and numbers are in {}", directory.display()),
            None => Ok(()),
        }
    })
}

/// Writes a table, a timeline and the numbers.
pub(crate) fn save(figures: &Figures, directory: &std::path::Path) -> Result<(), Failure> {
    let mut csv = Vec::new();
    figures.write_csv(&mut csv).map_err(Failure::internal)?;
    let json = serde_json::to_vec_pretty(figures).map_err(Failure::internal)?;
    let written = [
        ("action.csv", csv),
        ("action.svg", day(figures).into_bytes()),
        ("action.json", json),
    ];
    for (name, bytes) in written {
        let path = directory.join(name);
        let wrote = fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()));
        wrote.map_err(Failure::usage)?;
    }
    Ok(())
}
