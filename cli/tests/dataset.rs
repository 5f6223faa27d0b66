//! `overlap dataset map` and `import --check`, as a user runs them: no node anywhere.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

const EXPORT: &str =
    "zaaknr;naam;geboortedatum;telefoon\nZ1;Jan Berg;23-02-1985;06-12345678\nZ2;An Smit;01-02-1985;112\n";

fn overlap(directory: &Path, args: &[&str]) -> Output {
    with_input(directory, args, "")
}

fn with_input(directory: &Path, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_overlap"))
        .args(args)
        .current_dir(directory)
        .env_remove("OVERLAP_NODE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // who needs no input may have ended by now
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// An export and the mapping that was proposed for it.
fn mapped() -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("a.csv"), EXPORT).unwrap();
    let made = overlap(directory.path(), &["dataset", "map", "a.csv", "--out", "m.toml"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    directory
}

#[test]
fn a_proposal_can_be_checked_at_once() {
    let directory = mapped();
    let check = ["dataset", "import", "a.csv", "--mapping", "m.toml", "--check", "--json"];
    let checked = overlap(directory.path(), &check);
    assert_eq!(checked.status.code(), Some(0));
    let report = json(&checked);
    assert_eq!(report["importable"], true);
    assert_eq!(report["error"], Value::Null);
    assert_eq!(report["summary"]["identifiers"]["person"], 2);
    assert_eq!(report["rejects"][0]["reason"], "phone-not-valid");
    assert_eq!(report["rejects"][0]["column"], "telefoon");
    assert_eq!(report["rejects"][0]["first"][0]["row"], 3);
    assert!(!String::from_utf8_lossy(&checked.stdout).contains("Berg"));

    // what is there is not overwritten
    let again = overlap(directory.path(), &["dataset", "map", "a.csv", "--out", "m.toml"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("m.toml: this file is there already"));
}

#[test]
fn what_would_fail_has_a_code_of_its_own() {
    let directory = mapped();
    let check = ["dataset", "import", "-", "--mapping", "m.toml", "--check", "--json"];
    let checked = with_input(directory.path(), &check, &format!("{EXPORT}Z3;x\n"));
    assert_eq!(checked.status.code(), Some(5));
    let report = json(&checked);
    assert_eq!(report["importable"], false);
    assert_eq!(report["summary"]["records"], 2);
    let expected = "standard input row 4: 2 fields where the header has 4: is a quote or a delimiter missing?";
    assert_eq!(report["error"], expected);
    let failure: Value = serde_json::from_slice(&checked.stderr).unwrap();
    assert_eq!(failure["error"], "not-importable");
    assert_eq!(failure["message"], expected);

    let missing = overlap(
        directory.path(),
        &["dataset", "import", "b.csv", "--mapping", "m.toml", "--check"],
    );
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn a_directory_is_one_import() {
    let directory = mapped();
    let files = directory.path().join("files");
    fs::create_dir(&files).unwrap();
    fs::write(files.join("b.csv"), EXPORT).unwrap();
    let object = "{\"zaaknr\":\"Z9\",\"naam\":\"Bo Vos\",\"geboortedatum\":\"24-02-1985\",\"telefoon\":612345678}\n";
    fs::write(files.join("c.jsonl"), object).unwrap();
    let check = [
        "dataset",
        "import",
        "files",
        "--mapping",
        "m.toml",
        "--check",
        "--json",
        "--rejects",
        "r.csv",
    ];
    let checked = overlap(directory.path(), &check);
    assert_eq!(
        checked.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    let summary = json(&checked)["summary"].clone();
    assert_eq!(
        (summary["file"].clone(), summary["rows"].clone()),
        ("files".into(), 3.into())
    );
    assert_eq!(summary["warnings"][0]["code"], "numbers");
    assert_eq!(
        fs::read_to_string(directory.path().join("r.csv")).unwrap(),
        "row,column,reason,file\n3,telefoon,phone-not-valid,files/b.csv\n"
    );
}
