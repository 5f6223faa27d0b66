//! Following hits up: asking what is behind one, and deciding on what peers ask.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use overlap_proto::pb::operator as pb;
use overlap_records::MAX_ATTACHMENT;
use serde::Serialize;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::list;
use crate::{
    client::{Client, Failure},
    output::{Output, table},
};

/// A hit that is followed up, in JSON.
#[derive(Serialize)]
pub(crate) struct FollowUpShape {
    id: String,
    /// The match that found it.
    transaction: String,
    /// asker or holder: which part your agency has.
    side: String,
    state: String,
    declined: Option<String>,
    decide_by: String,
    decided: Option<String>,
    decided_by: Option<String>,
    pub(crate) peer: String,
    dataset: String,
    purpose: String,
    case_reference: String,
    /// Who asked, in which role, and why.
    person: String,
    role: String,
    reason: String,
    made: String,
    kind: String,
    /// Null where the peer shows no more than the kind.
    identifier: Option<String>,
    /// Your records.
    records: Vec<OwnShape>,
    /// What was told; at the holder what is, or would be.
    disclosed: Vec<DisclosedShape>,
    attachment: Option<String>,
}

#[derive(Serialize)]
struct OwnShape {
    reference: String,
    role: String,
    /// At the holder.
    visibility: Option<String>,
    origin: Option<String>,
}

/// The fields that the agreement names; the others are null.
#[derive(Serialize)]
struct DisclosedShape {
    reference: Option<String>,
    role: Option<String>,
    observed: Option<String>,
    origin: Option<String>,
    identifiers: Vec<IdentifierShape>,
}

#[derive(Serialize)]
struct IdentifierShape {
    kind: String,
    identifier: String,
}

fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl From<pb::FollowUp> for FollowUpShape {
    fn from(row: pb::FollowUp) -> Self {
        let id = |bytes: &[u8]| Uuid::from_slice(bytes).unwrap_or_default();
        let records = row.records.into_iter().map(|record| OwnShape {
            reference: record.reference,
            role: record.role,
            visibility: given(record.visibility),
            origin: given(record.origin),
        });
        let disclosed = row.disclosed.into_iter().map(|one| DisclosedShape {
            reference: given(one.reference),
            role: given(one.role),
            observed: given(one.observed),
            origin: given(one.origin),
            identifiers: one
                .identifiers
                .into_iter()
                .map(|one| IdentifierShape {
                    kind: one.kind,
                    identifier: one.canonical,
                })
                .collect(),
        });
        Self {
            id: id(&row.id).simple().to_string(),
            transaction: id(&row.r#match).to_string(),
            side: if row.as_holder { "holder" } else { "asker" }.to_owned(),
            state: row.state,
            declined: given(row.declined),
            decide_by: row.decide_by,
            decided: given(row.decided),
            decided_by: given(row.decided_by),
            peer: row.peer,
            dataset: row.dataset,
            purpose: row.purpose,
            case_reference: row.case_reference,
            person: row.person,
            role: row.role,
            reason: row.reason,
            made: row.made,
            kind: row.kind,
            identifier: given(row.canonical),
            records: records.collect(),
            disclosed: disclosed.collect(),
            attachment: given(row.attachment),
        }
    }
}

/// Asks the peers what is behind hits: the named ones, or all of a match.
pub(super) async fn request(
    client: &mut Client,
    hits: Vec<String>,
    transaction: Option<Uuid>,
    reason: String,
    output: &mut Output,
) -> Result<(), Failure> {
    let hits = match transaction {
        None => hits,
        Some(transaction) => {
            let found = list(client, Some(transaction), reason.clone()).await?;
            let open = found
                .into_iter()
                .filter(|one| one.state == "found" || one.state == "pending" && one.side == "asker");
            let mut ids: Vec<String> = open.map(|one| one.id).collect();
            ids.sort();
            ids.dedup();
            ids
        }
    };
    let bar = output.bar("{spinner} {wide_bar} {human_pos}/{human_len} hits {eta}");
    bar.set_length(hits.len() as u64);
    let mut answers = Vec::new();
    for hit in hits {
        let request = pb::FollowUpHitRequest {
            hit,
            reason: reason.clone(),
        };
        let answer = client.follow_up_hit(request).await?.into_inner();
        answers.extend(answer.follow_up.map(FollowUpShape::from));
        bar.inc(1);
    }
    bar.finish_and_clear();
    output.print(&answers, |out| {
        let mut shown = table(["id", "state", "peer", "identifier", "told"]);
        for one in &answers {
            let [id, identifier, state, told] = one.cells();
            shown.add_row([id, state, one.peer.clone(), identifier, told]);
        }
        if answers.is_empty() {
            return writeln!(out, "no hit of this match is left to ask about");
        }
        writeln!(out, "{shown}")?;
        writeln!(out, "overlap hits show ID --reason ... shows what was told")
    })
}

/// Shows one follow-up.
pub(super) async fn show(client: &mut Client, hit: String, reason: String, output: &mut Output) -> Result<(), Failure> {
    let answer = client.show_hit(pb::ShowHitRequest { hit, reason }).await?.into_inner();
    print_one(answer.follow_up, output)
}

/// Decides on one.
pub(super) async fn decide(
    client: &mut Client,
    hit: String,
    declined: String,
    reason: String,
    attach: Option<&Path>,
    output: &mut Output,
) -> Result<(), Failure> {
    let attachment = attach.map(read_attachment).transpose().map_err(Failure::usage)?;
    let request = pb::DecideHitRequest {
        hit,
        declined,
        reason,
        attachment: attachment.map(|text| text.to_string()).unwrap_or_default(),
    };
    let answer = client.decide_hit(request).await?.into_inner();
    print_one(answer.follow_up, output)
}

/// A text of bounded size, from a file or, with `-`, from standard input.
fn read_attachment(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let most = MAX_ATTACHMENT as u64 + 1;
    let mut text = Zeroizing::new(String::new());
    let read = match path == PathBuf::from("-").as_path() {
        true => io::stdin().take(most).read_to_string(&mut text),
        false => fs::File::open(path).and_then(|file| file.take(most).read_to_string(&mut text)),
    };
    read.with_context(|| format!("cannot read {} as text", path.display()))?;
    anyhow::ensure!(
        text.len() <= MAX_ATTACHMENT,
        "{} is longer than {MAX_ATTACHMENT} bytes",
        path.display()
    );
    Ok(text)
}

fn print_one(row: Option<pb::FollowUp>, output: &mut Output) -> Result<(), Failure> {
    let row = row.ok_or_else(|| Failure::internal(anyhow::anyhow!("the node answered without the hit")))?;
    let one = FollowUpShape::from(row);
    output.print(&one, |out| one.print(out))
}

impl FollowUpShape {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.state == "pending"
    }

    /// Id, identifier, state and what was told, for a table.
    pub(crate) fn cells(&self) -> [String; 4] {
        let told = self.disclosed.iter().map(|one| {
            let texts = [&one.reference, &one.role, &one.origin].into_iter().flatten().cloned();
            let identifiers = one.identifiers.iter().map(|one| one.identifier.clone());
            texts.chain(identifiers).collect::<Vec<_>>().join(", ")
        });
        let identifier = self.identifier.as_deref().unwrap_or("(not shown)");
        [
            super::short(&self.id).to_owned(),
            format!("{} {identifier}", self.kind),
            self.state_in_words(),
            told.collect::<Vec<_>>().join("\n"),
        ]
    }

    fn state_in_words(&self) -> String {
        match (self.state.as_str(), &self.declined) {
            ("pending", _) => format!("pending until {}", self.decide_by),
            (_, Some(why)) => format!("declined: {why}"),
            (state, None) => state.to_owned(),
        }
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let is_holder = self.side == "holder";
        writeln!(out, "hit {}, {}", self.id, self.state_in_words())?;
        match is_holder {
            true => writeln!(out, "{} asks: {} as {}", self.peer, self.person, self.role)?,
            false => writeln!(out, "asked of {} by {} as {}", self.peer, self.person, self.role)?,
        }
        writeln!(
            out,
            "for {}, case {}: {}",
            self.purpose, self.case_reference, self.reason
        )?;
        writeln!(out, "since {}, from match {}", self.made, self.transaction)?;
        match &self.identifier {
            Some(identifier) => writeln!(out, "{}: {identifier}", self.kind)?,
            None => writeln!(out, "{} (shows no more than that)", self.kind)?,
        }
        if let (Some(decided), Some(by)) = (&self.decided, &self.decided_by) {
            writeln!(out, "decided {decided} by {by}")?;
        }
        let mut own = table(["your record", "role", "class", "origin"]);
        for record in &self.records {
            own.add_row([
                record.reference.clone(),
                record.role.clone(),
                record.visibility.clone().unwrap_or_default(),
                record.origin.clone().unwrap_or_default(),
            ]);
        }
        if !self.records.is_empty() {
            writeln!(out, "{own}")?;
        }
        match (is_holder, self.state.as_str()) {
            (true, "pending") => writeln!(out, "approving it would tell {}:", self.peer)?,
            (true, _) => writeln!(out, "records behind it:")?,
            (false, _) => writeln!(out, "told by {}:", self.peer)?,
        }
        let mut told = table(["record", "role", "observed", "origin", "identifiers"]);
        for one in &self.disclosed {
            let identifiers = one.identifiers.iter();
            let identifiers: Vec<String> = identifiers
                .map(|one| format!("{} {}", one.kind, one.identifier))
                .collect();
            told.add_row([
                one.reference.clone().unwrap_or_default(),
                one.role.clone().unwrap_or_default(),
                one.observed.clone().unwrap_or_default(),
                one.origin.clone().unwrap_or_default(),
                identifiers.join("\n"),
            ]);
        }
        match self.disclosed.is_empty() {
            true => writeln!(out, "nothing")?,
            false => writeln!(out, "{told}")?,
        }
        match &self.attachment {
            Some(text) => writeln!(out, "and this:\n{text}"),
            None => Ok(()),
        }
    }
}
