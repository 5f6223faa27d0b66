//! Formats of exports: their names, and how a file's is told.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::error::{Fault, Unsupported};

/// How a file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Text with delimiters: CSV, TSV and the like (RFC 4180).
    Csv,
    /// One JSON object per line.
    JsonLines,
    /// Spreadsheet of Excel 2007 and later (ISO/IEC 29500).
    Xlsx,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Csv, Self::JsonLines, Self::Xlsx, Self::Parquet];

    /// The word for it in mappings and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
            Self::Xlsx => "xlsx",
            Self::Parquet => "parquet",
        }
    }

    /// The format that a file's name tells, by its last extension.
    #[must_use]
    pub fn of_name(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "csv" | "tsv" | "tab" | "txt" => Self::Csv,
            "jsonl" | "ndjson" | "json" => Self::JsonLines,
            "xlsx" | "xlsm" => Self::Xlsx,
            "parquet" | "pq" => Self::Parquet,
            _ => return None,
        })
    }

    /// The format of a file by its first bytes, which cannot lie, and then by its name.
    pub(crate) fn detect(name: &Path, head: &[u8]) -> Result<Self, Fault> {
        let is = |magic: &[u8]| head.starts_with(magic);
        // the first entry of an OpenDocument archive is a file that says so
        if is(b"PK\x03\x04")
            && head
                .get(30..80)
                .is_some_and(|name| name.starts_with(b"mimetypeapplication/vnd.oasis"))
        {
            return Err(Unsupported::OpenDocument.into());
        }
        if is(b"PK\x03\x04") {
            return Ok(Self::Xlsx);
        }
        if is(b"PAR1") {
            return Ok(Self::Parquet);
        }
        if is(b"PARE") {
            return Err(Unsupported::EncryptedParquet.into());
        }
        if is(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
            return Err(Unsupported::OldExcel.into());
        }
        if is(b"\x1f\x8b") || is(b"\x28\xb5\x2f\xfd") || is(b"BZh") || is(b"7z\xbc\xaf") || is(b"\xfd7zXZ") {
            return Err(Unsupported::Compressed.into());
        }
        let looks_like_json = || head.trim_ascii_start().starts_with(b"{");
        Ok(match Self::of_name(name) {
            Some(known) => known,
            None if looks_like_json() => Self::JsonLines,
            None => Self::Csv,
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        let known = Self::ALL.into_iter().find(|format| format.as_str() == word);
        known.ok_or(UnknownFormat)
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        word.parse().map_err(serde::de::Error::custom)
    }
}

/// A word that names no format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("unknown format, use one of: csv (tab-separated too), jsonl, xlsx, parquet")]
pub struct UnknownFormat;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!("ods".parse::<Format>(), Err(UnknownFormat));
    }

    #[test]
    fn bytes_tell_more_than_names() {
        let detect =
            |name: &str, head: &[u8]| Format::detect(Path::new(name), head).map_err(|fault| format!("{fault:?}"));
        assert_eq!(detect("a.csv", b"PK\x03\x04rest"), Ok(Format::Xlsx));
        assert_eq!(detect("a.xlsx", b"PAR1"), Ok(Format::Parquet));
        assert_eq!(detect("-", b" {\"a\":1}"), Ok(Format::JsonLines));
        assert_eq!(detect("-", b"a;b"), Ok(Format::Csv));
        assert_eq!(detect("a.TSV", b"{a;b"), Ok(Format::Csv));
        assert_eq!(detect("a.ndjson", b""), Ok(Format::JsonLines));
        for (head, name) in [
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".as_slice(), "OldExcel"),
            (b"\x1f\x8b\x08", "Compressed"),
            (b"PARE", "EncryptedParquet"),
        ] {
            assert!(detect("a.csv", head).is_err_and(|fault| fault.contains(name)));
        }
    }
}
