//! What a source file must not have.

use crate::tidy::Finding;
use crate::tidy::files::File;

/// Longer files are to be split.
const MAX_LINES: usize = 500;

/// The needles are put together here, so that this file is not a finding itself.
const LEFTOVERS: &[&str] = &[
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[ig", "nore"),
    concat!("dbg", "!("),
];
const UNWRAPS: &[&str] = &[concat!(".unw", "rap()"), concat!(".exp", "ect(")];
const HOMES: &[&str] = &[concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];

/// A file that is too long.
pub(crate) fn length(file: &File) -> Option<Finding> {
    let lines = file.text.lines().count();
    let message = || format!("{lines} lines: split {} below {MAX_LINES}", file.path);
    (lines >= MAX_LINES).then(|| Finding::new(&file.path, lines, message()))
}

/// Code that was not finished.
pub(crate) fn leftovers(file: &File) -> Vec<Finding> {
    let found = |line: &str| LEFTOVERS.iter().find(|needle| line.contains(**needle));
    file.lines()
        .filter(|(_, line)| !is_comment(line))
        .filter_map(|(number, line)| Some((number, found(line)?)))
        .map(|(number, needle)| Finding::new(&file.path, number, format!("`{needle}` must not stay in the code")))
        .collect()
}

/// A path that exists on one person's machine only.
pub(crate) fn home_paths(file: &File) -> Vec<Finding> {
    file.lines()
        .filter(|(_, line)| HOMES.iter().any(|home| has_path(line, home)))
        .map(|(number, _)| {
            Finding::new(
                &file.path,
                number,
                "an absolute home path: make it relative, or take it from the environment",
            )
        })
        .collect()
}

/// Calls that can panic without a line that says why they do not. Tests are free to.
pub(crate) fn unwraps(file: &File) -> Vec<Finding> {
    if !in_src(&file.path) || is_test_file(&file.path) {
        return Vec::new();
    }
    let lines: Vec<&str> = file.text.lines().collect();
    let tested = test_lines(&lines);
    let explained = |index: usize| {
        lines[index.saturating_sub(3)..=index]
            .iter()
            .any(|line| line.contains("// Unwrap safety:"))
    };
    let unwraps = |line: &str| !is_comment(line) && UNWRAPS.iter().any(|needle| line.contains(needle));
    (0..lines.len())
        .filter(|index| unwraps(lines[*index]) && !tested[*index] && !explained(*index))
        .map(|index| {
            Finding::new(
                &file.path,
                index + 1,
                "can panic: return an error, or say why not in `// Unwrap safety: ...` above",
            )
        })
        .collect()
}

/// For each line whether it belongs to an item under `#[cfg(test)]`.
///
/// A test module at the outer level comes last (clippy: `items_after_test_module`). Any other such item ends, as rustfmt lays
/// it out, at the first line with the attribute's indent that closes it.
fn test_lines(lines: &[&str]) -> Vec<bool> {
    let mut open: Option<usize> = None;
    let mut last = false;
    let mut tested = Vec::with_capacity(lines.len());
    for line in lines {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if open.is_none() && text.starts_with("#[cfg(test)]") {
            open = Some(indent);
        }
        last |= open == Some(0) && line.starts_with("mod ") && line.ends_with('{');
        tested.push(last || open.is_some());
        let closes = text.starts_with('}') || (text.ends_with([';', '}']) && !text.starts_with('#'));
        if open == Some(indent) && closes {
            open = None;
        }
    }
    tested
}

fn in_src(path: &str) -> bool {
    path.split('/').any(|part| part == "src")
}

fn is_test_file(path: &str) -> bool {
    path.starts_with("integration-tests/") || path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// Whether `line` has `home` at the start of a path, with a name after it.
fn has_path(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + home.len()..].chars().next();
        // `example.org/home/page` and `$dir/home/` are no absolute paths
        let starts = before.is_none_or(|c| !c.is_alphanumeric() && !"._-/}*~".contains(c));
        starts && after.is_some_and(|c| c.is_alphanumeric() || ".$_".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.replace("UNWRAP", UNWRAPS[0]).replace("EXPECT", UNWRAPS[1]),
        }
    }

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unexplained_unwraps_are_found_outside_tests() {
        let text = "\
fn a() {
    bUNWRAP;
    // Unwrap safety: checked above
    cUNWRAP;
    dEXPECT\"d\");
}

/// `eUNWRAP` in a doc
#[cfg(test)]
use x;

impl Y {
    #[cfg(test)]
    fn f() {
        gUNWRAP;
    }

    fn h() {
        iEXPECT\"i\");
    }
}

#[cfg(test)]
#[allow(unused)]
mod tests {
    const J: &str = \"
}\";
    fn k() {
        lUNWRAP;
    }
}
";
        assert_eq!(lines(&unwraps(&file("psi/src/lib.rs", text))), [2, 19]);
        assert_eq!(unwraps(&file("psi/tests/all.rs", text)), []);
        assert_eq!(unwraps(&file("psi/src/tests.rs", text)), []);
        assert_eq!(unwraps(&file("integration-tests/src/lib.rs", text)), []);
    }

    #[test]
    fn an_explanation_holds_for_three_lines() {
        let text = "// Unwrap safety: why\n\n\naUNWRAP\nbUNWRAP\n";
        assert_eq!(lines(&unwraps(&file("psi/src/lib.rs", text))), [5]);
    }

    #[test]
    fn leftovers_are_found_in_code_only() {
        let text = format!(
            "fn a() {{ {}) }}\n// {})\n{}]\n",
            LEFTOVERS[0], LEFTOVERS[1], LEFTOVERS[2]
        );
        assert_eq!(lines(&leftovers(&file("psi/src/lib.rs", &text))), [1, 3]);
    }

    #[test]
    fn home_paths_are_found() {
        let text = format!(
            "a = \"{0}anna/x\"\nhttps://example.org{0}page\n{0}<name>\n cd {1}.cargo\n",
            HOMES[0], HOMES[1]
        );
        assert_eq!(lines(&home_paths(&file("docs/a.md", &text))), [1, 4]);
    }

    #[test]
    fn long_files_are_found() {
        assert_eq!(length(&file("a.rs", &"x\n".repeat(MAX_LINES - 1))), None);
        let finding = length(&file("a.rs", &"x\n".repeat(MAX_LINES))).unwrap();
        assert!(finding.message.contains("a.rs"));
    }
}
