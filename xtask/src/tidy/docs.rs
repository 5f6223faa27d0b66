//! Docs that stay true: links that lead somewhere, commands that are the ones people are told.

use std::path::Path;

use crate::tidy::Finding;
use crate::tidy::files::File;

/// Each command that newcomers need, and the files that have to name it.
const COMMANDS: &[(&str, &str)] = &[
    ("README.md", "./x demo"),
    ("README.md", "./x test"),
    (".ci/run", "./x test"),
];

/// Links to files that are not there.
pub(crate) fn links(root: &Path, file: &File) -> Vec<Finding> {
    let folder = root.join(&file.path);
    let folder = folder.parent().unwrap_or(root);
    let exists = |target: &str| match target.strip_prefix('/') {
        Some(from_root) => root.join(from_root).exists(),
        None => folder.join(target).exists(),
    };
    let mut in_code = false;
    let mut findings = Vec::new();
    for (number, line) in file.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let broken = targets(line).filter(|target| !exists(target));
        findings.extend(
            broken.map(|target| Finding::new(&file.path, number, format!("links to {target}, which is not there"))),
        );
    }
    findings
}

/// Commands that a file should name and does not.
pub(crate) fn commands(files: &[File]) -> Vec<Finding> {
    let names = |path: &str, command: &str| {
        files.iter().any(|file| {
            let mut lines = file
                .lines()
                .filter(|(_, line)| !(path == ".ci/run" && line.trim_start().starts_with('#')));
            file.path == path && lines.any(|(_, line)| line.contains(command))
        })
    };
    COMMANDS
        .iter()
        .filter(|(path, command)| !names(path, command))
        .map(|(path, command)| Finding::new(path, 1, format!("does not name `{command}`")))
        .collect()
}

/// The relative paths that `line` links to, inline or as a reference, without their fragments.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let inline = line
        .match_indices("](")
        .map(|(at, _)| &line[at + 2..])
        .filter_map(|rest| Some(rest.split_once(')')?.0));
    let reference = line
        .trim_start()
        .strip_prefix('[')
        .and_then(|rest| Some(rest.split_once("]: ")?.1));
    inline
        .chain(reference)
        .filter_map(|target| target.split_whitespace().next())
        .map(|target| target.trim_matches(['<', '>']))
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .filter_map(|target| target.split('#').next())
        .filter(|target| !target.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_relative_targets_count() {
        let line = "[a](b/c.md#d) ![e](<f.svg>) [g](https://example.org) [h](#i) [j](k.md \"title\") [l](mailto:m@example.org)";
        assert_eq!(targets(line).collect::<Vec<_>>(), ["b/c.md", "f.svg", "k.md"]);
        assert_eq!(targets("[n]: ../o.md").collect::<Vec<_>>(), ["../o.md"]);
    }

    #[test]
    fn broken_links_are_found_outside_code() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = "[a](main.rs)\n[b](no.rs)\n[c](/Cargo.toml)\n```\n[d](no.rs)\n```\n".to_owned();
        let findings = links(
            root,
            &File {
                path: "src/a.md".to_owned(),
                text,
            },
        );
        assert_eq!(
            findings,
            [Finding::new("src/a.md", 2, "links to no.rs, which is not there")]
        );
    }

    #[test]
    fn commands_have_to_be_named() {
        let file = |path: &str, text: &str| File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let findings = commands(&[file("README.md", "`./x demo`"), file(".ci/run", "# ./x test\n")]);
        assert_eq!(
            findings,
            [
                Finding::new("README.md", 1, "does not name `./x test`"),
                Finding::new(".ci/run", 1, "does not name `./x test`")
            ]
        );
    }
}
