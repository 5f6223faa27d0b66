//! `overlap picture`.

mod load;
mod print;
mod run;
mod save;

pub(crate) use print::print;
pub(crate) use run::{Phases, lead};
pub(crate) use save::save;

use std::path::PathBuf;

use anyhow::anyhow;
use clap::builder::NonEmptyStringValueParser;
use overlap_proto::pb::operator as pb;
use overlap_report::{Month, compare, figures};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    client::{self, Failure},
    hits::FollowUpShape,
    output::{Output, grouped, table},
    settings::Connection,
};
use load::{load, shown};

/// What many agencies have in common, without any of their data leaving them
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Ask several peers what they, and you, have in common
    Run(run::Args),
    /// List the pictures under way, with how far each participant is, and those that are kept
    Status,
    /// Show what a picture told
    Show {
        /// The picture: the first digits, 8 or more, of its id, or a file that was saved
        picture: String,
        /// Why, in words; goes to the log; needed unless it is a file
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: Option<String>,
    },
    /// Ask the holders of what is shared what they have behind it; each decides. Again: what has become of it
    FollowUp {
        /// The picture: the first digits, 8 or more, of its id
        picture: String,
        /// What is shared: the first digits, 8 or more, of its pseudonym
        pseudonym: String,
        /// Why, in words; goes to all logs
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: String,
    },
    /// Hold two pictures of the same agencies, form, roles and first month against each other: what is new per combination
    Compare {
        /// The earlier: the first digits, 8 or more, of its id, or a file
        before: String,
        /// The later
        after: String,
        /// Why, in words; goes to the log; needed unless it is a file
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: Option<String>,
    },
    /// Write a picture as charts and for other programs
    Export {
        /// The picture: the first digits, 8 or more, of its id, or a file
        picture: String,
        /// Where to: a directory, made if missing
        #[arg(long, value_name = "DIRECTORY")]
        out: PathBuf,
        /// What to write; may be repeated [default: all that the picture has something for]
        #[arg(long = "format", value_enum)]
        formats: Vec<save::Format>,
        /// Why, in words; goes to the log; needed unless it is a file
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: Option<String>,
    },
    /// Unique subjects in a role, year to date, and where twelve months will end: what the Security Agenda is steered by. From a picture of statistics
    Figures {
        /// The picture: the first digits, 8 or more, of its id, or a file
        picture: String,
        /// Kind of identifiers that stand for subjects
        #[arg(long, default_value = "person")]
        kind: String,
        /// The role: suspect, convicted, victim or other
        #[arg(long, default_value = "suspect")]
        role: String,
        /// First month, such as 2026-01 [default: that of the picture]
        #[arg(long)]
        since: Option<Month>,
        /// Last month that is over [default: the one before the picture was made]
        #[arg(long)]
        through: Option<Month>,
        /// What the year is to come to
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        target: Option<u64>,
        /// Why, in words; goes to the log; needed unless it is a file
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: Option<String>,
    },
}

pub(crate) async fn run(connection: Connection, command: Command, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Run(args) => run::run(connection.check()?, args, output).await,
        Command::Status => status(connection, output).await,
        Command::Show { picture, reason } => {
            let picture = load(connection, &picture, reason).await?;
            output.print(&picture, |out| print(out, &picture))
        }
        Command::FollowUp {
            picture,
            pseudonym,
            reason,
        } => follow_up(connection, (picture, pseudonym, reason), output).await,
        Command::Compare { before, after, reason } => {
            let before = load(connection.clone(), &before, reason.clone()).await?;
            let after = load(connection, &after, reason).await?;
            let changes = compare(&before, &after).map_err(Failure::usage)?;
            output.print(&changes, |out| {
                let mut shown = table(["kind", "agencies", "before", "after", "new"]);
                let changed = changes.iter().filter(|one| one.difference() != Some(0));
                if changed.clone().next().is_none() {
                    return writeln!(
                        out,
                        "nothing that is told has changed, in {} combinations",
                        changes.len()
                    );
                }
                for one in changed {
                    let told = |count: Option<u64>| count.map_or("none, or withheld".to_owned(), grouped);
                    let new = one.difference().map_or("?".to_owned(), |new| format!("{new:+}"));
                    shown.add_row([
                        one.kind.clone(),
                        one.agencies.join(" + "),
                        told(one.before),
                        told(one.after),
                        new,
                    ]);
                }
                writeln!(out, "{shown}")
            })
        }
        Command::Export {
            picture,
            out,
            formats,
            reason,
        } => {
            let picture = load(connection, &picture, reason).await?;
            let written = save(&picture, &out, &formats)?;
            output.print(&written, |out| {
                written.iter().try_for_each(|path| writeln!(out, "{}", path.display()))
            })
        }
        Command::Figures {
            picture,
            kind,
            role,
            since,
            through,
            target,
            reason,
        } => {
            let picture = load(connection, &picture, reason).await?;
            let since = since
                .or_else(|| picture.since.as_deref()?.parse().ok())
                .unwrap_or_default();
            let made = picture.made.get(..7).and_then(|month| month.parse::<Month>().ok());
            let before = made.and_then(|made| Month::from_number(made.number().saturating_sub(1)));
            let through = through.or(before).unwrap_or_default();
            let told = figures(&picture, &kind, &role, since, through, target).map_err(Failure::usage)?;
            output.print(&told, |out| print::figures(out, &told))
        }
    }
}

/// Pictures under way and kept, in JSON.
#[derive(Serialize)]
struct Summary {
    id: String,
    state: String,
    /// coordinator or holder: which part your agency has.
    side: &'static str,
    led_by: String,
    agreement: String,
    purpose: String,
    case_reference: String,
    form: String,
    made: String,
    expires: String,
    progress: Vec<Progress>,
}

#[derive(Serialize)]
struct Progress {
    participant: String,
    phase: String,
    permille: u32,
    /// Items; null where counts are withheld.
    done: Option<u64>,
    total: Option<u64>,
    /// Of the phase so far, in two digits.
    items_per_second: u64,
    /// What is left of the phase at that rate.
    seconds_left: u64,
}

async fn status(connection: Connection, output: &mut Output) -> Result<(), Failure> {
    let mut client = client::pictures(&connection.check()?).await?;
    let listed = client.list(pb::ListPicturesRequest {}).await?.into_inner();
    let summary = |one: pb::PictureSummary| Summary {
        id: Uuid::from_slice(&one.id).unwrap_or_default().to_string(),
        state: one.state,
        side: if one.as_holder { "holder" } else { "coordinator" },
        led_by: one.led_by,
        agreement: one.agreement,
        purpose: one.purpose,
        case_reference: one.case_reference,
        form: one.form,
        made: one.made,
        expires: one.expires,
        progress: one
            .progress
            .into_iter()
            .map(|one| Progress {
                participant: one.participant,
                phase: one.phase,
                permille: one.permille,
                done: (one.total > 0).then_some(one.done),
                total: (one.total > 0).then_some(one.total),
                items_per_second: one.items_per_second,
                seconds_left: one.seconds_left,
            })
            .collect(),
    };
    let pictures: Vec<Summary> = listed.pictures.into_iter().map(summary).collect();
    output.print(&pictures, |out| {
        if pictures.is_empty() {
            return writeln!(
                out,
                "no picture is under way, and none is kept: `overlap picture run` leads one"
            );
        }
        let mut shown = table(["id", "state", "side", "led by", "form", "case", "made", "until"]);
        for one in &pictures {
            let day = |time: &str| time.get(..16).unwrap_or(time).replace('T', " ");
            shown.add_row([
                one.id.clone(),
                one.state.clone(),
                one.side.to_owned(),
                one.led_by.clone(),
                one.form.clone(),
                one.case_reference.clone(),
                day(&one.made),
                day(&one.expires),
            ]);
        }
        writeln!(out, "{shown}")?;
        for one in &pictures {
            for progress in &one.progress {
                let (whole, part) = (progress.permille / 10, progress.permille % 10);
                writeln!(
                    out,
                    "  {}  {} {} {whole}.{part} %, {} items/s, {} s left",
                    one.id,
                    progress.participant,
                    progress.phase,
                    grouped(progress.items_per_second),
                    grouped(progress.seconds_left)
                )?;
            }
        }
        Ok(())
    })
}

/// What came of following something up, in JSON.
#[derive(Serialize)]
struct FollowedUp {
    follow_ups: Vec<FollowUpShape>,
    /// Holders that could not be asked, and why.
    failed: Vec<FailedShape>,
}

#[derive(Serialize)]
struct FailedShape {
    participant: String,
    why: String,
}

async fn follow_up(
    connection: Connection,
    (picture, pseudonym, reason): (String, String, String),
    output: &mut Output,
) -> Result<(), Failure> {
    let mut client = client::pictures(&connection.check()?).await?;
    let request = pb::FollowUpPictureRequest {
        picture,
        pseudonym,
        reason,
    };
    let answer = client.follow_up(request).await?.into_inner();
    let failed = answer.failed.into_iter().map(|one| FailedShape {
        participant: one.participant,
        why: one.why,
    });
    let told = FollowedUp {
        follow_ups: answer.follow_ups.into_iter().map(FollowUpShape::from).collect(),
        failed: failed.collect(),
    };
    output.print(&told, |out| {
        let mut shown = table(["id", "state", "holder", "identifier", "told"]);
        for one in &told.follow_ups {
            let [id, identifier, state, told] = one.cells();
            shown.add_row([id, state, one.peer.clone(), identifier, told]);
        }
        if !told.follow_ups.is_empty() {
            writeln!(out, "{shown}")?;
        }
        for one in &told.failed {
            writeln!(out, "{} could not be asked: {}", one.participant, one.why)?;
        }
        writeln!(out, "overlap hits show ID --reason ... shows what was told")
    })?;
    match (told.follow_ups.is_empty(), told.failed.first()) {
        (true, Some(one)) => Err(Failure::new(client::Kind::Refused, anyhow!("{}", one.why))),
        _ => Ok(()),
    }
}
