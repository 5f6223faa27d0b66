//! What is told, compared, drawn and exported of a picture.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Cursor;

use calamine::{Data, Reader, Xlsx};
use overlap_report::{
    Agency, CompareError, FiguresError, Form, KindPicture, Month, Picture, Roles, Shared, Subject, Tally,
    agency_matrix, compare, csv, figures, graphml, i2, json, timeline, upset, xlsx,
};

const NAMES: [&str; 3] = ["politie", "k<m&a>r", "iszw"];

fn picture(tally: &Tally, kinds: &[&str], least: u64) -> Picture {
    let names = NAMES.map(str::to_owned);
    let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    let withheld = least > 1;
    let agency = |name: &&str| Agency {
        name: (*name).to_owned(),
        items: (!withheld).then_some(100),
    };
    Picture {
        id: "0190f0a0-0000-7000-8000-000000000001".into(),
        made: "2026-09-30T12:00:00Z".into(),
        expires: "2026-10-30T12:00:00Z".into(),
        form: if withheld { Form::Statistics } else { Form::Operational },
        agreement: "emm/digw".into(),
        purpose: "thb".into(),
        case_reference: "EMM-1".into(),
        roles: vec!["suspect".into(), "victim".into()],
        since: Some("2026-01".into()),
        min_count: least,
        agencies: NAMES.iter().map(agency).collect(),
        dropped: Vec::new(),
        kinds: tally.told(&kinds, &names, least),
        shared: Vec::new(),
    }
}

fn add(tally: &mut Tally, kind: u8, agencies: u64, roles: Roles, month: i8, times: u64) {
    for _ in 0..times {
        let month = Month::new(2026, month).unwrap();
        let subject = Subject {
            kind,
            agencies,
            roles,
            month,
        };
        tally.add(subject).unwrap();
    }
}

/// Suspects by month, as the police count them: 124 through September.
fn year() -> Tally {
    let mut tally = Tally::default();
    for (month, count) in (1..).zip([14, 12, 15, 13, 16, 11, 12, 14, 17]) {
        add(&mut tally, 0, 0b001, Roles::SUSPECT, month, count - 2);
        add(&mut tally, 0, 0b011, Roles::SUSPECT, month, 2);
    }
    tally
}

#[test]
fn the_year_to_date_projects_to_what_the_agenda_expects() {
    let picture = picture(&year(), &["person"], 10);
    let (since, through) = ("2026-01".parse().unwrap(), "2026-09".parse().unwrap());
    let told = figures(&picture, "person", "suspect", since, through, Some(190)).unwrap();
    assert_eq!((told.to_date, told.months, told.at_least), (124, 9, false));
    assert!((160.0..=170.0).contains(&told.projection), "{}", told.projection);
    assert_eq!(told.target, Some(190));
    assert_eq!(told.by_month[0], ("2026-01".to_owned(), 14));
    // whoever is a victim too is a suspect still
    let mut tally = year();
    add(&mut tally, 0, 0b100, Roles::SUSPECT.and(Roles::VICTIM), 2, 12);
    let picture = self::picture(&tally, &["person"], 10);
    let told = figures(&picture, "person", "suspect", since, through, None).unwrap();
    assert_eq!(told.to_date, 136);
    assert_eq!(
        figures(&picture, "person", "victim", since, through, None)
            .unwrap()
            .to_date,
        12
    );
}

#[test]
fn figures_say_when_they_are_a_part() {
    let mut tally = year();
    add(&mut tally, 0, 0b100, Roles::VICTIM, 3, 2);
    let picture = picture(&tally, &["person"], 5);
    let (since, through) = ("2026-01".parse().unwrap(), "2026-09".parse().unwrap());
    let not_told = Err(FiguresError::NotTold("person".into()));
    assert_eq!(figures(&picture, "person", "victim", since, through, None), not_told);
    let picture = self::picture(&year(), &["person"], 12);
    let early = "2026-08".parse().unwrap();
    let told = figures(&picture, "person", "suspect", since, early, None).unwrap();
    // of the months one is withheld, which a part of the year does not tell
    assert_eq!((told.months, told.at_least), (8, true));
    let unknown = FiguresError::NoKind("phone".into(), "person".into());
    assert_eq!(
        figures(&picture, "phone", "suspect", since, through, None),
        Err(unknown)
    );
    assert!(matches!(
        figures(&picture, "person", "boss", since, through, None),
        Err(FiguresError::NoRole(_))
    ));
    assert_eq!(
        figures(&picture, "person", "suspect", Month::UNKNOWN, through, None),
        Err(FiguresError::NoStart)
    );
    // nothing is made up of what the picture is not of
    assert!(matches!(
        figures(&picture, "person", "convicted", since, through, None),
        Err(FiguresError::OtherRoles(..))
    ));
    assert!(matches!(
        figures(&picture, "person", "suspect", "2025-07".parse().unwrap(), early, None),
        Err(FiguresError::Before { .. })
    ));
    assert!(matches!(
        figures(&picture, "person", "victim", through, since, None),
        Err(FiguresError::Months { .. })
    ));
}

/// Counts that must show nowhere: they are unlike any other number of the picture.
fn guarded() -> (Picture, [&'static str; 2]) {
    let mut tally = Tally::default();
    add(&mut tally, 0, 0b001, Roles::SUSPECT, 1, 5000);
    add(&mut tally, 0, 0b011, Roles::SUSPECT, 1, 1000);
    add(&mut tally, 0, 0b111, Roles::VICTIM, 2, 37);
    add(&mut tally, 0, 0b110, Roles::VICTIM, 3, 641);
    (picture(&tally, &["phone"], 50), ["37", "641"])
}

#[test]
fn what_is_withheld_is_in_no_export_and_no_chart() {
    let (picture, secret) = guarded();
    let found = &picture.kinds[0];
    assert_eq!(found.unique, Some(6678));
    // the police would know what it shares from what it has, if what it has alone were told
    let told: Vec<u64> = found.combinations.iter().map(|one| one.count).collect();
    assert_eq!(told, [1000], "{found:?}");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let mut told = vec![
        text(csv(&picture).unwrap()),
        text(json(&picture).unwrap()),
        text(graphml(&picture).unwrap()),
    ];
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(xlsx(&picture).unwrap())).unwrap();
    for (_, sheet) in book.worksheets() {
        told.extend(
            sheet
                .rows()
                .map(|row| row.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
        );
    }
    let charts = [
        upset(&picture, found),
        agency_matrix(&picture, found),
        timeline(&picture, found),
    ];
    // the numbers that are read in a chart, not where they stand
    for chart in &charts {
        told.extend(chart.split("<text").skip(1).map(|text| {
            let text = text.split('>').nth(1).unwrap_or_default();
            text.split('<').next().unwrap_or_default().replace('\u{2009}', "")
        }));
    }
    for told in &told {
        let numbers: Vec<&str> = told.split(|c: char| !c.is_ascii_digit()).collect();
        for secret in secret {
            assert!(!numbers.contains(&secret), "{secret} is told: {told}");
        }
    }
    // and what is told is there
    assert!(told.iter().any(|told| told.contains("1000")));
    assert!(charts[0].contains("1\u{2009}000"));
}

#[test]
fn exports_hold_what_the_picture_tells() {
    let mut tally = Tally::default();
    add(&mut tally, 0, 0b011, Roles::SUSPECT, 1, 2);
    add(&mut tally, 1, 0b101, Roles::VICTIM, 4, 3);
    let mut picture = picture(&tally, &["phone", "plate"], 1);
    picture.shared.push(Shared {
        pseudonym: "00112233445566778899aabbccddeeff".into(),
        kind: "phone".into(),
        agencies: vec![NAMES[0].into(), NAMES[1].into()],
        roles: vec!["suspect".into()],
    });
    let parsed: Picture = serde_json::from_slice(&json(&picture).unwrap()).unwrap();
    assert_eq!(parsed, picture);

    let table = String::from_utf8(csv(&picture).unwrap()).unwrap();
    assert!(table.contains("phone,combination,politie + k<m&a>r,,,2\n"), "{table}");
    assert!(table.contains("plate,month,,victim,2026-04,3\n"), "{table}");
    // counts by combination, role and month
    assert!(
        table.contains("plate,month,politie + iszw,victim,2026-04,3\n"),
        "{table}"
    );

    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(xlsx(&picture).unwrap())).unwrap();
    let sheet = book.worksheet_range("Combinations").unwrap();
    assert_eq!(sheet.get_value((1, 3)), Some(&Data::Float(2.0)));
    assert_eq!(book.worksheet_range("Shared").unwrap().height(), 2);

    let graph = String::from_utf8(graphml(&picture).unwrap()).unwrap();
    let mut reader = quick_xml::Reader::from_str(&graph);
    let (mut nodes, mut edges) = (0, 0);
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Eof => break,
            quick_xml::events::Event::Start(tag) => match tag.name().as_ref() {
                "node" => nodes += 1,
                "edge" => edges += 1,
                _ => {}
            },
            _ => {}
        }
    }
    // three agencies and one subject; one edge for each kind, and two of the subject
    assert_eq!((nodes, edges), (4, 4));
    assert!(graph.contains("k&lt;m&amp;a&gt;r"));

    let links = String::from_utf8(i2(&picture).unwrap()).unwrap();
    assert_eq!(links.lines().count(), 3);
    assert!(links.contains("phone,00112233445566778899aabbccddeeff,suspect,Agency,politie,Known To"));
    let (statistics, _) = guarded();
    assert!(i2(&statistics).is_err());
}

/// Names of agencies are text, never markup.
#[test]
fn charts_are_well_formed_whatever_agencies_are_called() {
    let (picture, _) = guarded();
    let found = &picture.kinds[0];
    for chart in [
        upset(&picture, found),
        agency_matrix(&picture, found),
        timeline(&picture, found),
    ] {
        assert!(!chart.contains("k<m"), "{chart}");
        let mut reader = quick_xml::Reader::from_str(&chart);
        while reader.read_event().unwrap() != quick_xml::events::Event::Eof {}
    }
}

#[test]
fn an_empty_picture_is_drawn_too() {
    let nothing = KindPicture {
        kind: "phone".into(),
        unique: None,
        combinations: Vec::new(),
        roles: Vec::new(),
    };
    let picture = picture(&Tally::default(), &["phone"], 5);
    assert_eq!(picture.kinds, [nothing]);
    let found = &picture.kinds[0];
    assert!(upset(&picture, found).contains("fewer than 5"));
    agency_matrix(&picture, found);
    timeline(&picture, found);
}

#[test]
fn pictures_are_compared_by_their_counts() {
    let (before, mut tally) = (picture(&year(), &["person"], 5), year());
    add(&mut tally, 0, 0b011, Roles::SUSPECT, 9, 7);
    let after = picture(&tally, &["person"], 5);
    let changes = compare(&before, &after).unwrap();
    assert_eq!(changes[0].difference(), Some(7));
    assert_eq!(changes[0].agencies.len(), 2);
    assert_eq!(changes[1].difference(), Some(0));
    let mut other = after.clone();
    other.agencies.pop();
    assert_eq!(compare(&before, &other), Err(CompareError::Agencies("iszw".into())));
    let mut other = after;
    other.since = None;
    assert!(matches!(compare(&before, &other), Err(CompareError::Scope(_))));
}
