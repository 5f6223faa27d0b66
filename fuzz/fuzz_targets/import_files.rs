//! Spreadsheets and Parquet, which are read from files: any bytes end in rows, rejects or an error.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use overlap_records::{Import, Mapping};

const MAPPING: &str = r#"
[record]
reference = "r"
[[identifier]]
kind = "phone"
columns = ["p"]
"#;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mapping) = Mapping::parse(MAPPING) else { return };
    for magic in [b"".as_slice(), b"PK\x03\x04", b"PAR1"] {
        let Ok(mut file) = tempfile::NamedTempFile::new() else { return };
        let ending = if magic == b"PAR1" { magic } else { b"" };
        if [magic, bytes, ending].iter().any(|part| file.write_all(part).is_err()) {
            return;
        }
        if let Ok(import) = Import::open_path(file.path(), &mapping) {
            let _ = import.take_while(Result::is_ok).count();
        }
    }
});
