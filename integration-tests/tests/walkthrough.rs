//! The commands of docs/two-agencies.md, as they stand there.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use overlap_integration_tests::{binary, free_address};

#[test]
fn two_agencies_from_nothing_to_a_first_match_and_a_first_action() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(project.join("docs/two-agencies.md")).unwrap();
    let blocks = page
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    let mut script = blocks.collect::<Vec<_>>().join("\n");
    for port in ["7443", "7444", "7543", "7544"] {
        script = script.replace(port, &free_address().port().to_string());
    }
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("certs-example")).unwrap();
    fs::copy(
        project.join("certs-example/make.sh"),
        directory.path().join("certs-example/make.sh"),
    )
    .unwrap();
    let programs = binary("overlap").parent().unwrap().to_owned();
    let path = format!("{}:{}", programs.display(), env::var("PATH").unwrap());
    // job control is what `kill %1` needs; the trap is for a run that fails in the middle
    let script = format!("set -em\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\n{script}");
    let ran = Command::new("bash")
        .args(["-c", &script])
        .current_dir(directory.path())
        .env("PATH", path)
        .env("XDG_CONFIG_HOME", directory.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    for words in [
        "kmar holds too: 1 of your identifiers",
        "+31612345678 ┆ p-1",
        "holder ┆ politie ┆ hits ┆ done",
        "politie checked phone +31687654321, which you hold",
    ] {
        assert!(out.contains(words), "{words}\n{out}\n{err}");
    }
}
