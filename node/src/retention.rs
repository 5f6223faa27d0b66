//! Retention: what has expired is erased, and the erasure is an entry.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};
use overlap_agreement::Ending;
use overlap_audit::{Digest, Entry, Operation, Outcome, SHREDDING, Side};
use overlap_proto::fault::Reason;
use overlap_store::{AlarmKind, Dataset, DatasetInfo, FollowUp, FoundRecord, KeptPicture, StoreError};
use uuid::Uuid;

use crate::{
    agreements::{Held, Standing},
    alarm, approvals, differences,
    error::NodeError,
    node::{Node, now},
    policy,
    pool::blocking,
    spine::{self, Finding},
};

/// What a purge erased.
#[derive(Default)]
pub(crate) struct Purged {
    /// The datasets as they are now, with the number of records erased.
    pub(crate) datasets: Vec<(DatasetInfo, u64)>,
    /// Kept hits.
    pub(crate) hits: u64,
}

/// The day in UTC: records expire at its end everywhere.
pub(crate) fn today() -> Date {
    TimeZone::UTC.to_datetime(now()).date()
}

/// Purges when the node starts and then once a day, just after midnight UTC, until it drains. What fails is tried again the next hour.
pub(crate) async fn every_day(node: Arc<Node>) {
    loop {
        let running = Arc::clone(&node);
        let purge = node.queries.spawn(async move {
            let purged = purge(&running, None, &blank).await;
            log(&running).await?;
            let forgotten = blocking(move || forget(&running));
            forgotten.await??;
            purged
        });
        let wait = match purge.await {
            Ok(Ok(_)) => until_tomorrow(now()),
            Ok(Err(NodeError::Draining)) => return,
            Ok(Err(error)) => {
                tracing::error!(reason = error.reason().name(), "the purge failed");
                Duration::from_secs(3600)
            }
            Err(_) => {
                tracing::error!("the purge panicked");
                Duration::from_secs(3600)
            }
        };
        tokio::select! {
            () = node.draining.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Erases the records of one dataset, or of all, whose retention has ended, and the kept hits that go with them or are too old.
/// `entry` makes the entry of work on a dataset. One that fails does not hold up the others; the first failure is told at the end.
pub(crate) async fn purge(
    node: &Arc<Node>,
    only: Option<&str>,
    entry: &(dyn Fn(&Node, &str) -> Entry + Sync),
) -> Result<Purged, NodeError> {
    node.check_open()?;
    let today = today();
    let mut purged = Purged::default();
    let mut failed = None;
    let names = node.store.datasets().into_iter().map(|held| held.info().name.clone());
    let names: Vec<String> = names.filter(|name| only.is_none_or(|only| only == name)).collect();
    for name in names {
        // held for no longer than its own purge: what is erased meanwhile must go
        let Some(held) = node.store.dataset(&name).filter(|held| held.info().is_due(today)) else {
            continue;
        };
        match dataset(node, held, today, entry).await {
            Ok(done) => purged.datasets.push(done),
            Err(error) => {
                tracing::error!(reason = error.reason().name(), "a dataset was not purged");
                failed = failed.or(Some(error));
            }
        }
    }
    purged.hits = hits(node, only, entry).await?;
    failed.map_or(Ok(purged), Err)
}

/// Forgets what nobody needs any more to understand what the log says, or to ask.
fn forget(node: &Node) -> Result<(), StoreError> {
    let now = now();
    approvals::forget(&node.store, now)?;
    differences::forget(&node.store, now)?;
    let Some(before) = SignedDuration::try_from(node.config.limits.keep_log)
        .ok()
        .and_then(|kept| now.checked_sub(kept).ok())
    else {
        return Ok(());
    };
    node.agreements.forget(before)?;
    node.orders.forget(before)?;
    node.actions.forget(before)?;
    policy::forget_salts(&node.store, before)?;
    Ok(())
}

/// Shreds what of the log has been kept for long enough; an entry, where there is anything.
async fn log(node: &Arc<Node>) -> Result<u64, NodeError> {
    let days = node.config.limits.keep_log.as_secs() / 86_400;
    let today = now().as_second().div_euclid(86_400);
    let before = u32::try_from(today).ok().zip(u32::try_from(days).ok());
    let Some(before) = before.and_then(|(today, days)| today.checked_sub(days)) else {
        return Ok(0);
    };
    let store = Arc::clone(&node.store);
    let (is_due, newest) =
        blocking(move || Ok::<_, StoreError>((store.log().is_due(before)?, store.log().newest_day()?))).await??;
    if !is_due {
        return Ok(0);
    }
    // A clock that was set years ahead would shred all there is. Every start and every import is an event: a gap as long as this is no idle node.
    const LONGEST_GAP: u32 = 400;
    if u32::try_from(today).unwrap_or(u32::MAX) > newest.saturating_add(LONGEST_GAP) {
        tracing::error!("the clock is more than a year ahead of the log: nothing of it is shredded");
        return Ok(0);
    }
    let mut entry = blank(node, "");
    entry.dataset = None;
    entry.mode = Some(SHREDDING.to_owned());
    entry.reason = Some(format!("retention: log entries older than {days} days"));
    let store = Arc::clone(&node.store);
    spine::logged(node, entry, async move {
        let shredded = blocking(move || store.log().shred(before)).await??;
        let finding = Finding {
            remark: Some("how many events of the log are shredded by now; their leaves stay".to_owned()),
            ..counted(shredded)
        };
        Ok((Outcome::Done, finding, shredded))
    })
    .await
}

/// Holds the whole log against its tree, once after the start: what was changed on disk is an alarm.
pub(crate) async fn check_log(node: Arc<Node>) {
    let running = Arc::clone(&node);
    let started = std::time::Instant::now();
    let checked = blocking(move || {
        let goes_on = || !running.draining.is_cancelled();
        running.store.log().check(goes_on)
    })
    .await;
    match checked {
        Ok(Ok(None)) => tracing::info!(
            events = node.store.log().size(),
            milliseconds = started.elapsed().as_millis(),
            "the log was checked"
        ),
        Ok(Ok(Some(fault))) => {
            let raised = alarm::raise(
                &node,
                &node.config.id,
                AlarmKind::Damaged,
                fault.to_string(),
                Vec::new(),
            )
            .await;
            if let Err(error) = raised {
                tracing::error!(%error, %fault, "an alarm could not be logged");
            }
        }
        Ok(Err(error)) => {
            let what = format!("the log cannot be read to its end: {error}");
            tracing::error!(what);
            if let Err(error) = alarm::raise(&node, &node.config.id, AlarmKind::Damaged, what, Vec::new()).await {
                tracing::error!(%error, "an alarm could not be logged");
            }
        }
        Err(error) => tracing::error!(%error, "the log could not be checked"),
    }
}

/// Which kept hits are not to be kept, or shown, any longer.
pub(crate) struct Gone {
    now: Timestamp,
    since: i64,
    today: Date,
    held: BTreeSet<String>,
    /// Hashes of agreements that take with them what was found under them.
    ended: BTreeSet<Digest>,
}

impl Gone {
    pub(crate) fn at(node: &Node, now: Timestamp) -> Self {
        let longest = i64::try_from(node.config.limits.keep_hits.as_secs()).unwrap_or(i64::MAX);
        let held = node.store.datasets().into_iter().map(|held| held.info().name.clone());
        Self {
            now,
            since: now.as_second().saturating_sub(longest),
            today: TimeZone::UTC.to_datetime(now).date(),
            held: held.collect(),
            ended: ended(node, now).map(|held| held.hash()).collect(),
        }
    }

    pub(crate) fn is(&self, found: &FoundRecord) -> bool {
        self.has(found.found, found.expires, &found.dataset, &found.agreement)
    }

    pub(crate) fn is_row(&self, row: &FollowUp) -> bool {
        self.has(row.made, row.expires, &row.dataset, &row.agreement)
    }

    pub(crate) fn is_picture(&self, row: &KeptPicture) -> bool {
        row.expires <= self.now || self.has(row.made, None, &row.dataset, &row.agreement)
    }

    fn has(&self, found: Timestamp, expires: Option<Date>, dataset: &str, agreement: &Digest) -> bool {
        found.as_second() < self.since
            || expires.is_some_and(|expires| expires < self.today)
            || !dataset.is_empty() && !self.held.contains(dataset)
            || self.ended.contains(agreement)
    }
}

fn erases(held: &Arc<Held>) -> bool {
    held.agreement().at_end == Ending::Erase
}

/// Agreements that have ended, and are to take with them what was found under them.
fn ended(node: &Node, now: Timestamp) -> impl Iterator<Item = Arc<Held>> {
    let has_ended = move |held: &Arc<Held>| {
        let standing = node.agreements.standing(held, now);
        matches!(standing, Standing::Expired | Standing::Ended { .. })
    };
    let all = node.agreements.all().into_iter();
    all.filter(erases).filter(has_ended).collect::<Vec<_>>().into_iter()
}

/// Erases what was found under an agreement as soon as it ends, where it says so, until the node drains.
pub(crate) async fn at_ends(node: Arc<Node>) {
    let mut changed = node.agreements.changed.subscribe();
    let mut done: BTreeSet<Digest> = BTreeSet::new();
    loop {
        let now = now();
        let due: BTreeSet<Digest> = ended(&node, now).map(|held| held.hash()).collect();
        if !due.is_subset(&done) {
            let running = Arc::clone(&node);
            let erasing = node.queries.spawn(async move { hits(&running, None, &blank).await });
            match erasing.await {
                Ok(Ok(_)) => done = due,
                Ok(Err(error)) => tracing::error!(reason = error.reason().name(), "kept hits were not erased"),
                Err(_) => tracing::error!("an erasure panicked"),
            }
        }
        let all = node.agreements.all();
        let next = all
            .iter()
            .filter(|held| erases(held))
            .map(|held| held.agreement().valid_until);
        let next = next.filter(|until| *until > now).min();
        // the clock may be set meanwhile: looked at again every minute
        let wait = next.map_or(Duration::MAX, |until| {
            Duration::try_from(until.duration_since(now)).unwrap_or_default()
        });
        tokio::select! {
            () = node.draining.cancelled() => return,
            () = tokio::time::sleep(wait.min(Duration::from_secs(60))) => {}
            changed = changed.changed() => if changed.is_err() { return },
        }
    }
}

/// Erases the hits that a new version of a dataset has no record for any more.
pub(crate) async fn follow(node: &Arc<Node>, dataset: &str) {
    if let Err(error) = hits(node, Some(dataset), &blank).await {
        // the next purge makes it good
        tracing::error!(reason = error.reason().name(), "kept hits were not purged");
    }
}

/// Which kept hits go now.
struct Going {
    only: Option<String>,
    gone: Gone,
    /// References that no record has any more, by dataset.
    absent: BTreeMap<String, BTreeSet<String>>,
}

impl Going {
    fn takes(&self, found: &FoundRecord) -> bool {
        self.is_meant(&found.dataset) && (self.gone.is(found) || self.is_absent(&found.dataset, &found.reference))
    }

    /// A follow-up goes with the last of its records.
    fn takes_row(&self, row: &FollowUp) -> bool {
        let is_bare = !row.records.is_empty()
            && row
                .records
                .iter()
                .all(|record| self.is_absent(&row.dataset, &record.reference));
        self.is_meant(&row.dataset) && (self.gone.is_row(row) || is_bare)
    }

    fn is_meant(&self, dataset: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == dataset)
    }

    fn is_absent(&self, dataset: &str, reference: &str) -> bool {
        self.absent
            .get(dataset)
            .is_some_and(|absent| absent.contains(reference))
    }
}

async fn hits(
    node: &Arc<Node>,
    only: Option<&str>,
    entry: &(dyn Fn(&Node, &str) -> Entry + Sync),
) -> Result<u64, NodeError> {
    let (gone, only) = (Gone::at(node, now()), only.map(str::to_owned));
    let store = Arc::clone(&node.store);
    let looking = blocking(move || {
        let mut any = false;
        let mut held: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in store.hits().iter()? {
            let (_, found) = row?;
            if only.as_ref().is_some_and(|only| *only != found.dataset) {
                continue;
            }
            if gone.is(&found) {
                any = true;
            } else {
                held.entry(found.dataset).or_default().insert(found.reference);
            }
        }
        for row in store.follow_ups().iter()? {
            let row = row?;
            if only.as_ref().is_some_and(|only| *only != row.dataset) {
                continue;
            }
            if gone.is_row(&row) {
                any = true;
            } else {
                let references = row.records.into_iter().map(|record| record.reference);
                held.entry(row.dataset).or_default().extend(references);
            }
        }
        for row in store.pictures().iter()? {
            let row = row?;
            any |= only.as_ref().is_none_or(|only| *only == row.dataset) && gone.is_picture(&row);
        }
        // records that an import, or a purge, has left out
        let mut absent = BTreeMap::new();
        for (dataset, references) in held {
            if let Some(version) = store.dataset(&dataset) {
                absent.insert(dataset, version.absent(references)?);
            }
        }
        any |= absent.values().any(|references| !references.is_empty());
        Ok::<_, StoreError>(any.then_some(Going { only, gone, absent }))
    });
    let Some(going) = looking.await?? else {
        return Ok(0);
    };
    let mut entry = entry(node, "");
    entry.dataset = None;
    entry.reason = Some("kept hits and pictures whose record, dataset or retention has ended".to_owned());
    let store = Arc::clone(&node.store);
    spine::logged(node, entry, async move {
        let erased = blocking(move || {
            let erased = store.hits().erase(|found| going.takes(found))?;
            let erased = erased + store.follow_ups().erase(|row| going.takes_row(row))?;
            let is_going = |row: &KeptPicture| going.is_meant(&row.dataset) && going.gone.is_picture(row);
            Ok::<_, StoreError>(erased + store.pictures().erase(is_going)?)
        })
        .await??;
        Ok((Outcome::Done, counted(erased), erased))
    })
    .await
}

async fn dataset(
    node: &Arc<Node>,
    held: Dataset,
    today: Date,
    entry: &(dyn Fn(&Node, &str) -> Entry + Sync),
) -> Result<(DatasetInfo, u64), NodeError> {
    let mut entry = entry(node, &held.info().name);
    entry.dataset_version = Some(held.info().version);
    entry.reason = Some(format!("retention: records that expired before {today}"));
    let (store, pool) = (Arc::clone(&node.store), node.pool.clone());
    spine::logged(node, entry, async move {
        let (info, erased) = blocking(move || {
            let purged = pool.install(|| store.purge(&held, today, now()));
            let (kept, erased) = purged.map_err(refusal)?;
            let info = kept.info().clone();
            Ok::<_, NodeError>((info, erased))
        })
        .await??;
        Ok((Outcome::Done, counted(erased), (info, erased)))
    })
    .await
}

fn counted(erased: u64) -> Finding {
    Finding {
        output_count: Some(erased),
        ..Finding::default()
    }
}

/// The entry of the node's own work.
fn blank(node: &Node, dataset: &str) -> Entry {
    let mut entry = policy::blank_entry(Operation::Erasure, Side::Holder, now(), Uuid::now_v7());
    entry.policy_hash = Some(node.rules.load().hash);
    entry.holder = Some(node.config.id.clone());
    entry.dataset = Some(dataset.to_owned());
    entry
}

/// Two changes of a dataset that met, and a dataset that a change does not fit, are no failure of the store.
pub(crate) fn refusal(error: StoreError) -> NodeError {
    match error {
        StoreError::Changed | StoreError::OtherProfile => NodeError::refused(Reason::InvalidRequest, error.to_string()),
        error => error.into(),
    }
}

fn until_tomorrow(now: Timestamp) -> Duration {
    let minute_past = TimeZone::UTC
        .to_datetime(now)
        .date()
        .checked_add(1.day())
        .and_then(|tomorrow| TimeZone::UTC.to_timestamp(tomorrow.at(0, 1, 0, 0)));
    let seconds = minute_past.map_or(3600, |then| then.as_second() - now.as_second());
    Duration::from_secs(u64::try_from(seconds).unwrap_or(3600).max(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tomorrow_begins_a_minute_past_midnight() {
        let at = |text: &str| until_tomorrow(text.parse().unwrap()).as_secs();
        assert_eq!(at("2026-02-28T23:59:00Z"), 120);
        assert_eq!(at("2026-02-28T00:00:00Z"), 86_460);
        assert_eq!(at("2026-12-31T23:59:59Z"), 61);
    }
}
