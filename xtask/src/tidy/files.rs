//! The files that are, or will be, under version control.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// A text file.
pub(crate) struct File {
    /// From the top of the workspace, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// The lines with their numbers, from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The number of the first line that satisfies `wanted`; 1 when there is none.
    pub(crate) fn line_where(&self, wanted: impl Fn(&str) -> bool) -> usize {
        self.lines()
            .find(|(_, line)| wanted(line))
            .map_or(1, |(number, _)| number)
    }
}

/// All text files under `root`, without `target` and what the top `.gitignore` names.
pub(crate) fn read(root: &Path, target: &Path) -> Result<Vec<File>> {
    let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let ignored: Vec<&str> = ignored.lines().map(|line| line.trim().trim_matches('/')).collect();
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            let path = entry.path();
            let name = relative(root, &path);
            let kind = entry.file_type()?;
            if ignored.contains(&name.as_str()) || path == target {
                continue;
            } else if kind.is_dir() {
                if !skipped(&name) {
                    folders.push(path);
                }
            } else if kind.is_file() {
                let bytes = fs::read(&path).with_context(|| format!("cannot read {name}"))?;
                if !bytes.contains(&0) {
                    files.push(File {
                        path: name,
                        text: String::from_utf8_lossy(&bytes).into_owned(),
                    });
                }
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Build output and the folders of other tools; the two dot folders of our own are kept.
fn skipped(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "target" || (name.starts_with('.') && ![".ci", ".cargo"].contains(&name))
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .to_string_lossy()
        .replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_output_and_dot_folders_are_skipped() {
        for path in ["target", "fuzz/target", ".git", ".idea"] {
            assert!(skipped(path), "{path}");
        }
        for path in [".ci", ".cargo", "psi", "psi/src"] {
            assert!(!skipped(path), "{path}");
        }
    }
}
