//! JSON Lines: keys as columns, values of every type, and lines that are none.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use overlap_records::{Import, Mapping, Row};
use proptest::prelude::*;

const MAPPING: &str = r#"
[source]
dates = "dmy"
[record]
reference = "id"
expires = "until"
[[identifier]]
kind = "phone"
columns = ["phone"]
[[identifier]]
kind = "email"
columns = ["mail"]
"#;

fn mapping() -> Mapping {
    Mapping::parse(MAPPING).unwrap()
}

fn references(rows: &[Row]) -> Vec<&str> {
    rows.iter()
        .filter_map(|row| Some(row.record.as_ref()?.reference.as_str()))
        .collect()
}

fn rejects(rows: &[Row]) -> Vec<(u64, &str, &str)> {
    let rejects = rows.iter().flat_map(|row| &row.rejects);
    rejects
        .map(|reject| (reject.row, reject.column.as_str(), reject.reason.code()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_lines_are_objects_or_an_error(text in "(\\{\"(id|phone)\":(\"[a-z\\\\\"]{0,4}\"|[0-9.e]{0,5}|null|\\[1\\])[,}]\n?){1,6}") {
        if let Ok(import) = Import::open(text.as_bytes(), "a.jsonl", &mapping()) {
            for row in import {
                let Ok(row) = row else { break };
                prop_assert!(row.number >= 1);
            }
        }
    }
}

#[test]
fn json_lines() {
    let read = |text: &str| {
        let mut import = Import::open(text.as_bytes(), "a.jsonl", &mapping()).unwrap();
        let rows: Vec<Row> = import.by_ref().map(Result::unwrap).collect();
        (rows, import.summary().clone())
    };
    let (rows, summary) = read(
        "{\"id\": \"A\", \"phone\": \"0612345678\", \"deep\": {\"a\": [1]}}\r\n\n\
         {\"phone\": 612345678, \"\\u0069d\": 7, \"mail\": null, \"until\": \"\"}\n\
         {\"id\": \"C\", \"phone\": [\"0612345678\"], \"mail\": {\"a\": 1}}\n\
         {\"id\": \"D\", \"phone\": 12345678901234567890123}",
    );
    assert_eq!(references(&rows), ["A", "7"]);
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [1, 3, 4, 5]);
    assert_eq!(
        rejects(&rows),
        [
            (4, "phone", "nested-value"),
            (4, "mail", "nested-value"),
            (4, "", "no-identifier"),
            (5, "phone", "number-rounded"),
            (5, "", "no-identifier")
        ]
    );
    assert_eq!(summary.warnings.len(), 2);
    assert!(summary.read_as.iter().eq(["jsonl utf-8"]));
}

#[test]
fn broken_json() {
    let first = "{\"id\":\"A\",\"phone\":\"0612345678\",\"mail\":\"\",\"until\":\"\"}\n";
    let fails = |text: &str| match Import::open(text.as_bytes(), "a.jsonl", &mapping()) {
        Err(error) => error.to_string(),
        Ok(mut import) => import.find_map(Result::err).expect("an error").to_string(),
    };
    for (text, expected) in [
        (String::new(), "the file is empty"),
        ("{}\n{}\n".to_owned(), "the file is empty"),
        ("[{\"id\":1}]".to_owned(), "a JSON array: export it as JSON Lines"),
        ("nothing".to_owned(), "row 1: not one JSON object"),
        (format!("{first}{{\"id\":"), "row 2: not one JSON object"),
        (format!("{first}{first}7\n"), "row 3: not one JSON object"),
        (
            format!("{first}{{\"id\":\"B\",\"id\":\"C\"}}"),
            "row 2: not one JSON object on one line, with each key once",
        ),
        (format!("{first}{}\n", "[".repeat(5000)), "array"),
        (
            format!("{first}{{\"id\":\"{}\"}}", "x".repeat(2 << 20)),
            "row 2: longer than 1048576 bytes",
        ),
        (
            "{\"id\":1,\"telephone\":2}".to_owned(),
            "no column \"mail\", \"phone\", \"until\", which the mapping names",
        ),
    ] {
        let error = fails(&text);
        assert!(error.contains(expected), "{error}");
    }
    let latin = [first.as_bytes(), b"{\"id\":\"\xe9\"}"].concat();
    let utf8 = Mapping::parse(&MAPPING.replace("[source]", "[source]\nencoding = \"utf-8\"")).unwrap();
    let error = Import::open(latin.as_slice(), "a.jsonl", &utf8)
        .unwrap()
        .find_map(Result::err)
        .unwrap();
    assert_eq!(error.to_string().split(':').nth(1), Some(" not valid UTF-8"));
}

#[test]
fn errors_hold_no_values() {
    let first = "{\"id\":\"canary\",\"phone\":\"canary\",\"mail\":\"canary\",\"until\":\"canary\"}\n";
    for bad in [
        "{\"id\":\"canary\"",
        "\"canary\"",
        "{\"id\":canary}",
        "[\"canary\"]",
        "{\"id\":\"canary\\x\"}",
    ] {
        for text in [format!("{first}{bad}"), bad.to_owned()] {
            let error = match Import::open(text.as_bytes(), "a.jsonl", &mapping()) {
                Err(error) => error,
                Ok(mut import) => import.find_map(Result::err).expect("an error"),
            };
            let told = format!("{error} {error:?}");
            assert!(!told.contains("canary"), "{told}");
        }
    }
}
