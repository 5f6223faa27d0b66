//! One query, as two logs tell it.

use super::{FieldDifference, tells_of};
use crate::{Closing, Digest, Logged, Operation, Outcome, Report, Side};

/// What comes of it.
pub(super) enum Judgement {
    /// Both tell the same.
    Agreed,
    /// It never left its asker: there is nothing to compare.
    Apart,
    /// It cannot be told, and why.
    Unsure(String),
    /// They do not, and in what.
    Wrong(String, Vec<FieldDifference>),
}

/// The fields that both sides of a query must have alike.
pub(super) fn story(logged: &Logged) -> Vec<(&'static str, Option<String>)> {
    let entry = &logged.entry;
    let list = |list: &[String]| Some(list.join(", "));
    // a picture has many holders
    let holder = entry.holder.clone().filter(|_| entry.participants.is_empty());
    let digest = |digest: &Option<Digest>| digest.map(|digest| digest.to_string());
    vec![
        ("operation", Some(entry.operation.to_string())),
        ("purpose", entry.purpose.clone()),
        ("regime", entry.regime.clone()),
        ("article", entry.article.clone()),
        ("case_reference", entry.case_reference.clone()),
        ("reason", entry.reason.clone()),
        ("person", entry.person.clone()),
        ("role", entry.role.clone()),
        ("order", entry.order.clone()),
        ("order_hash", digest(&entry.order_hash)),
        ("on_behalf_of", entry.on_behalf_of.clone()),
        ("roles", list(&entry.roles)),
        ("asker", entry.asker.clone()),
        ("holder", holder),
        ("participants", list(&entry.participants)),
        ("recipients", list(&entry.recipients)),
        ("country", entry.country.clone()),
        ("kinds", list(&entry.kinds)),
        ("mode", entry.mode.clone()),
        ("profile", entry.profile.clone()),
        ("profile_hash", digest(&entry.profile_hash)),
        ("protocol", entry.protocol.clone()),
        ("input_count", entry.input_count.map(|count| count.to_string())),
        ("input_commitment", digest(&entry.input_commitment)),
        ("agreement", entry.agreement.clone()),
        ("agreement_hash", digest(&entry.agreement_hash)),
        ("trace", entry.trace.clone()),
        ("about", entry.about.map(|about| about.to_string())),
    ]
}

/// Judges a query by its entries in both logs, and whether each log gave a receipt for it.
pub(super) fn judge(
    found: [&[Logged]; 2],
    receipted: [bool; 2],
    logs: &[Report; 2],
    agencies: &[String; 2],
) -> Judgement {
    let wrong = |what: String| Judgement::Wrong(what, Vec::new());
    match found {
        [[], []] => wrong("its entries cannot be read".to_owned()),
        [alone, []] => lonely(alone, receipted[1], &logs[1], &agencies[1]),
        [[], alone] => lonely(alone, receipted[0], &logs[0], &agencies[0]),
        [[one], [other]] => pair(one, other),
        [ones, others] => wrong(format!(
            "{} entries are in the log of {} and {} in that of {}: an id was used more than once",
            ones.len(),
            agencies[0],
            others.len(),
            agencies[1]
        )),
    }
}

fn pair(one: &Logged, other: &Logged) -> Judgement {
    let (asker, holder) = match (one.entry.side, other.entry.side) {
        (Side::Asker, Side::Holder) => (one, other),
        (Side::Holder, Side::Asker) => (other, one),
        _ => {
            return Judgement::Wrong("both logs say that they were on the same side".to_owned(), Vec::new());
        }
    };
    let asker_is_first = one.entry.side == Side::Asker;
    let in_order = |asker: Option<String>, holder: Option<String>| match asker_is_first {
        true => [asker, holder],
        false => [holder, asker],
    };
    let (outcome, twin) = (asker.outcome(), holder.outcome());
    // who refuses may not have come as far as to know everything
    let may_lack = twin == Outcome::Denied;
    let fields = story(asker).into_iter().zip(story(holder));
    let fields = fields.filter(|((_, asked), (_, held))| {
        let lacks = held.as_ref().is_none_or(String::is_empty);
        asked != held && !(lacks && may_lack)
    });
    let mut fields: Vec<FieldDifference> = fields
        .map(|((field, asked), (_, held))| FieldDifference {
            field,
            values: in_order(asked, held),
        })
        .collect();
    let of = |logged: &Logged, read: fn(&Closing) -> Option<u64>| logged.closing.as_ref().and_then(read);
    let is_picture = !asker.entry.participants.is_empty();
    let completed = !is_picture && matches!(outcome, Outcome::Hit | Outcome::NoHit)
        || asker.entry.operation == Operation::Disclosure && matches!(outcome, Outcome::Done | Outcome::Pending);
    let handed = of(holder, |closing| closing.output_count);
    let counts = [
        (
            "input_count",
            asker.entry.input_count,
            of(holder, |closing| closing.peer_count),
            twin == Outcome::Done,
        ),
        (
            "items of the holder",
            of(asker, |closing| closing.peer_count),
            handed,
            completed,
        ),
    ];
    for (field, asked, held, must_be_equal) in counts {
        if asked != held && must_be_equal {
            let text = |count: Option<u64>| count.map(|count| count.to_string());
            fields.push(FieldDifference {
                field,
                values: in_order(text(asked), text(held)),
            });
        }
    }
    let differ = || {
        Judgement::Wrong(
            format!("the asker's log says {outcome}, the holder's {twin}"),
            Vec::new(),
        )
    };
    if !fields.is_empty() {
        return Judgement::Wrong("the logs differ".to_owned(), fields);
    }
    match (outcome, twin) {
        // an asker that was told no count is done too
        (Outcome::Hit | Outcome::NoHit | Outcome::Done, Outcome::Done)
        | (Outcome::Denied, Outcome::Denied)
        | (Outcome::Pending, Outcome::Pending) => Judgement::Agreed,
        // a picture goes on without those that dropped out
        (Outcome::Hit | Outcome::NoHit, Outcome::Denied | Outcome::Error | Outcome::Interrupted) if is_picture => {
            match handed.unwrap_or_default() {
                0 => Judgement::Agreed,
                handed => Judgement::Unsure(format!(
                    "the holder dropped out of a picture after it had handed {handed} items over"
                )),
            }
        }
        (Outcome::Denied, Outcome::Done) => differ(),
        (Outcome::Admitted, _) | (_, Outcome::Admitted) => {
            Judgement::Unsure("it has no end yet in one of the logs".to_owned())
        }
        // cut on both sides, and nothing was handed over
        (Outcome::Error | Outcome::Interrupted, Outcome::Error | Outcome::Interrupted | Outcome::Denied)
            if handed.unwrap_or_default() == 0 =>
        {
            Judgement::Agreed
        }
        (Outcome::Error | Outcome::Interrupted | Outcome::Denied, _) => Judgement::Unsure(format!(
            "the asker says {outcome}; the holder says {twin}, and that it handed {} items over",
            handed.unwrap_or_default()
        )),
        _ => differ(),
    }
}

/// A query that one log has alone.
fn lonely(alone: &[Logged], receipted: bool, missing: &Report, missing_at: &str) -> Judgement {
    let wrong = |what: String| Judgement::Wrong(what, Vec::new());
    let ([logged], false) = (alone, receipted) else {
        return wrong(match receipted {
            true => format!("{missing_at} gave a receipt for it, and it is missing in its log"),
            false => format!("it is there more than once, and missing in the log of {missing_at}"),
        });
    };
    if let Err(why) = tells_of(missing, logged.entry.started) {
        return Judgement::Unsure(format!("the log of {missing_at} {why}"));
    }
    let sent = logged.closing.as_ref().and_then(|closing| closing.sent);
    match (logged.entry.side, logged.outcome()) {
        (Side::Asker, Outcome::Denied | Outcome::Error) if sent != Some(true) => Judgement::Apart,
        (Side::Asker, Outcome::Denied) => {
            Judgement::Unsure(format!("{missing_at} may have refused it before it was read"))
        }
        (Side::Asker, Outcome::Error | Outcome::Interrupted | Outcome::Admitted) => {
            Judgement::Unsure(format!("it may never have arrived at {missing_at}"))
        }
        _ => wrong(format!("it is missing in the log of {missing_at}")),
    }
}
