//! What the log's durability costs, beside what the disk and RocksDB take for the same: for `overlap bench log`.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use overlap_audit::{Closing, Entry, Operation, Outcome, Side};
use rocksdb::{DB, WriteBatch};
use serde::Serialize;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{DataKey, LogSettings, Search, Store, StoreError, database_options, synced};

/// The agency that the entries are of.
pub const AGENCY: &str = "spiffe://overlap.example/agency/bench";

/// How long each of the plain measures goes on.
const PLAIN: Duration = Duration::from_secs(2);

/// What was measured; times in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct LogFigures {
    /// Queries, each an opening and an end.
    pub entries: u64,
    /// How many of them were under way at a time.
    pub concurrent: usize,
    /// From the first append to the last.
    pub seconds: f64,
    /// Events on disk per second; each append waited for its own.
    pub appends_per_second: f64,
    /// Queries, with both of their events on disk, per second.
    pub entries_per_second: f64,
    /// Half of the appends took no longer.
    pub p50_ms: f64,
    /// 99 of 100 appends took no longer.
    pub p99_ms: f64,
    /// Bytes of an event, on average, with what is stored for it.
    pub bytes_per_append: f64,
    /// Plain syncs of 4 KiB appended to a file.
    pub fsyncs_per_second: f64,
    /// How long one takes: the median, and that of 99 in 100.
    pub fsync_p50_ms: f64,
    /// See above.
    pub fsync_p99_ms: f64,
    /// Synced batches of RocksDB, of 1,024 rows of 1 KiB.
    pub rocksdb_batches_per_second: f64,
    /// Rows in them.
    pub rocksdb_rows_per_second: f64,
    /// A search for the last entries of one person, and of one case of another.
    pub search_ms: f64,
    /// Making the inclusion proof of one event.
    pub proof_ms: f64,
    /// Its size, as hashes of 32 bytes.
    pub proof_bytes: usize,
}

/// Runs queries without work against a log in a directory that must be empty, and exports it.
///
/// # Errors
/// Those of the store and of the files.
pub fn log(directory: &Path, entries: u64, concurrent: usize, export: &Path) -> Result<LogFigures, StoreError> {
    let (fsyncs_per_second, fsync_p50_ms, fsync_p99_ms) = fsyncs(directory)?;
    let rocksdb_batches_per_second = batches(&directory.join("plain"))?;
    let key = DataKey::from_hex(&"b".repeat(64)).map_err(|_| StoreError::Crypto)?;
    let settings = LogSettings {
        name: overlap_audit::log_name(AGENCY),
        hands_on: false,
    };
    let path = directory.join("log");
    let store = Arc::new(Store::open(&path, &key, &settings)?);
    let (seconds, mut times) = append(&store, entries, concurrent)?;
    let search = Search {
        person: Some(person(entries / 2)),
        case_reference: Some(case(entries / 2)),
        ..Search::default()
    };
    let started = Instant::now();
    let found = store.log().search(&search, 50)?.len();
    let search_ms = milliseconds(started.elapsed());
    if found == 0 && entries > 0 {
        return Err(StoreError::Damaged("an entry is not found"));
    }
    let size = store.log().size();
    let started = Instant::now();
    let proof = store.log().inclusion(size / 3, size)?;
    let proof_ms = milliseconds(started.elapsed());
    let file = BufWriter::with_capacity(1 << 20, File::create(export)?);
    store.log().export(AGENCY, Timestamp::now(), file)?;
    drop(store);
    times.sort_unstable();
    let appends = times.len() as f64;
    Ok(LogFigures {
        entries,
        concurrent,
        seconds,
        appends_per_second: appends / seconds,
        entries_per_second: entries as f64 / seconds,
        p50_ms: percentile(&times, 50),
        p99_ms: percentile(&times, 99),
        bytes_per_append: size_of_directory(&path)? as f64 / appends.max(1.0),
        fsyncs_per_second,
        fsync_p50_ms,
        fsync_p99_ms,
        rocksdb_batches_per_second,
        rocksdb_rows_per_second: rocksdb_batches_per_second * ROWS as f64,
        search_ms,
        proof_ms,
        proof_bytes: proof.len() * 32,
    })
}

/// Opens and closes entries from many tasks; returns the seconds and how long each append took.
fn append(store: &Arc<Store>, entries: u64, concurrent: usize) -> Result<(f64, Vec<Duration>), StoreError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let times = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..concurrent {
            tasks.spawn(queries(Arc::clone(store), Arc::clone(&next), entries));
        }
        let mut all = Vec::with_capacity(usize::try_from(2 * entries).unwrap_or_default());
        while let Some(ended) = tasks.join_next().await {
            all.extend(ended.map_err(|_| StoreError::LogStopped)??);
        }
        Ok::<_, StoreError>(all)
    })?;
    Ok((started.elapsed().as_secs_f64(), times))
}

/// One query after the other, until all were taken.
async fn queries(store: Arc<Store>, next: Arc<AtomicU64>, entries: u64) -> Result<Vec<Duration>, StoreError> {
    let mut times = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= entries {
            return Ok(times);
        }
        let (entry, closing) = query(number);
        let begun = Instant::now();
        store.log().open_entry(&entry, &[]).await?;
        times.push(begun.elapsed());
        let begun = Instant::now();
        store.log().close_entry(&closing, &[]).await?;
        times.push(begun.elapsed());
    }
}

fn person(number: u64) -> String {
    format!("spiffe://bench.example/user/{}", number % 997)
}

fn case(number: u64) -> String {
    format!("2026-{}", number % 9973)
}

/// A query as an asker logs one.
fn query(number: u64) -> (Entry, Closing) {
    let now = Timestamp::now();
    let digest = overlap_audit::Digest([7; 32]);
    let entry = Entry {
        id: Uuid::now_v7(),
        transaction: Uuid::now_v7(),
        about: None,
        trace: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
        parent_span: None,
        started: now,
        operation: Operation::Combination,
        side: Side::Asker,
        purpose: Some("thb-investigation".to_owned()),
        regime: Some("wpg".to_owned()),
        article: Some("20".to_owned()),
        case_reference: Some(case(number)),
        reason: Some("phones of the victim's contacts".to_owned()),
        person: Some(person(number)),
        role: Some("analyst".to_owned()),
        approver: None,
        order: None,
        asker: Some(AGENCY.to_owned()),
        holder: Some("spiffe://overlap.example/agency/kmar".to_owned()),
        participants: Vec::new(),
        caller_certificate: Some(digest),
        recipients: vec![AGENCY.to_owned()],
        country: Some("NL".to_owned()),
        roles: vec!["suspect".to_owned()],
        order_hash: None,
        on_behalf_of: None,
        dataset: Some("cases".to_owned()),
        dataset_version: Some(1),
        kinds: vec!["phone".to_owned()],
        mode: Some("hits".to_owned()),
        profile: Some("eu-thb/1".to_owned()),
        profile_hash: Some(digest),
        protocol: Some("dh-psi/ristretto255/v1".to_owned()),
        input_count: Some(number),
        input_commitment: Some(digest),
        visibility: Vec::new(),
        agreement: Some("politie-kmar-2026".to_owned()),
        agreement_hash: Some(digest),
        policy_hash: Some(digest),
        software: "overlap/bench".to_owned(),
    };
    let closing = Closing {
        id: entry.id,
        ended: now,
        outcome: Outcome::NoHit,
        output_count: Some(0),
        hits: Some(0),
        candidates: Some(0),
        peer_count: Some(1000),
        callee_certificate: Some(digest),
        sent: Some(true),
        detail: None,
    };
    (entry, closing)
}

fn fsyncs(directory: &Path) -> Result<(f64, f64, f64), StoreError> {
    let mut file = File::create(directory.join("fsync"))?;
    let (started, mut times) = (Instant::now(), Vec::new());
    while started.elapsed() < PLAIN {
        let begun = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    let per_second = times.len() as f64 / started.elapsed().as_secs_f64();
    times.sort_unstable();
    Ok((per_second, percentile(&times, 50), percentile(&times, 99)))
}

/// Rows of a plain batch.
const ROWS: u64 = 1024;

fn batches(directory: &Path) -> Result<f64, StoreError> {
    let db = DB::open(&database_options()?, directory)?;
    let (started, mut count) = (Instant::now(), 0_u64);
    while started.elapsed() < PLAIN {
        let mut writes = WriteBatch::default();
        for row in 0..ROWS {
            writes.put((count * ROWS + row).to_be_bytes(), [7; 1024]);
        }
        db.write_opt(writes, &synced())?;
        count += 1;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |time| milliseconds(*time))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn size_of_directory(directory: &Path) -> std::io::Result<u64> {
    let mut size = 0;
    for entry in std::fs::read_dir(directory)? {
        size += entry?.metadata()?.len();
    }
    Ok(size)
}
