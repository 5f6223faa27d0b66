//! Identifiers, canonical forms, match keys and the import of an agency's own files.
//!
//! An agency writes the same telephone number in ten ways; a private set intersection only sees equal bytes. This crate turns raw
//! text into the one [canonical form](Identifier) that the agreed [profile](Profile) prescribes, and reads an agency's CSV exports
//! through a [mapping](Mapping) in bounded memory.
//!
//! Two rules hold everywhere:
//!
//! - No error, no `Debug` text and no log line contains a value, only where it stood and what was wrong with it.
//! - Nothing here panics on any input.
//!
//! ```
//! use overlap_records::{Identifier, Hints, Import, Kind, Mapping};
//!
//! let phone = Identifier::normalise(Kind::Phone, "+31 (0)6 12345678", &Hints::default())?;
//! assert_eq!(phone.canonical(), "+31612345678");
//!
//! let mapping = Mapping::parse(r#"
//!     [record]
//!     reference = "zaaknr"
//!     [[identifier]]
//!     kind = "phone"
//!     columns = ["telefoon"]
//! "#)?;
//! let file = "zaaknr;telefoon\nZ1;06-12345678\nZ2;112\n";
//! let mut import = Import::open(file.as_bytes(), "cases.csv", &mapping)?;
//! for row in import.by_ref() {
//!     for reject in row?.rejects {
//!         println!("{}", reject.in_file("cases.csv"));
//!     }
//! }
//! assert_eq!(import.summary().records, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod date;
mod identifier;
mod import;
mod kind;
mod mapping;
mod normalise;
mod profile;
mod record;
mod region;
mod rejection;
mod summary;

pub use date::{DateOrder, parse_date};
pub use identifier::{Hints, Identifier, MAX_CANONICAL, MAX_RAW, MatchKey};
pub use import::{Header, Import, ImportError, MAX_COLUMNS, MAX_ROW_BYTES, Reject, RejectIn, Row};
pub use kind::{Kind, Role, UnknownKind, UnknownRole, UnknownVisibility, Visibility};
pub use mapping::{Mapping, MappingError};
pub use normalise::PersonNames;
pub use profile::Profile;
pub use record::{MAX_IDENTIFIERS_PER_RECORD, MAX_REFERENCE, Record, RecordError};
pub use region::{Region, UnknownRegion};
pub use rejection::Rejection;
pub use summary::Summary;
