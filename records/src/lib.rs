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
mod disclosed;
mod explain;
mod identifier;
mod import;
mod kind;
mod mapping;
mod normalise;
mod person;
mod profile;
mod propose;
mod record;
mod region;
mod rejection;
mod summary;

pub use date::{DateOrder, parse_date};
pub use disclosed::{Disclosed, MAX_ATTACHMENT};
pub use explain::{Explanation, Step, explain};
pub use identifier::{Hints, Identifier, MAX_CANONICAL, MAX_RAW, MatchKey};
pub use import::{
    Files, Format, Header, Import, ImportError, Limit, MAX_COLUMNS, MAX_FOOTER, MAX_ROW_BYTES, MAX_ROW_GROUP,
    MAX_XLSX_BYTES, MAX_XLSX_RATIO, MAX_XLSX_RUN, MAX_XLSX_TEXT, Reject, RejectIn, Row, UnknownFormat, Unsupported,
};
pub use kind::{Kind, Platform, Role, UnknownKind, UnknownPlatform, UnknownRole, UnknownVisibility, Visibility};
pub use mapping::{Mapping, MappingError, MixedDates};
pub use normalise::{AddressParts, Mrz};
pub use person::{PersonParts, salvage_birth_date};
pub use profile::{Agreed, Key, Profile, ProfileError, Sizes};
pub use propose::{Ask, Proposal};
pub use record::{MAX_IDENTIFIERS_PER_RECORD, MAX_REFERENCE, Record, RecordError};
pub use region::{Region, UnknownRegion};
pub use rejection::Rejection;
pub use summary::{Summary, Warning, WarningKind};

/// Reads TOML; an error tells line and key and does not show the line, since another file may have been given by mistake: somebody's data.
fn from_toml<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let (lines, start) = before
            .rsplit_once('\n')
            .map_or((0, before), |(lines, start)| (lines.matches('\n').count() + 1, start));
        let key = start.split_once('=').map_or("", |(key, _)| key.trim());
        let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let key = if is_key { format!(", `{key}`") } else { String::new() };
        format!("line {}{key}: {}", lines + 1, error.message())
    })
}
