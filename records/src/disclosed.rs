//! What a holder tells of one of its records.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::kind::{Kind, Role};

/// Longest text that is told beside a record, in bytes.
pub const MAX_ATTACHMENT: usize = 16 << 10;

/// The fields of a record that an agreement names, and no others. `Debug` shows none of them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosed {
    /// The holder's own key for the record.
    pub reference: Option<String>,
    /// In what quality the holder knows the subject.
    pub role: Option<Role>,
    /// When the holder last confirmed the data.
    pub observed: Option<Date>,
    /// The unit or system that the record came from.
    pub origin: Option<String>,
    /// Identifiers in canonical form.
    pub identifiers: Vec<(Kind, String)>,
}

impl fmt::Debug for Disclosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disclosed(..)")
    }
}
