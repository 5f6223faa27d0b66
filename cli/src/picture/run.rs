//! `overlap picture run`.

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use clap::builder::NonEmptyStringValueParser;
use indicatif::{MultiProgress, ProgressBar};
use overlap_proto::pb::operator::{self as pb, run_picture_response::Message};
use overlap_records::{Kind, Role};
use overlap_report::Picture;

use super::{print, save, shown};
use crate::{
    client::{self, Failure, Pictures},
    files,
    output::{Output, grouped},
    settings::Settings,
};

/// Ask several peers what they, and you, have in common
///
/// Each agency has its items blinded by every other one, so that they come out under pseudonyms that nobody alone could make, and hands
/// your node the sorted list. Your node sees which pseudonyms are the same, and nothing else. Every agency logs its part. Statistics tells
/// counts per combination of agencies, with small ones withheld; operational also which pseudonyms are shared, to be followed up with
/// their holders. A picture needs an order. It goes on when you interrupt this command: `overlap picture status` shows it.
#[derive(clap::Args, Clone)]
#[command(
    after_help = "Example:\n  overlap picture run --with politie,kmar,iszw --form statistics --kind phone \\\n    --purpose thb-investigation --case EMM-2026-7 --order OM-2026-12 --reason \"the integral picture of the third quarter\" --out picture"
)]
pub(crate) struct Args {
    /// Names of the peers that are asked to take part: separated by commas, or repeated
    #[arg(long = "with", value_name = "PEER", value_delimiter = ',', required = true)]
    pub(crate) peers: Vec<String>,
    /// Your dataset [default: you only lead]
    #[arg(long)]
    pub(crate) dataset: Option<String>,
    /// What you want to learn
    #[arg(long, value_parser = ["statistics", "operational"])]
    pub(crate) form: String,
    /// Kind of identifiers to compare; may be repeated [default: all that the agreement allows of every peer]
    #[arg(long = "kind", value_name = "KIND", value_parser = |word: &str| word.parse::<Kind>().map(|kind| kind.to_string()))]
    pub(crate) kinds: Vec<String>,
    /// Role of the subjects; may be repeated [default: all that the agreement allows of every peer]
    #[arg(long = "role", value_name = "ROLE", value_parser = |word: &str| word.parse::<Role>().map(|role| role.to_string()))]
    pub(crate) roles: Vec<String>,
    /// Only records observed from this month on, such as 2026-01
    #[arg(long, value_name = "MONTH")]
    pub(crate) since: Option<String>,
    /// Purpose, as the agreement names it
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) purpose: String,
    /// Reference of your case
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) case: String,
    /// Why, in words; goes to all logs
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) reason: String,
    /// Agreement to ask under, by id or hash [default: the one that covers it]
    #[arg(long)]
    pub(crate) agreement: Option<String>,
    /// Id of the order, which every picture needs; `overlap order list` shows them
    #[arg(long)]
    pub(crate) order: Option<String>,
    /// Go on without those that fail, as long as so many take part [default: all have to]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(2..=64))]
    pub(crate) min_participants: Option<u32>,
    /// Seconds after which one that says nothing has failed [default: the node's limit idle_stream]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) deadline: Option<u32>,
    /// Days that the picture is kept, and can be followed up
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=366))]
    pub(crate) keep: u32,
    /// Also write charts and exports into this directory
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) out: Option<PathBuf>,
}

/// What is asked of the own node.
fn request(args: &Args) -> pb::RunPictureRequest {
    pb::RunPictureRequest {
        peers: args.peers.clone(),
        dataset: args.dataset.clone().unwrap_or_default(),
        form: args.form.clone(),
        kinds: args.kinds.clone(),
        roles: args.roles.clone(),
        since: args.since.clone().unwrap_or_default(),
        purpose: args.purpose.clone(),
        case_reference: args.case.clone(),
        reason: args.reason.clone(),
        agreement: args.agreement.clone().unwrap_or_default(),
        order: args.order.clone().unwrap_or_default(),
        min_participants: args.min_participants.unwrap_or_default(),
        patience: args.deadline.unwrap_or_default(),
        keep_days: args.keep,
    }
}

pub(super) async fn run(settings: Settings, args: Args, output: &mut Output) -> Result<(), Failure> {
    if let Some(directory) = &args.out {
        // before anything is asked that could then not be written
        files::create_dir(directory).map_err(Failure::usage)?;
    }
    let mut client = client::pictures(&settings).await?;
    let (picture, _) = lead(&mut client, request(&args), output).await?;
    let written = match &args.out {
        Some(directory) => save(&picture, directory, &[])?,
        None => Vec::new(),
    };
    output.print(&picture, |out| {
        print(out, &picture)?;
        match &args.out {
            Some(directory) => writeln!(out, "{} files are in {}", written.len(), directory.display()),
            None => Ok(()),
        }
    })
}

/// When each phase of a picture began, as seconds since its begin: `evaluating`, `sending`, `done`.
pub(crate) type Phases = BTreeMap<String, f64>;

/// Leads a picture to its end, with a bar for each participant.
pub(crate) async fn lead(
    client: &mut Pictures,
    request: pb::RunPictureRequest,
    output: &Output,
) -> Result<(Picture, Phases), Failure> {
    let began = Instant::now();
    let mut phases = Phases::new();
    let mut bars = Bars::new(output);
    let mut answers = client.run(request).await?.into_inner();
    let mut json = Vec::new();
    while let Some(answer) = answers.message().await? {
        match answer.message {
            Some(Message::Admitted(_)) | None => {}
            Some(Message::Round(round)) => {
                bars.round(&round.participants);
                phases.clear();
            }
            Some(Message::Progress(progress)) => {
                let at = began.elapsed().as_secs_f64();
                let phase = phases.entry(progress.phase.clone());
                // a phase is over for all when it is for the last
                if progress.phase == "done" {
                    phase.insert_entry(at);
                } else {
                    phase.or_insert(at);
                }
                bars.progress(&progress);
            }
            Some(Message::Dropped(dropped)) => bars.dropped(&dropped),
            Some(Message::Told(piece)) => json.extend(piece),
        }
    }
    bars.end();
    match json.is_empty() {
        true => Err(Failure::internal(anyhow::anyhow!(
            "the node ended the answer early; `overlap log list` shows how the picture ended"
        ))),
        false => Ok((shown(&json)?, phases)),
    }
}

/// How a bar shows a participant whose size is not told, and one whose is.
const PARTS: &str = "{spinner} {prefix:16} {msg:28} {wide_bar} {percent:>3} % {eta}";
const ITEMS: &str = "{spinner} {prefix:16} {msg:10} {wide_bar} {human_pos}/{human_len} items {per_sec} {eta}";

/// A bar for each participant, on standard error.
struct Bars<'a> {
    output: &'a Output,
    all: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
}

impl<'a> Bars<'a> {
    fn new(output: &'a Output) -> Self {
        Self {
            output,
            all: MultiProgress::new(),
            bars: BTreeMap::new(),
        }
    }

    fn round(&mut self, participants: &[String]) {
        self.end();
        for name in participants {
            let bar = self.output.bar(PARTS);
            let bar = if bar.is_hidden() { bar } else { self.all.add(bar) };
            bar.set_length(1000);
            bar.set_prefix(name.clone());
            bar.set_message("opening");
            self.bars.insert(name.clone(), bar);
        }
    }

    fn progress(&self, progress: &pb::PictureProgress) {
        if let Some(bar) = self.bars.get(&progress.participant) {
            if !bar.message().starts_with(&progress.phase) {
                bar.reset();
                bar.set_message(progress.phase.clone());
            }
            match progress.total {
                0 => {
                    let rate = grouped(progress.items_per_second);
                    bar.set_message(format!("{} {rate} items/s", progress.phase));
                    bar.set_position(progress.permille.into());
                }
                total => {
                    bar.set_style(self.output.style(ITEMS));
                    bar.set_length(total);
                    bar.set_position(progress.done);
                }
            }
        }
    }

    fn dropped(&self, dropped: &pb::PictureDropped) {
        let line = format!("{} is left out: {}", dropped.participant, dropped.why);
        match self.bars.get(&dropped.participant) {
            Some(bar) => bar.abandon_with_message(line),
            None => drop(self.all.println(line)),
        }
    }

    fn end(&mut self) {
        for bar in std::mem::take(&mut self.bars).into_values() {
            bar.finish_and_clear();
        }
    }
}
