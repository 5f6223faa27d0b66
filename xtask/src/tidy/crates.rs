//! Which crate may depend on which.

use crate::metadata::Metadata;
use crate::tidy::Finding;
use crate::tidy::files::File;

/// What each crate may depend on within the workspace: the map in ARCHITECTURE.md. Normal, build and dev dependencies alike.
const MAY_USE: &[(&str, &[&str])] = &[
    ("overlap-psi", &[]),
    ("overlap-records", &[]),
    ("overlap-audit", &[]),
    ("overlap-report", &[]),
    ("overlap-agreement", &["overlap-records", "overlap-audit"]),
    ("overlap-store", LEAVES),
    ("overlap-proto", LEAVES),
    (
        "overlap-node",
        &[
            "overlap-psi",
            "overlap-records",
            "overlap-audit",
            "overlap-agreement",
            "overlap-report",
            "overlap-store",
            "overlap-proto",
        ],
    ),
    (
        "overlap",
        &[
            "overlap-psi",
            "overlap-records",
            "overlap-audit",
            "overlap-agreement",
            "overlap-report",
            "overlap-proto",
        ],
    ),
    (
        "overlap-integration-tests",
        &[
            "overlap-psi",
            "overlap-records",
            "overlap-audit",
            "overlap-agreement",
            "overlap-report",
            "overlap-store",
            "overlap-proto",
            "overlap-node",
            "overlap",
        ],
    ),
    ("xtask", &["overlap-psi", "overlap-records"]),
];

const LEAVES: &[&str] = &[
    "overlap-psi",
    "overlap-records",
    "overlap-audit",
    "overlap-agreement",
    "overlap-report",
];

/// The one crate that may name RocksDB.
const ROCKSDB_OWNER: &str = "overlap-store";
const ROCKSDB: &[&str] = &["rocksdb", "librocksdb-sys"];

/// Crates that must not be linked: a second crypto provider, a second TLS library.
const BANNED: &[&str] = &["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"];

/// Dependencies that point the wrong way, and members that are not on the map.
pub(crate) fn dependency_line(metadata: &Metadata, files: &[File]) -> Vec<Finding> {
    let member = |name: &str| metadata.packages.iter().any(|package| package.name == name);
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let path = package
            .manifest
            .strip_prefix(&metadata.root)
            .unwrap_or(&package.manifest)
            .to_string_lossy();
        let manifest = files.iter().find(|file| file.path == path);
        let mut report = |word: &str, message: String| {
            let line = manifest.map_or(1, |manifest| manifest.line_where(|line| names(line, word)));
            findings.push(Finding::new(&path, line, message));
        };
        let Some((_, may_use)) = MAY_USE.iter().find(|(name, _)| *name == package.name) else {
            report(
                "name",
                format!(
                    "{} is not on the crate map: add it there and to ARCHITECTURE.md",
                    package.name
                ),
            );
            continue;
        };
        for dependency in &package.dependencies {
            if member(dependency) && !may_use.contains(&dependency.as_str()) {
                report(dependency, format!("{} must not depend on {dependency}", package.name));
            }
            if ROCKSDB.contains(&dependency.as_str()) && package.name != ROCKSDB_OWNER {
                report(dependency, format!("only {ROCKSDB_OWNER} may depend on {dependency}"));
            }
        }
    }
    findings
}

/// Banned crates in the lock file.
pub(crate) fn banned(files: &[File]) -> Vec<Finding> {
    let Some(lock) = files.iter().find(|file| file.path == "Cargo.lock") else {
        return vec![Finding::new("Cargo.lock", 1, "missing: builds are locked")];
    };
    let name = |line: &str| Some(line.strip_prefix("name = \"")?.strip_suffix('"')?.to_owned());
    lock.lines()
        .filter_map(|(number, line)| Some((number, name(line)?)))
        .filter(|(_, name)| BANNED.contains(&name.as_str()))
        .map(|(number, name)| {
            Finding::new(
                &lock.path,
                number,
                format!("{name} must not be linked: rustls with ring only"),
            )
        })
        .collect()
}

/// Whether a manifest line is the entry for `key`.
fn names(line: &str, key: &str) -> bool {
    line.strip_prefix(key)
        .is_some_and(|rest| rest.starts_with([' ', '=', '.']))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn package(name: &str, dependencies: &[&str]) -> Value {
        let dependencies: Vec<Value> = dependencies
            .iter()
            .map(|name| json!({ "name": name, "kind": "dev" }))
            .collect();
        json!({ "name": name, "manifest_path": format!("/w/{name}/Cargo.toml"), "dependencies": dependencies })
    }

    fn messages(packages: &[Value]) -> Vec<String> {
        let json = json!({ "workspace_root": "/w", "target_directory": "/w/target", "packages": packages });
        let metadata = Metadata::parse(&json).unwrap();
        dependency_line(&metadata, &[]).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn the_map_allows_itself() {
        let packages: Vec<Value> = MAY_USE.iter().map(|(name, uses)| package(name, uses)).collect();
        assert_eq!(messages(&packages), Vec::<String>::new());
    }

    #[test]
    fn every_wrong_dependency_is_found() {
        let packages = [
            package("overlap-psi", &["overlap-records", "serde"]),
            package("overlap-records", &[]),
            package("overlap-store", &["rocksdb", "overlap-psi"]),
            package("overlap-node", &["overlap-store", "rocksdb"]),
            package("overlap", &["overlap-store", "overlap-node"]),
            package("overlap-misc", &[]),
        ];
        assert_eq!(
            messages(&packages),
            [
                "overlap-psi/Cargo.toml:1: overlap-psi must not depend on overlap-records",
                "overlap-node/Cargo.toml:1: only overlap-store may depend on rocksdb",
                "overlap/Cargo.toml:1: overlap must not depend on overlap-store",
                "overlap/Cargo.toml:1: overlap must not depend on overlap-node",
                "overlap-misc/Cargo.toml:1: overlap-misc is not on the crate map: add it there and to ARCHITECTURE.md",
            ]
        );
    }

    #[test]
    fn findings_name_the_line_of_the_dependency() {
        let json = json!({
            "workspace_root": "/w", "target_directory": "/w/target",
            "packages": [package("overlap-psi", &["overlap-records"]), package("overlap-records", &[])],
        });
        let manifest = File {
            path: "overlap-psi/Cargo.toml".to_owned(),
            text: "[package]\nname = \"overlap-psi\"\n\n[dependencies]\noverlap-records.workspace = true\n".to_owned(),
        };
        let findings = dependency_line(&Metadata::parse(&json).unwrap(), &[manifest]);
        assert_eq!(findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn banned_crates_are_found_in_the_lock_file() {
        let text = "[[package]]\nname = \"ring\"\n\n[[package]]\nname = \"aws-lc-rs\"\n".to_owned();
        let lock = File {
            path: "Cargo.lock".to_owned(),
            text,
        };
        assert_eq!(
            banned(&[lock]).iter().map(|finding| finding.line).collect::<Vec<_>>(),
            [5]
        );
        assert_eq!(banned(&[]).len(), 1);
    }
}
