//! What the documentation shows is true: the sample mappings, the cases of each kind, the codes of rejections.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use overlap_records::{Kind, Mapping, Rejection};

#[test]
fn sample_mappings_are_read() {
    for name in ["mapping.toml", "mapping-xlsx.toml"] {
        let path = format!("{}/../docs/examples/{name}", env!("CARGO_MANIFEST_DIR"));
        let mapping = Mapping::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(mapping.kinds().contains(&Kind::Person));
    }
}

#[test]
fn shown_cases_are_run() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let docs = std::fs::read_to_string(format!("{root}/docs/kinds.md")).unwrap();
    let (kinds, rest) = docs.split_once("## Cases").unwrap();
    let (cases, _) = rest.split_once("## Codes").unwrap();
    let mut shown = BTreeMap::<Kind, u32>::new();
    for line in cases.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [_, kind, raw, canonical, hint, _] = cells[..] else {
            panic!("{line}")
        };
        // a person's text has the character that parts the columns
        let plain = |cell: &str| cell.replace("<code>", "").replace("</code>", "").replace("&#124;", "|");
        let (raw, canonical) = (plain(raw), plain(canonical));
        let case = format!("{raw}\t{canonical}\t{hint}");
        let file = std::fs::read_to_string(format!("{root}/records/tests/cases/{kind}.tsv")).unwrap();
        assert!(
            file.lines().any(|line| line == case.trim_end()),
            "{kind}.tsv lacks: {case}"
        );
        *shown.entry(kind.parse().unwrap()).or_default() += 1;
    }
    for kind in Kind::ALL {
        assert!(kinds.contains(&format!("\n| `{kind}` |")), "{kind}");
        assert_eq!(shown.get(&kind), Some(&3), "{kind}");
    }
}

#[test]
fn every_code_is_documented() {
    let docs = ["kinds", "mapping"]
        .map(|page| std::fs::read_to_string(format!("{}/../docs/{page}.md", env!("CARGO_MANIFEST_DIR"))).unwrap());
    for rejection in Rejection::ALL {
        let code = format!("`{}`", rejection.code());
        assert!(docs.iter().any(|page| page.contains(&code)), "{code}");
    }
}
