//! What a mapping makes of a row: origins, parts of persons, dates in doubt, names with hidden characters.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use overlap_records::{Identifier, Import, Mapping, Row};

const PHONE: &str = "[[identifier]]\nkind = \"phone\"\ncolumns = [\"phone\"]\n";

fn read(mapping: &str, file: &str) -> Result<Vec<Row>, String> {
    let mapping = Mapping::parse(mapping).unwrap();
    let import = Import::open(file.as_bytes(), "a.csv", &mapping).map_err(|error| error.to_string())?;
    import.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

fn rejects(rows: &[Row]) -> Vec<(u64, &str, &str)> {
    let rejects = rows.iter().flat_map(|row| &row.rejects);
    rejects
        .map(|reject| (reject.row, reject.column.as_str(), reject.reason.code()))
        .collect()
}

fn canonical(rows: &[Row]) -> Vec<&str> {
    let records = rows.iter().filter_map(|row| row.record.as_ref());
    records
        .flat_map(|record| record.identifiers.iter().map(Identifier::canonical))
        .collect()
}

#[test]
fn origins() {
    let mapping = format!("[record]\nreference = \"id\"\norigin = \"unit\"\ndefault_origin = \"Desk\"\n{PHONE}");
    let file = format!(
        "id;unit;phone\nA;Team Noord;0612345678\nB;;0612345678\nC;bad\u{7};0612345678\nD;{};0612345678\n",
        "x".repeat(129)
    );
    let rows = read(&mapping, &file).unwrap();
    let origins: Vec<_> = rows
        .iter()
        .map(|row| row.record.as_ref().map(|record| record.origin.as_deref()))
        .collect();
    assert_eq!(origins, [Some(Some("Team Noord")), Some(Some("Desk")), None, None]);
    assert_eq!(
        rejects(&rows),
        [(4, "unit", "origin-not-valid"), (5, "unit", "origin-not-valid")]
    );
}

#[test]
fn hidden_characters_in_headers_do_not_count() {
    let mapping = format!("[record]\nreference = \"\u{feff}id\"\n{PHONE}");
    let rows = read(&mapping, "x;\u{feff}id\u{200b};\u{202a}phone\u{202c}\n1;A;0612345678\n").unwrap();
    assert_eq!(canonical(&rows), ["+31612345678"]);
    let error = read(&mapping, "id;id\u{200b};phone\n").unwrap_err();
    assert!(
        error.contains("column \"id\" stands in the header more than once"),
        "{error}"
    );
}

#[test]
fn persons_in_parts() {
    let mapping = "[record]\nreference = \"id\"\n[[identifier]]\nkind = \"person\"\nname = \"name\"\nborn = [\"y\", \"m\", \"d\"]\n\
                   sex = \"sex\"\npostcode = \"pc\"\nhouse_number = \"no\"\nstreet = \"street\"\nplace = \"place\"\n";
    let header = "id;name;y;m;d;sex;pc;no;street;place\n";
    let rows = read(
        mapping,
        &format!(
            "{header}A;BERG, Jan v.d.;1985;2;23;m;1012AB;12;Dam;Amsterdam\nB;;1985;2;23;;;;;\nC;Jan Berg;85;2;23;;;;;\n"
        ),
    )
    .unwrap();
    let found = canonical(&rows);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("berg") && found[0].contains("1985-02-23"),
        "{found:?}"
    );
    assert_eq!(
        rejects(&rows),
        [
            (3, "", "no-identifier"),
            (4, "y", "date-two-digit-year"),
            (4, "", "no-identifier")
        ]
    );
}

fn dates(mixed: &str, order: &str, cells: &[&str]) -> Result<Vec<Row>, String> {
    let mapping = format!(
        "[source]\ndates = \"{order}\"\nmixed_dates = \"{mixed}\"\n[record]\nreference = \"id\"\n\
         [[identifier]]\nkind = \"person\"\nname = \"name\"\nborn = \"born\"\n"
    );
    let rows: String = cells.iter().map(|cell| format!("A;Jan Berg;{cell}\n")).collect();
    read(&mapping, &format!("id;name;born\n{rows}"))
}

fn warnings(order: &str, cells: &[&str]) -> Vec<String> {
    let mapping = format!(
        "[source]\ndates = \"{order}\"\n[record]\nreference = \"id\"\n[[identifier]]\nkind = \"person\"\nname = \"name\"\nborn = \"born\"\n"
    );
    let rows: String = cells.iter().map(|cell| format!("A;Jan Berg;{cell}\n")).collect();
    let file = format!("id;name;born\n{rows}");
    let mut import = Import::open(file.as_bytes(), "a.csv", &Mapping::parse(&mapping).unwrap()).unwrap();
    assert!(import.by_ref().all(|row| row.is_ok()));
    let warnings = import.summary().warnings.iter();
    warnings
        .map(|warning| format!("{}: {} from row {}", warning.column, warning.cells, warning.first_row))
        .collect()
}

#[test]
fn mixed_orders_of_dates_end_the_import() {
    for order in ["dmy", "mdy"] {
        let error = dates(
            "stop",
            order,
            &["1985-02-23", "01-02-1985", "23-02-1985", "24-02-1985", "02-23-1985"],
        )
        .unwrap_err();
        assert!(
            error.starts_with("a.csv, column \"born\": row 4 can only be day-month and row 6 only month-day"),
            "{error}"
        );
        assert!(!error.contains("1985"));
    }
    // a column that is wholly in the other order, but for one that can be both
    let error = dates("stop", "dmy", &["02-23-1985", "02-24-1985", "03-04-1985"]).unwrap_err();
    assert!(
        error.contains("column \"born\": 2 dates only fit the other order") && !error.contains("1985"),
        "{error}"
    );
    // one in a hundred is a slip, which costs itself alone
    let mut cells = vec!["23-02-1985"; 99];
    cells.push("02-23-1985");
    let rows = dates("stop", "dmy", &cells).unwrap();
    assert_eq!(rejects(&rows)[0], (101, "born", "date-other-order"));
    // and a warning about those that may be slips too
    cells.extend(["01-02-1985", "03-04-1985"]);
    assert_eq!(warnings("dmy", &cells), ["born: 2 from row 102"]);
    assert!(warnings("dmy", &["23-02-1985", "01-02-1985"]).is_empty());
    // neither a day that does not exist nor another form is a sign of another order
    let rows = dates("stop", "dmy", &["23-02-1985", "31-02-1985", "1985-02-28", "45-45-1985"]).unwrap();
    // each costs what is wrong with it, and the person stays
    assert_eq!(rejects(&rows).len(), 2);
    assert_eq!(canonical(&rows)[1], "jan|berg|1985-02-00");
    assert!(dates("stop", "ymd", &["1985-02-23"]).is_ok());
}

#[test]
fn or_only_what_can_be_read_in_one_way_is_taken() {
    let rows = dates(
        "reject",
        "dmy",
        &["23-02-1985", "02-23-1985", "01-02-1985", "05-05-1985", "1985-02-01"],
    )
    .unwrap();
    let born: Vec<_> = canonical(&rows)
        .into_iter()
        .map(|person| (person.contains("1985-02-23"), person.contains("1985-05-05")))
        .collect();
    assert_eq!(
        born,
        [
            (true, false),
            (true, false),
            (false, false),
            (false, true),
            (false, false)
        ]
    );
    // the year is the same in both orders
    assert_eq!(canonical(&rows)[2], "jan|berg|1985-00-00");
    assert_eq!(rejects(&rows)[0], (4, "born", "date-ambiguous"));
}

#[test]
fn references_are_no_formulas() {
    let mapping = format!("[record]\nreference = \"id\"\n{PHONE}");
    let rows = read(
        &mapping,
        "id;phone\n=1+2;0612345678\n-1;0612345678\n=\"007\";=\"0612345678\"\n",
    )
    .unwrap();
    assert_eq!(rejects(&rows), [(2, "id", "formula")]);
    let records: Vec<_> = rows.iter().filter_map(|row| row.record.as_ref()).collect();
    assert_eq!(records[1].reference, "007");
    assert_eq!(records[0].identifiers, records[1].identifiers);
}

#[test]
fn what_a_spreadsheet_shows_for_a_fault_is_no_name() {
    let mapping = "[record]\nreference = \"id\"\n[[identifier]]\nkind = \"person\"\ngiven = \"g\"\nfamily = \"f\"\nborn = \"b\"\n";
    let file = "id;g;f;b\nA;#N/A;#REF!;1990-01-01\nB;=VLOOKUP(A,B);Jansen;1990-01-01\nC;NULL;NULL;1990-01-01\n\
                D;#NAAM?;Jansen;1990-01-01\nE;Jan;Jansen;=\"1990-01-01\"\nF;n/a;Jansen;1990-01-01\n";
    let rows = read(mapping, file).unwrap();
    assert_eq!(canonical(&rows), ["jan|jansen|1990-01-01"]);
    let codes: Vec<_> = rejects(&rows)
        .into_iter()
        .filter(|reject| reject.2 != "no-identifier")
        .collect();
    assert_eq!(codes[0], (2, "f", "cell-error"));
    assert_eq!(codes[1], (3, "g", "formula"));
    assert!(codes.iter().any(|code| code.0 == 4 && code.2 == "placeholder"));
    assert!(codes.contains(&(5, "g", "cell-error")));
}

#[test]
fn characters_that_nobody_sees_are_left_out_and_told() {
    let mapping = Mapping::parse(&format!("[record]\nreference = \"id\"\n{PHONE}")).unwrap();
    let file = "id;phone\nr\u{200b}1;0612345678\n";
    let mut import = Import::open(file.as_bytes(), "a.csv", &mapping).unwrap();
    assert_eq!(import.next().unwrap().unwrap().record.unwrap().reference, "r1");
    assert!(import.next().is_none());
    let warnings = &import.summary().warnings;
    assert_eq!(
        (warnings.len(), warnings[0].column.as_str(), warnings[0].first_row),
        (1, "id", 2)
    );
}

#[test]
fn an_encoding_against_the_bytes_is_told() {
    let mapping = |encoding| format!("[source]\nencoding = \"{encoding}\"\n[record]\nreference = \"id\"\n{PHONE}");
    for (encoding, file, doubts) in [
        ("windows-1252", "id;phone\nJosé;0612345678\n", 1),
        ("windows-1252", "id;phone\nJose;0612345678\n", 0),
        ("utf-8", "id;phone\nJosé;0612345678\n", 0),
    ] {
        let mapping = Mapping::parse(&mapping(encoding)).unwrap();
        let mut import = Import::open(file.as_bytes(), "a.csv", &mapping).unwrap();
        assert!(import.by_ref().all(|row| row.is_ok()));
        let warnings = &import.summary().warnings;
        assert_eq!(warnings.len(), doubts, "{encoding} {file}");
        assert!(
            warnings
                .iter()
                .all(|warning| warning.to_string().starts_with("a.csv begins as UTF-8"))
        );
    }
}

#[test]
fn code_pages_are_told_by_their_letters_and_the_country() {
    let file = "id;phone;name\nZażółć gęślą jaźń;0612345678;Łukasz Wiśniewski\nŚwiętosława;0612345678;Źdźbło\n";
    let bytes: Vec<u8> = file
        .chars()
        .map(|c| match c {
            'ż' => 0xbf,
            'ó' => 0xf3,
            'ł' => 0xb3,
            'ć' => 0xe6,
            'ę' => 0xea,
            'ś' => 0x9c,
            'ą' => 0xb9,
            'ź' => 0x9f,
            'ń' => 0xf1,
            'Ł' => 0xa3,
            'Ś' => 0x8c,
            'Ź' => 0x8f,
            c => c as u8,
        })
        .collect();
    let mapping = format!("[source]\nregion = \"PL\"\n[record]\nreference = \"id\"\n{PHONE}country = \"NL\"\n");
    let mapping = Mapping::parse(&mapping).unwrap();
    let mut import = Import::open(bytes.as_slice(), "a.csv", &mapping).unwrap();
    let row = import.next().unwrap().unwrap();
    assert_eq!(row.record.unwrap().reference, "Zażółć gęślą jaźń");
    assert!(import.summary().read_as.iter().eq(["csv windows-1250 (guessed)"]));
}
