//! Proposed mappings: they are mappings, they find what is there, and they hold no values.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use overlap_records::{Ask, Import, Kind, Mapping, Proposal};
use proptest::prelude::*;

fn propose(file: &str) -> Proposal {
    Proposal::of_reader(file.as_bytes(), "a.csv", &Ask::default()).unwrap()
}

#[test]
fn a_dutch_export() {
    let file = "zaaknr;rol;achternaam;tussenvoegsel;voornamen;geboortedatum;bsn;telefoon;telefoon2;e-mail;kenteken;rekening;opmerking\n\
        Z1;verdachte;Berg;van den;Jan;23-02-1985;111222333;06-12345678;;jan@example.nl;12-AB-34;NL91ABNA0417164300;lang\n\
        Z2;slachtoffer;Vries;de;An;01-02-1985;;0612345679;0201234567;;;;\n\
        Z3;canaryword;Smit;;Bo;;;;;;;;\n";
    let Proposal { toml, notes } = propose(file);
    let mapping = Mapping::parse(&toml).expect(&toml);
    for kind in [
        Kind::Phone,
        Kind::Email,
        Kind::Iban,
        Kind::Plate,
        Kind::Bsn,
        Kind::Person,
    ] {
        assert!(mapping.kinds().contains(&kind), "{kind} {toml}");
    }
    for line in [
        "reference = \"zaaknr\"",
        "role = \"rol\"",
        "dates = \"dmy\"",
        "\"slachtoffer\" = \"victim\", \"verdachte\" = \"suspect\"",
        "columns = [\"telefoon\", \"telefoon2\"]",
        "particle = \"tussenvoegsel\"",
        "# not used: \"opmerking\"",
    ] {
        assert!(toml.contains(line), "{line}\n{toml}");
    }
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("1 words of column \"rol\""));
    let import = Import::open(file.as_bytes(), "a.csv", &mapping).unwrap();
    let records = import.filter(|row| row.as_ref().unwrap().record.is_some()).count();
    assert_eq!(records, 2);
    assert!(!format!("{toml}{notes:?}").contains("canaryword"));
}

#[test]
fn values_tell_where_names_do_not() {
    let Proposal { toml, notes } =
        propose("a,b,c,name\n1,NL91ABNA0417164300,x@example.nl,y\n2,NL91ABNA0417164300,,y\n");
    assert!(
        toml.contains("reference = \"a\"") && toml.contains("kind = \"iban\"\ncolumns = [\"b\"]"),
        "{toml}"
    );
    assert!(toml.contains("kind = \"email\"\ncolumns = [\"c\"]"), "{toml}");
    assert!(
        notes
            .iter()
            .any(|note| note.contains("\"b\" is taken for kind iban by its values alone (100 % fit)"))
    );
    // and where the name is wrong
    let Proposal { toml, notes } = propose("id;phone;mail\n1;hello;x@example.nl\n2;there;\n");
    assert!(!toml.contains("kind = \"phone\"") && toml.contains("kind = \"email\""));
    assert!(notes[0].contains("called like kind phone, but 0 %"), "{notes:?}");
}

#[test]
fn orders_of_dates() {
    for (dates, expected) in [
        (["1985-02-23", "1985-02-24"], "\ndates = \"ymd\"\n"),
        (["23-02-1985", "01-02-1985"], "\ndates = \"dmy\"\n"),
        (["02/23/1985", "01/02/1985"], "\ndates = \"mdy\"\n"),
        (["01-02-1985", "03-04-1985"], "\n# dates = \"dmy\" # or \"mdy\"\n"),
        (["23-02-1985", "02-23-1985"], "mixed_dates = \"reject\"\n"),
    ] {
        let Proposal { toml, .. } = propose(&format!(
            "id;name;birth date\n1;Jan Berg;{}\n2;An Smit;{}\n",
            dates[0], dates[1]
        ));
        assert!(
            toml.contains(expected) && toml.contains("born = \"birth date\""),
            "{toml}"
        );
        Mapping::parse(&toml).unwrap();
    }
}

#[test]
fn dates_in_two_orders_name_their_columns() {
    let Proposal { toml, notes } =
        propose("id;name;birth date;expires\n1;Jan Berg;02/23/1985;23-02-2030\n2;An Smit;02/24/1985;24-02-2030\n");
    assert!(
        toml.contains("dates = \"dmy\"") && toml.contains("expires = \"expires\""),
        "{toml}"
    );
    assert!(!toml.contains("born = "), "{toml}");
    assert!(
        notes[0].starts_with("column \"birth date\" has day and month the other way"),
        "{notes:?}"
    );
}

#[test]
fn handles_are_of_the_platform_that_their_column_is_called_after() {
    let Proposal { toml, .. } =
        propose("id;tiktok;Telegram naam;handle;website\n1;jan.x;jan_berg;telegram:jan_berg;example.nl/a\n");
    for part in [
        "columns = [\"handle\"]\n\n",
        "columns = [\"Telegram naam\"]\nplatform = \"telegram\"\n",
        "columns = [\"tiktok\"]\nplatform = \"tiktok\"\n",
        "kind = \"url\"\ncolumns = [\"website\"]",
    ] {
        assert!(toml.contains(part), "{part}\n{toml}");
    }
}

#[test]
fn identifiers_are_no_references() {
    let Proposal { toml, notes } = propose("name;phone\nJan Berg;0612345678\nAn Smit;0612345679\n");
    assert!(toml.contains("reference = \"reference\""), "{toml}");
    assert!(notes[0].starts_with("no column can be the reference"), "{notes:?}");
}

#[test]
fn what_cannot_be_proposed() {
    let fails = |file: &str| {
        Proposal::of_reader(file.as_bytes(), "a.csv", &Ask::default())
            .unwrap_err()
            .to_string()
    };
    assert!(fails("0612345678;jan@example.nl\n").contains("looks like data"));
    assert!(fails("a;b\nx;y\n").contains("no column looks like one of identifiers"));
    assert!(fails("").contains("the file is empty"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_proposal_is_a_mapping_whatever_columns_are_called(
        names in prop::collection::vec(prop_oneof!["\\PC{0,12}", "(id|phone|naam|born|e-mail|iban|\"\"|[\\\\']){1,2}"], 1..8),
        cells in prop::collection::vec("(0612345678|canary|x@y\\.nl|)", 8),
    ) {
        let quoted = |text: &String| format!("\"{}\"", text.replace('"', "\"\""));
        let line = |cells: &[String]| cells.iter().map(quoted).collect::<Vec<_>>().join(",");
        let file = format!("{}\n{}\n", line(&names), line(&cells[..names.len()]));
        if let Ok(Proposal { toml, notes }) = Proposal::of_reader(file.as_bytes(), "a.csv", &Ask::default()) {
            prop_assert!(Mapping::parse(&toml).is_ok(), "{}", toml);
            let text = format!("{toml}{notes:?}");
            prop_assert!(!text.contains("canary"));
        }
    }
}
