//! `overlap action check`.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::PathBuf,
};

use anyhow::anyhow;
use clap::builder::NonEmptyStringValueParser;
use overlap_proto::pb::operator::{self as pb, check_request, check_response};
use overlap_records::{DateOrder, Kind, Region};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::{feed::AlertShape, lines::Reading};
use crate::{
    client::{self, Actions, Failure},
    output::{Output, grouped},
    settings::Settings,
};

/// Check persons or things at all partners at once
///
/// Reads a line for each from standard input, or from a file, and prints each partner's answer as it comes: hit with what its visibility
/// allows, no-hit, unreachable or refused. Values are never given as arguments, which other users of the machine can see.
#[derive(clap::Args)]
#[command(
    after_help = "A line is a value (with --kind), or a kind and a value, or several of one person with tabs (here <TAB>, not blanks) in between, or a JSON object:\n  06-12345678\n  phone 06-12345678\n  document NXB12345<TAB>person Jan van den Berg|1985-02-23\n  {\"phone\": \"06-12345678\", \"person\": \"Jan van den Berg|1985-02-23\", \"case\": \"JAD-7\", \"reason\": \"stop on the A2\"}\n\nExamples:\n  overlap action check jad-2026-06 --kind phone --case JAD-2026-06 --reason \"stop on the A2\"\n  overlap action check watch-74 --file list.jsonl --case CC-74 --reason \"unlocated convicts\" --json"
)]
pub(crate) struct Args {
    /// The action, by its id or the first 8 digits or more of its hash
    action: String,
    /// Kind of every value [default: each line says]
    #[arg(long, value_parser = |word: &str| word.parse::<Kind>())]
    kind: Option<Kind>,
    /// File to read from [default: standard input]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Reference of the case, where a line names none
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    case: String,
    /// Why, in words; goes to all logs
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    reason: String,
    /// Country that you check for, where that is not your own: as a liaison's node does
    #[arg(long = "for", value_name = "COUNTRY", value_parser = country)]
    on_behalf_of: Option<String>,
    /// Country of numbers that do not name theirs
    #[arg(long, default_value = "NL")]
    region: String,
    /// Order of dates: dmy, mdy or ymd
    #[arg(long, default_value = "ymd", value_parser = ["dmy", "mdy", "ymd"])]
    dates: String,
}

/// What one partner answers, in JSON: one line each.
#[derive(Serialize)]
struct AnswerShape {
    /// Number of the line.
    check: u64,
    partner: String,
    /// hit, no-hit, unreachable or refused.
    outcome: String,
    alerts: Vec<AlertShape>,
    detail: Option<String>,
    milliseconds: f64,
}

/// The end of a check, in JSON: one line each.
#[derive(Serialize)]
struct DoneShape {
    check: u64,
    done: bool,
    answered: u32,
    partners: u32,
    hits: u32,
    milliseconds: f64,
    /// Why nobody was asked.
    refused: Option<String>,
}

impl DoneShape {
    fn unread(check: u64, why: String) -> Self {
        Self {
            check,
            done: true,
            answered: 0,
            partners: 0,
            hits: 0,
            milliseconds: 0.0,
            refused: Some(why),
        }
    }
}

/// ISO 3166, as agreements have it.
fn country(word: &str) -> Result<String, &'static str> {
    match word.as_bytes() {
        [b'A'..=b'Z', b'A'..=b'Z'] => Ok(word.to_owned()),
        _ => Err("a country has two capital letters, such as LU"),
    }
}

/// Tenths of a millisecond are all that is worth reading.
fn tenths(milliseconds: f64) -> f64 {
    (milliseconds * 10.0).round() / 10.0
}

/// Why nobody is asked where nothing was refused.
const NOBODY: &str = "no partner takes part now, see `overlap action status`";

/// Checks that wait for the network.
const QUEUE: usize = 64;

pub(super) async fn run(settings: &Settings, args: Args, output: &mut Output) -> Result<(), Failure> {
    let reading = Reading {
        kind: args.kind,
        region: args.region.parse::<Region>().map_err(Failure::usage)?,
        dates: match args.dates.as_str() {
            "dmy" => DateOrder::Dmy,
            "mdy" => DateOrder::Mdy,
            _ => DateOrder::Ymd,
        },
    };
    let mut client = client::actions(settings).await?;
    let open = pb::CheckOpen {
        action: args.action,
        case_reference: args.case,
        reason: args.reason,
        on_behalf_of: args.on_behalf_of.unwrap_or_default(),
    };
    let (wishes, mut answers) = checks(&mut client, open).await?;
    let (file, is_json) = (args.file, output.json());
    // reading may wait for a person
    let sending = tokio::task::spawn_blocking(move || send(&reading, file, &wishes, is_json));
    let sum = show(&mut answers, output).await?;
    let bad = match sending.await.map_err(Failure::internal)? {
        Ok(bad) => bad,
        Err(error) => return Err(Failure::usage(error)),
    };
    output.say(format!(
        "{}, {}; {} refused, {} could not be read",
        many(sum.checks, "check"),
        many(sum.hits, "hit"),
        grouped(sum.refusals),
        many(bad, "line")
    ))?;
    let (all_refused, none_answered) = (sum.checks == sum.refusals, sum.checks == sum.unanswered);
    let refused = |why: String| {
        let of = match sum.checks {
            1 => String::new(),
            _ => format!(
                "{} of {} were refused; the last: ",
                grouped(sum.refusals),
                many(sum.checks, "check")
            ),
        };
        Failure::new(client::Kind::Refused, anyhow!("{of}{why}"))
    };
    match (sum.refused, bad) {
        (Some(why), _) if all_refused => Err(refused(why)),
        _ if sum.checks > 0 && none_answered => Err(Failure::new(
            client::Kind::Unreachable,
            anyhow!("no partner answered: see `overlap action status`"),
        )),
        (_, bad) if bad > 0 => Err(Failure::usage(anyhow!(
            "{} could not be read: see above",
            many(bad, "line")
        ))),
        (Some(why), _) if sum.unasked > 0 => Err(refused(why)),
        _ => Ok(()),
    }
}

/// Opens a stream of checks.
pub(crate) async fn checks(
    client: &mut Actions,
    open: pb::CheckOpen,
) -> Result<(mpsc::Sender<pb::CheckRequest>, Streaming<pb::CheckResponse>), Failure> {
    let (wishes, outgoing) = mpsc::channel(QUEUE);
    let first = pb::CheckRequest {
        message: Some(check_request::Message::Open(open)),
    };
    wishes.try_send(first).map_err(Failure::internal)?;
    let answers = client.check(ReceiverStream::new(outgoing)).await?.into_inner();
    Ok((wishes, answers))
}

/// Sends every line; gives how many could not be read.
fn send(
    reading: &Reading,
    file: Option<PathBuf>,
    wishes: &mpsc::Sender<pb::CheckRequest>,
    is_json: bool,
) -> anyhow::Result<u64> {
    let is_person = file.is_none() && io::stdin().is_terminal();
    let lines: Box<dyn io::BufRead> = match &file {
        Some(path) => {
            let opened = std::fs::File::open(path);
            Box::new(io::BufReader::new(
                opened.map_err(|error| anyhow!("{}: {error}", path.display()))?,
            ))
        }
        None => Box::new(io::stdin().lock()),
    };
    if is_person {
        let _ = writeln!(io::stderr(), "one check on each line; end with Ctrl-D");
    }
    let mut bad = 0;
    for (number, line) in (1..).zip(lines.split(b'\n')) {
        let line = line.map_err(|error| match &file {
            Some(path) => anyhow!("{}: {error}", path.display()),
            None => anyhow!("standard input: {error}"),
        })?;
        let line = zeroize::Zeroizing::new(line);
        let text = std::str::from_utf8(&line).map_err(|_| "it is no UTF-8 text".to_owned());
        match text.and_then(|text| reading.line(number, text)) {
            Ok(None) => {}
            Ok(Some(wish)) => {
                let request = pb::CheckRequest {
                    message: Some(check_request::Message::Check(wish)),
                };
                // the node ended the stream: its reason is with the answers
                if wishes.blocking_send(request).is_err() {
                    return Ok(bad);
                }
            }
            Err(why) => {
                bad += 1;
                if is_json {
                    // a whole line at once, between those of answers
                    let _ = writeln!(
                        io::stdout(),
                        "{}",
                        serde_json::to_string(&DoneShape::unread(number, why))?
                    );
                } else {
                    let _ = writeln!(io::stderr(), "line {number}: {why}");
                }
            }
        }
    }
    Ok(bad)
}

/// What came of a stream of checks.
#[derive(Default)]
pub(crate) struct Checked {
    pub(crate) checks: u64,
    pub(crate) hits: u64,
    /// Checks that no partner answered.
    unanswered: u64,
    /// Checks that were refused whole, here or by all partners, and why the last was.
    pub(crate) refusals: u64,
    /// Checks that were refused here: no partner was asked.
    unasked: u64,
    pub(crate) refused: Option<String>,
}

async fn show(answers: &mut Streaming<pb::CheckResponse>, output: &mut Output) -> Result<Checked, Failure> {
    let mut sum = Checked::default();
    let mut silent: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut refusing: BTreeMap<u64, (u32, String)> = BTreeMap::new();
    while let Some(response) = answers.message().await? {
        let check = response.number;
        match response.message {
            Some(check_response::Message::Answer(answer)) => {
                let shape = AnswerShape {
                    check,
                    partner: answer.partner,
                    outcome: answer.outcome,
                    alerts: answer.alerts.into_iter().map(AlertShape::from).collect(),
                    detail: Some(answer.detail).filter(|detail| !detail.is_empty()),
                    milliseconds: tenths(answer.milliseconds),
                };
                if shape.outcome == "refused" {
                    let (partners, why) = refusing.entry(check).or_default();
                    *partners += 1;
                    *why = format!("{}: {}", shape.partner, shape.detail.as_deref().unwrap_or_default());
                }
                if output.json() {
                    line(output, &shape)?;
                    continue;
                }
                if shape.outcome == "no-hit" && shape.detail.is_none() {
                    silent.entry(check).or_default().push(shape.partner);
                    continue;
                }
                let detail = shape
                    .detail
                    .as_deref()
                    .map(|why| format!(": {why}"))
                    .unwrap_or_default();
                output.say(format!(
                    "{check}  {}: {}{detail}",
                    shape.partner,
                    shape.outcome.to_uppercase()
                ))?;
                for alert in &shape.alerts {
                    output.say(format!("     {}", alert.line()))?;
                }
            }
            Some(check_response::Message::Done(done)) => {
                sum.checks += 1;
                sum.hits += u64::from(done.hits > 0);
                sum.unanswered += u64::from(done.answered == 0);
                let refused = Some(done.refused).filter(|why| !why.is_empty());
                sum.unasked += u64::from(refused.is_some());
                let by_all = refusing
                    .remove(&check)
                    .filter(|(partners, _)| *partners == done.partners);
                if let Some(why) = refused.clone().or(by_all.map(|(_, why)| why)) {
                    sum.refusals += 1;
                    sum.refused = Some(why);
                }
                let shape = DoneShape {
                    check,
                    done: true,
                    answered: done.answered,
                    partners: done.partners,
                    hits: done.hits,
                    milliseconds: tenths(done.milliseconds),
                    refused: refused.clone().or((done.partners == 0).then(|| NOBODY.to_owned())),
                };
                if output.json() {
                    line(output, &shape)?;
                    continue;
                }
                let none = silent.remove(&check).unwrap_or_default();
                let (answered, partners, milliseconds) = (shape.answered, shape.partners, shape.milliseconds);
                output.say(match (&refused, partners, answered) {
                    (Some(why), _, _) => format!("{check}  refused: {why}"),
                    (None, 0, _) => format!("{check}  NOBODY WAS ASKED: {NOBODY}"),
                    (None, partners, 0) => format!("{check}  NOBODY ANSWERED of {partners}, in {milliseconds:.0} ms"),
                    (None, partners, answered) => {
                        let none = match none.is_empty() {
                            true => String::new(),
                            false => format!("; no hit at: {}", none.join(", ")),
                        };
                        format!("{check}  {answered} of {partners} answered in {milliseconds:.0} ms{none}")
                    }
                })?;
            }
            None => {}
        }
    }
    Ok(sum)
}

/// A number of things, in words.
fn many(number: u64, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {thing}{s}", grouped(number))
}

/// A line of JSON.
pub(super) fn line(output: &mut Output, shape: &impl Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string(shape).map_err(Failure::internal)?;
    let out = output.writer();
    match writeln!(out, "{json}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Failure::internal),
    }
}
