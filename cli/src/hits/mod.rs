//! `overlap hits`.

mod follow_up;

pub(crate) use follow_up::FollowUpShape;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::builder::NonEmptyStringValueParser;
use overlap_proto::pb::operator as pb;
use serde::Serialize;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    client::{self, Client, Failure},
    files::{self, NewFile},
    output::{Output, grouped, no_formula, table},
    settings::Settings,
};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show which of your records your matches found at a peer, and which of them peers ask about, the oldest first
    ///
    /// Each is kept once per agreement, peer and identifier, as the last match found it, until the record expires or the node's keep_hits is
    /// over. Its state: found (you may ask what is behind it), pending (the holder has to decide), disclosed, declined, shared (a peer asked, found it and told you), or hidden (a peer asked
    /// about a record of class d, and does not know of the hit).
    List {
        #[command(flatten)]
        which: Which,
    },
    /// Ask the peer what it has behind a hit
    ///
    /// Records of class a are told at once. On others a functionary of the peer decides; your node fetches the decision when there is one,
    /// and asking again shows how it stands. Both sides log it.
    #[command(
        after_help = "Examples:\n  overlap hits request 3f9a2b1c --reason \"to reach the team that knows this number\"\n  overlap hits request --transaction 019a... --reason \"all hits of this match\""
    )]
    Request {
        /// Ids of hits, or their first 8 digits or more
        #[arg(
            value_name = "ID",
            required_unless_present = "transaction",
            conflicts_with = "transaction"
        )]
        hits: Vec<String>,
        /// All hits that this query was the last to find
        #[arg(long, value_name = "ID")]
        transaction: Option<Uuid>,
        /// Why you need to know, in words; goes to both logs, and the peer's functionary reads it
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: String,
    },
    /// Show one hit that is followed up: who asks why, and what is told
    Show {
        /// Its id, or the first 8 digits or more
        #[arg(value_name = "ID")]
        hit: String,
        /// Why you read it, in words; goes to the log
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: String,
    },
    /// Disclose what you have behind a hit to the peer that asks
    ///
    /// The fields that the agreement names, of the records that `overlap hits show` shows, read from your records when the peer's node fetches
    /// them.
    #[command(
        after_help = "Example:\n  overlap hits approve 7c1d09aa --reason \"same network; call before you act\" --attach note.txt"
    )]
    Approve {
        /// Its id, or the first 8 digits or more
        #[arg(value_name = "ID")]
        hit: String,
        /// Why, in words; goes to your log alone
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: String,
        /// Text to disclose beside the records, at most 16 KiB; - reads it from standard input
        #[arg(long, value_name = "FILE")]
        attach: Option<PathBuf>,
    },
    /// Decline to disclose what you have behind a hit
    Decline {
        /// Its id, or the first 8 digits or more
        #[arg(value_name = "ID")]
        hit: String,
        /// What the peer is told
        #[arg(long, value_parser = ["investigation", "safety", "source", "unfounded", "law"])]
        why: String,
        /// Why, in words; goes to your log alone
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: String,
    },
    /// Give each unit or system its own hits back, as CSV
    ///
    /// The officer whose report led to a hit should hear of it. One file is written for each origin that the imports named, and one
    /// (no-origin.csv) for records without. The files hold personal data: keep them where such data may be.
    #[command(
        after_help = "Example:\n  overlap hits export --by origin --to feedback/2026-w48 --reason \"weekly feedback to the units\""
    )]
    Export {
        #[command(flatten)]
        which: Which,
        /// What makes a file
        #[arg(long, value_parser = ["origin"])]
        by: String,
        /// Directory for the files; made if missing
        #[arg(long, value_name = "DIRECTORY")]
        to: PathBuf,
        /// Write over the files of an earlier export there
        #[arg(long)]
        replace: bool,
    },
}

#[derive(clap::Args)]
pub(crate) struct Which {
    /// Only those that this query was the last to find
    #[arg(long, value_name = "ID")]
    transaction: Option<Uuid>,
    /// Why you read them, in words; goes to the log
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    reason: String,
}

/// An own record that a match found at a peer, or that a peer follows up, in JSON and CSV.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FoundShape {
    id: String,
    /// asker or holder: which part your agency has.
    side: String,
    state: String,
    /// Why, if it was.
    declined: Option<String>,
    /// If it is pending.
    decide_by: Option<String>,
    found: String,
    peer: String,
    dataset: String,
    purpose: String,
    case_reference: String,
    kind: String,
    /// Null where the peer shows no more than the kind.
    identifier: Option<String>,
    /// For candidates.
    score: Option<f64>,
    reference: String,
    role: String,
    origin: Option<String>,
    transaction: String,
}

/// A file that was written, in JSON.
#[derive(Debug, Serialize)]
struct FileShape {
    origin: Option<String>,
    file: String,
    hits: u64,
}

pub(crate) async fn run(settings: Settings, command: Command, output: &mut Output) -> Result<(), Failure> {
    let mut client = client::connect(&settings).await?;
    match command {
        Command::Request {
            hits,
            transaction,
            reason,
        } => follow_up::request(&mut client, hits, transaction, reason, output).await,
        Command::Show { hit, reason } => follow_up::show(&mut client, hit, reason, output).await,
        Command::Approve { hit, reason, attach } => {
            follow_up::decide(&mut client, hit, String::new(), reason, attach.as_deref(), output).await
        }
        Command::Decline { hit, why, reason } => follow_up::decide(&mut client, hit, why, reason, None, output).await,
        Command::List { which } => {
            let found = list(&mut client, which.transaction, which.reason).await?;
            output.print(&found, |out| print(out, &found))
        }
        Command::Export {
            which,
            by: _,
            to,
            replace,
        } => {
            let mut found = list(&mut client, which.transaction, which.reason).await?;
            // what peers ask about, and what cannot be named, is no unit's to hear of
            found.retain(|one| {
                one.identifier.is_some() && (one.side == "asker" || one.state == "hidden" || one.state == "shared")
            });
            let files = export(&found, &to, replace)?;
            output.print(&files, |out| {
                let mut shown = table(["origin", "hits", "file"]);
                for file in &files {
                    let origin = file.origin.as_deref().unwrap_or("(none)");
                    shown.add_row([origin.to_owned(), grouped(file.hits), file.file.clone()]);
                }
                writeln!(out, "{shown}")
            })
        }
    }
}

/// What is kept of a query, or of all; an entry.
pub(crate) async fn list(
    client: &mut Client,
    transaction: Option<Uuid>,
    reason: String,
) -> Result<Vec<FoundShape>, Failure> {
    let request = pb::ListHitsRequest {
        transaction: transaction.map(|id| id.as_bytes().to_vec().into()).unwrap_or_default(),
        reason,
    };
    let mut answers = client.list_hits(request).await?.into_inner();
    let (mut found, mut total) = (Vec::new(), None);
    while let Some(answer) = answers.message().await? {
        found.extend(answer.hits.into_iter().map(FoundShape::from));
        total = answer.total;
    }
    if total != Some(found.len() as u64) {
        return Err(Failure::internal(anyhow::anyhow!(
            "the node told only some of the hits; ask again"
        )));
    }
    found.sort_by(|one, other| (&one.found, &one.reference).cmp(&(&other.found, &other.reference)));
    Ok(found)
}

impl From<pb::FoundHit> for FoundShape {
    fn from(hit: pb::FoundHit) -> Self {
        let record = hit.record.unwrap_or_default();
        let given = |text: String| (!text.is_empty()).then_some(text);
        Self {
            id: hex::encode(&hit.id),
            side: if hit.as_holder { "holder" } else { "asker" }.to_owned(),
            state: hit.state,
            declined: given(hit.declined),
            decide_by: given(hit.decide_by),
            found: hit.found,
            peer: hit.peer,
            dataset: hit.dataset,
            purpose: hit.purpose,
            case_reference: hit.case_reference,
            kind: hit.kind,
            identifier: given(hit.canonical),
            // more digits than it means
            score: hit.score.map(|score| (score * 100.0).round() / 100.0),
            reference: record.reference,
            role: record.role,
            origin: given(record.origin),
            transaction: Uuid::from_slice(&hit.transaction).unwrap_or_default().to_string(),
        }
    }
}

/// The digits of an id that are shown in tables, and are enough to name it.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

impl FoundShape {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is of an identifier that matched whole, and not of a person.
    pub(crate) fn is_numbered(&self) -> bool {
        self.identifier.is_some() && self.score.is_none()
    }

    fn in_words(&self) -> String {
        match (self.state.as_str(), self.side.as_str()) {
            ("pending", "holder") => format!("you decide by {}", self.decide_by.as_deref().unwrap_or_default()),
            ("pending", _) => format!("{} decides", self.peer),
            ("hidden", _) => "you alone know".to_owned(),
            ("shared", _) => format!("{} found it", self.peer),
            (state, _) => match &self.declined {
                Some(why) => format!("{state}: {why}"),
                None => state.to_owned(),
            },
        }
    }
}

fn print(out: &mut dyn Write, found: &[FoundShape]) -> io::Result<()> {
    let mut shown = table([
        "id",
        "state",
        "found",
        "peer",
        "kind",
        "identifier",
        "score",
        "your record",
        "origin",
        "case",
    ]);
    for one in found {
        shown.add_row([
            short(&one.id).to_owned(),
            one.in_words(),
            one.found.clone(),
            one.peer.clone(),
            one.kind.clone(),
            one.identifier.clone().unwrap_or_else(|| "(not shown)".to_owned()),
            one.score.map(|score| format!("{score:.1}")).unwrap_or_default(),
            one.reference.clone(),
            one.origin.clone().unwrap_or_default(),
            one.case_reference.clone(),
        ]);
    }
    if found.is_empty() {
        return writeln!(out, "no hits are kept that a query of yours was the last to find");
    }
    writeln!(out, "{shown}")?;
    writeln!(out, "{} kept", grouped(found.len() as u64))
}

/// Writes one file per origin: all of them new or none, or each over its predecessor in one step.
fn export(found: &[FoundShape], to: &Path, replace: bool) -> Result<Vec<FileShape>, Failure> {
    let mut by_origin: BTreeMap<Option<&str>, Vec<&FoundShape>> = BTreeMap::new();
    for one in found {
        by_origin.entry(one.origin.as_deref()).or_default().push(one);
    }
    let mut taken = BTreeSet::new();
    let mut planned = Vec::new();
    for (origin, hits) in by_origin {
        let path = to.join(file_name(origin, &mut taken));
        let content = Zeroizing::new(content(&hits).map_err(Failure::internal)?);
        planned.push((path, origin, hits.len() as u64, content));
    }
    if let Some((path, ..)) = planned.iter().find(|(path, ..)| !replace && path.exists()) {
        return Err(Failure::usage(anyhow::anyhow!(
            "{} exists already: give another directory, or --replace to write over an earlier export",
            path.display()
        )));
    }
    let new: Vec<NewFile<'_>> = planned
        .iter()
        .map(|(path, _, _, content)| NewFile::secret(path.clone(), content))
        .collect();
    files::create_dir(to)
        .and_then(|()| match replace {
            true => replace_all(to, &new),
            false => files::write_new(&new),
        })
        .map_err(Failure::usage)?;
    let files = planned.iter().map(|(path, origin, hits, _)| FileShape {
        origin: origin.map(str::to_owned),
        file: path.display().to_string(),
        hits: *hits,
    });
    Ok(files.collect())
}

/// Writes over an earlier export. Files of it that this one has no successor for would stay, with hits that may be erased by now: they
/// are named, and nothing is written.
fn replace_all(to: &Path, files: &[NewFile<'_>]) -> anyhow::Result<()> {
    let others = fs::read_dir(to).with_context(|| format!("cannot read {}", to.display()))?;
    for other in others {
        let other = other?.path();
        let is_csv = other.extension().is_some_and(|extension| extension == "csv");
        if is_csv && !files.iter().any(|file| file.path() == other) {
            anyhow::bail!(
                "{} is of no origin that has hits now: remove what is left of earlier exports",
                other.display()
            );
        }
    }
    files::write_over(files)
}

/// A name out of letters, digits and hyphens, with a number where two origins would have the same.
fn file_name(origin: Option<&str>, taken: &mut BTreeSet<String>) -> String {
    let plain: String = origin
        .unwrap_or("no-origin")
        .chars()
        .take(64)
        .map(|c| if c.is_alphanumeric() { c } else { '-' })
        .flat_map(char::to_lowercase)
        .collect();
    let plain = match plain.trim_matches('-') {
        "" => "origin".to_owned(),
        plain => plain.to_owned(),
    };
    let numbered = (2..).map(|number: u32| format!("{plain}-{number}"));
    let name = std::iter::once(plain.clone())
        .chain(numbered)
        .find(|name| !taken.contains(name))
        .unwrap_or_default();
    taken.insert(name.clone());
    format!("{name}.csv")
}

fn content(hits: &[&FoundShape]) -> anyhow::Result<Vec<u8>> {
    let mut file = csv::Writer::from_writer(Vec::new());
    for hit in hits {
        let mut hit = (*hit).clone();
        let is_phone = hit.kind == "phone";
        let texts = [
            &mut hit.peer,
            &mut hit.dataset,
            &mut hit.purpose,
            &mut hit.case_reference,
            &mut hit.reference,
        ];
        let origin = hit.origin.iter_mut();
        texts.into_iter().chain(origin).for_each(no_formula);
        if !is_phone {
            hit.identifier.iter_mut().for_each(no_formula);
        }
        file.serialize(&hit)?;
    }
    Ok(file.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_become_file_names() {
        let mut taken = BTreeSet::new();
        assert_eq!(
            file_name(Some("Team Mensenhandel/Noord"), &mut taken),
            "team-mensenhandel-noord.csv"
        );
        assert_eq!(
            file_name(Some("team mensenhandel noord"), &mut taken),
            "team-mensenhandel-noord-2.csv"
        );
        assert_eq!(file_name(Some("../../etc/passwd"), &mut taken), "etc-passwd.csv");
        assert_eq!(file_name(None, &mut taken), "no-origin.csv");
        let names = ["A", "a", "a-2"].map(|origin| file_name(Some(origin), &mut taken));
        assert_eq!(names, ["a.csv", "a-2.csv", "a-2-2.csv"]);
    }
}
