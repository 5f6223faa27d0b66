//! Errors of the store.

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// RocksDB refused: a full disk, a lost file, a locked directory.
    #[error("the database failed: {0}")]
    Rocks(#[from] rocksdb::Error),
    /// The directory was written by another version of the software.
    #[error(
        "the store has schema version {found}, this build knows {known}; open it with the version of Overlap that wrote it"
    )]
    Schema {
        /// The version found.
        found: u32,
        /// The version that this build reads and writes.
        known: u32,
    },
    /// The data key is not the one that this store was made with.
    #[error("the data key is not the one that this store was made with")]
    WrongKey,
    /// Something stored is not what was written.
    #[error("the store is damaged: {0}")]
    Damaged(&'static str),
    /// A file for sorting could not be written or read.
    #[error("a temporary file failed: {0}")]
    Spill(#[from] std::io::Error),
    /// The system gave no randomness or the key could not be used.
    #[error("the cryptographic library failed")]
    Crypto,
    /// An event was sealed under an earlier day than one that was written meanwhile; it is sealed anew.
    #[error("the day passed while an event was written")]
    DayPassed,
    /// The log's writer ended before its time.
    #[error("the log is not written any more: restart the node")]
    LogStopped,
    /// The event's key was erased with those of its day.
    #[error("the log entry was shredded: only its place in the log is left")]
    Shredded,
    /// The log's tree cannot be read.
    #[error("the log's tree: {0}")]
    Tree(#[from] overlap_audit::TreeError),
    /// The log's head cannot be signed or believed.
    #[error("the log's checkpoint: {0}")]
    Checkpoint(#[from] overlap_audit::CheckpointError),
    /// The log cannot be exported.
    #[error("the log cannot be exported: {0}")]
    Export(#[from] overlap_audit::ExportError),
    /// The log has no such open entry.
    #[error("the log has no open entry of that id")]
    NoSuchEntry,
    /// The log has a query with this transaction id on this side already.
    #[error("the transaction id was used before")]
    TransactionTaken,
    /// An amount is used up.
    #[error("{name} is {limit}, of which {used} are used")]
    QuotaExceeded {
        /// The limit.
        name: &'static str,
        /// How much may be drawn in a period.
        limit: u64,
        /// How much was drawn before.
        used: u64,
    },
    /// The dataset is too large for its index.
    #[error("a dataset version holds more than {max} records")]
    TooManyRecords {
        /// The most that a version can hold.
        max: u64,
    },
    /// The version that another was made from is no longer the current one.
    #[error("the dataset was changed meanwhile: try again")]
    Changed,
    /// Records made under one profile cannot stand beside records made under another.
    #[error("the dataset was made under another profile: import all of it again")]
    OtherProfile,
    /// Something could not be written as JSON.
    #[error("a value could not be encoded: {0}")]
    Encode(#[from] serde_json::Error),
    /// A log event could not be written or read.
    #[error(transparent)]
    Event(#[from] overlap_audit::BadEvent),
}
