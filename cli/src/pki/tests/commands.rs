//! The commands, from their arguments to what they print.

use std::fs;

use clap::Parser;
use tempfile::TempDir;

use super::{NODE, USER};
use crate::pki::{PkiCommand, run, thumbprint};

#[test]
fn commands_print_no_secrets() {
    #[derive(Parser)]
    struct Overlap {
        #[command(subcommand)]
        command: PkiCommand,
    }
    let dir = TempDir::new().unwrap();
    let commands = format!(
        "ca --dir D/ca --name Example
         node --ca D/ca --uri {NODE} --host node.example --host 127.0.0.1 --out D/out --name node
         node --ca D/ca --uri {NODE} --host node.example --out D/out --name node-2 --key D/out/node.key
         user --ca D/ca --uri {USER} --out D/out --name user --not-before 2000-01-01T00:00:00Z --not-after 2000-01-02T00:00:00+01:00
         revoke --ca D/ca D/out/user.pem
         crl --ca D/ca --days 7
         data-key D/out/data.key
         thumbprint D/out/node.pem"
    )
    .replace("D/", &format!("{}/", dir.path().display()));
    for json in [false, true] {
        let mut printed = Vec::new();
        for command in commands.lines() {
            let parsed = Overlap::try_parse_from("overlap".split(' ').chain(command.split_whitespace())).unwrap();
            let start = printed.len();
            run(parsed.command, json, &mut printed).unwrap_or_else(|error| panic!("{command}: {error:#}"));
            if json {
                serde_json::from_slice::<serde_json::Value>(&printed[start..]).unwrap();
            }
        }
        let printed = String::from_utf8(printed).unwrap();
        assert!(!printed.contains("PRIVATE"));
        let secret = fs::read_to_string(dir.path().join("out/data.key")).unwrap();
        assert!(!printed.contains(secret.trim_end()));
        assert!(
            printed.contains(&thumbprint(&dir.path().join("out/node.pem")).unwrap()),
            "{printed}"
        );
        assert!(printed.contains("2000-01-01T23:00:00Z"), "{printed}");
        fs::remove_dir_all(dir.path().join("ca")).unwrap();
        fs::remove_dir_all(dir.path().join("out")).unwrap();
    }

    for bad in [
        &["node", "--ca", "a", "--uri", NODE, "--out", "o", "--name", "n"][..],
        &[
            "user", "--ca", "a", "--uri", USER, "--out", "o", "--name", "n", "--days", "0",
        ],
        &[
            "user",
            "--ca",
            "a",
            "--uri",
            USER,
            "--out",
            "o",
            "--name",
            "n",
            "--not-after",
            "tomorrow",
        ],
        &["crl", "--ca", "a", "--days", "367"],
    ] {
        assert!(
            Overlap::try_parse_from([&["overlap"][..], bad].concat()).is_err(),
            "{bad:?}"
        );
    }
}
