//! Files as agencies export them, good and broken.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{self, Read};

use overlap_records::{Identifier, Import, ImportError, Kind, Mapping, Role, Row, Summary, Visibility, WarningKind};

const MAPPING: &str = r#"
[record]
reference = "zaaknr"
[[identifier]]
kind = "phone"
columns = ["telefoon"]
"#;

const FULL: &str = r#"
[source]
delimiter = ";"
region = "NL"
dates = "dmy"
[record]
reference = "zaaknr"
role = "rol"
roles = { Verdachte = "suspect", slachtoffer = "victim" }
default_role = "witness"
visibility_column = "klasse"
observed = "gezien"
expires = "bewaren_tot"
[[identifier]]
kind = "phone"
columns = ["telefoon", "mobiel"]
[[identifier]]
kind = "plate"
columns = ["kenteken"]
country_column = "land"
[[identifier]]
kind = "document"
columns = ["document"]
issuer = "NL"
[[identifier]]
kind = "person"
given = "voornaam"
family = "achternaam"
particle = "tussenvoegsel"
born = "geboortedatum"
"#;

const HEADER: &str = "zaaknr;rol;klasse;gezien;bewaren_tot;telefoon;mobiel;kenteken;land;document;voornaam;tussenvoegsel;achternaam;geboortedatum";

fn open<'a>(file: &'a [u8], mapping: &str) -> Result<Import<'a>, ImportError> {
    Import::open(file, "cases.csv", &Mapping::parse(mapping).unwrap())
}

fn read(file: &[u8], mapping: &str) -> (Vec<Row>, Summary) {
    let mut import = open(file, mapping).unwrap();
    let rows = import.by_ref().map(Result::unwrap).collect();
    assert_eq!(import.bytes_read(), file.len() as u64);
    (rows, import.summary().clone())
}

fn fails(file: &[u8], mapping: &str) -> String {
    match open(file, mapping) {
        Err(error) => error.to_string(),
        Ok(mut import) => {
            let error = import.find_map(Result::err).expect("an error").to_string();
            assert!(import.next().is_none(), "the error is the end");
            error
        }
    }
}

fn full(row: &str) -> Row {
    let (mut rows, _) = read(format!("{HEADER}\n{row}\n").as_bytes(), FULL);
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

fn canonical(row: &Row) -> Vec<&str> {
    row.record.as_ref().map_or(Vec::new(), |record| {
        record.identifiers.iter().map(Identifier::canonical).collect()
    })
}

fn rejects(row: &Row) -> Vec<(&str, &str)> {
    row.rejects
        .iter()
        .map(|reject| (reject.column.as_str(), reject.reason.code()))
        .collect()
}

#[test]
fn a_full_row() {
    let row = full(
        "Z1;VERDACHTE;D;1-2-2024;31-12-2030;0612345678;06-12345678;B-MW 1234;DE;L898902C36;Jan;van den;Berg;23-02-1985",
    );
    let record = row.record.as_ref().unwrap();
    assert_eq!(
        (record.reference.as_str(), record.role, record.visibility),
        ("Z1", Role::Suspect, Visibility::D)
    );
    assert_eq!(record.observed, Some(jiff::civil::date(2024, 2, 1)));
    assert_eq!(record.expires, Some(jiff::civil::date(2030, 12, 31)));
    // the same number in two columns counts once
    assert_eq!(
        canonical(&row),
        ["+31612345678", "DE:BMW1234", "NL:L898902C3", "jan|berg|1985-02-23"]
    );
    assert_eq!(rejects(&row), []);
    assert_eq!(row.number, 2);
}

#[test]
fn empty_cells_take_the_defaults() {
    let row = full("Z1;;;;;0612345678;;;;;;;;");
    let record = row.record.as_ref().unwrap();
    assert_eq!((record.role, record.visibility), (Role::Witness, Visibility::B));
    assert_eq!((record.observed, record.expires), (None, None));
    assert_eq!(rejects(&row), []);
}

#[test]
fn a_bad_cell_costs_that_cell_only() {
    let row = full("Z1;suspect;a;gisteren;;112;0612345678;12AB34;Nederland;1;Jan;;Berg;");
    assert_eq!(canonical(&row), ["+31612345678"]);
    assert_eq!(
        rejects(&row),
        [
            ("gezien", "date-format"),
            ("telefoon", "phone-not-valid"),
            ("land", "country-unknown"),
            ("document", "document-not-valid"),
            ("achternaam", "person-too-little"),
        ]
    );
    let line = row.rejects[1].in_file("cases.csv").to_string();
    assert!(
        line.starts_with("cases.csv row 2, column \"telefoon\": not a valid telephone number"),
        "{line}"
    );
}

#[test]
fn what_could_disclose_or_keep_too_much_costs_the_row() {
    for (row, expected) in [
        ("Z1;getuige;;;;0612345678;;;;;;;;", vec![("rol", "role-unknown")]),
        ("Z1;;e;;;0612345678;;;;;;;;", vec![("klasse", "visibility-unknown")]),
        ("Z1;;;;ooit;0612345678;;;;;;;;", vec![("bewaren_tot", "date-format")]),
        (";;;;;0612345678;;;;;;;;", vec![("zaaknr", "reference-missing")]),
        ("Z1;;;;;;;;;;;;;", vec![("", "no-identifier")]),
        (
            "Z1;;;;;112;;;;;;;;",
            vec![("telefoon", "phone-not-valid"), ("", "no-identifier")],
        ),
        (
            "Z\u{1b}[1m;;;;;0612345678;;;;;;;;",
            vec![("zaaknr", "reference-not-valid")],
        ),
    ] {
        let row = full(row);
        assert!(row.record.is_none());
        assert_eq!(rejects(&row), expected);
    }
    let row = full("Z1;;;;;;;;;;;;;");
    assert!(
        row.rejects[0]
            .in_file("f")
            .to_string()
            .starts_with("f row 2: no usable identifier")
    );
}

#[test]
fn too_many_identifiers() {
    let columns: Vec<String> = (0..70).map(|i| format!("p{i}")).collect();
    let mapping = format!("[record]\nreference = \"r\"\n[[identifier]]\nkind = \"phone\"\ncolumns = {columns:?}");
    let phones: Vec<String> = (0..70).map(|i| format!("06123456{i:02}")).collect();
    let (rows, _) = read(
        format!("r,{}\nZ1,{}", columns.join(","), phones.join(",")).as_bytes(),
        &mapping,
    );
    assert_eq!(rejects(&rows[0]), [("", "too-many-identifiers")]);
}

#[test]
fn summary_counts() {
    let file = "zaaknr;telefoon\nZ1;0612345678\nZ2;112\n;0612345678\n\n;\nZ3;0612345679\n";
    let (rows, summary) = read(file.as_bytes(), MAPPING);
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [2, 3, 4, 7]);
    assert_eq!((summary.rows, summary.records, summary.identifiers_total), (4, 2, 2));
    assert_eq!((summary.rejected_total, summary.reject_rows), (3, 2));
    assert_eq!(summary.identifiers[&Kind::Phone], 2);
    assert_eq!(
        serde_json::to_string(&summary).unwrap(),
        "{\"file\":\"cases.csv\",\"read_as\":[\"csv utf-8\"],\"rows\":4,\"records\":2,\"identifiers_total\":2,\"identifiers\":{\"phone\":2},\
         \"rejected_total\":3,\"rejected\":{\"no-identifier\":1,\"phone-not-valid\":1,\"reference-missing\":1},\"reject_rows\":2,\"skipped\":[],\"warnings\":[]}"
    );
}

#[test]
fn delimiters_are_detected() {
    for file in [
        "zaaknr;telefoon\nZ1;0612345678\n",
        "zaaknr,telefoon\nZ1,0612345678",
        "zaaknr\ttelefoon\r\nZ1\t0612345678\r\n",
        "zaaknr|telefoon\rZ1|0612345678\r",
        "\"zaaknr\";\"telefoon\"\n\"Z1\";\"0612345678\"\n",
        "\n\r\nzaaknr ; telefoon\n Z1 ; 0612345678 \n",
        "\"een, kolom, met, komma's\";zaaknr;telefoon\nx;Z1;0612345678\n",
        "sep=;\nzaaknr;telefoon\nZ1;0612345678\n",
        "\u{feff}sep=,\r\nzaaknr,telefoon\r\nZ1,0612345678\r\n",
    ] {
        let (rows, _) = read(file.as_bytes(), MAPPING);
        assert_eq!(canonical(&rows[0]), ["+31612345678"], "{file:?}");
        assert_eq!(rows[0].record.as_ref().unwrap().reference, "Z1");
    }
    // the mapping has the last word
    let (rows, _) = read(
        b"zaaknr;telefoon,a,b\nZ1;0612345678",
        &format!(
            "[source]\ndelimiter = \";\"\n{}",
            MAPPING.replace("telefoon", "telefoon,a,b")
        ),
    );
    assert_eq!(canonical(&rows[0]), ["+31612345678"]);
}

#[test]
fn quotes_hold_delimiters_quotes_and_line_ends() {
    let file = "zaaknr;telefoon\r\n\"Z;1 \"\"a\"\"\";0612345678\r\n\r\nZ2;\"06\r\n12345678\"\r\nZ3;0612345678\r\n";
    let (rows, _) = read(file.as_bytes(), MAPPING);
    assert_eq!(rows[0].record.as_ref().unwrap().reference, "Z;1 \"a\"");
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [2, 4, 6]);
    assert_eq!(rejects(&rows[1])[0], ("telefoon", "several-values"));
}

#[test]
fn encodings() {
    let mapping = MAPPING.replace("zaaknr", "zaaknür");
    let text = "zaaknür;telefoon\nZé;0612345678\n";
    let utf16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let latin1: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let files = [
        text.as_bytes().to_vec(),
        [b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat(),
        latin1.clone(),
        [b"\xff\xfe".as_slice(), &utf16(u16::to_le_bytes)].concat(),
        [b"\xfe\xff".as_slice(), &utf16(u16::to_be_bytes)].concat(),
    ];
    for file in &files {
        let (rows, _) = read(file, &mapping);
        assert_eq!(rows[0].record.as_ref().unwrap().reference, "Zé");
    }
    let (rows, _) = read(
        &utf16(u16::to_le_bytes),
        &format!("[source]\nencoding = \"utf-16le\"\n{mapping}"),
    );
    assert_eq!(rows.len(), 1);
    // a byte order mark knows better than the mapping
    let (rows, _) = read(&files[1], &format!("[source]\nencoding = \"windows-1252\"\n{mapping}"));
    assert_eq!(rows.len(), 1);
    let forced = fails(&latin1, &format!("[source]\nencoding = \"utf-8\"\n{mapping}"));
    assert!(forced.contains("row 1: not valid UTF-8"), "{forced}");
}

#[test]
fn text_that_turns_invalid_late_is_an_error_with_its_row() {
    // more than the first 64 KiB are UTF-8, and a character lies across that boundary
    let mut file = b"zaaknr;telefoon\n".to_vec();
    file.push(b'x');
    while file.len() < 66_000 {
        file.extend("é".as_bytes());
    }
    file.extend(b";0612345678\nZ\xe9;0612345678\n");
    let error = fails(&file, MAPPING);
    assert!(error.starts_with("cases.csv row 3: not valid UTF-8"), "{error}");
    // half a character on either side of a delimiter
    let error = fails(
        b"zaaknr;telefoon\nZ\xc3;\xa90612345678\n",
        &format!("[source]\nencoding = \"utf-8\"\n{MAPPING}"),
    );
    assert!(error.starts_with("cases.csv row 2: not valid UTF-8"), "{error}");
    // half a surrogate pair
    let file: Vec<u8> = [
        b"\xff\xfe".as_slice(),
        &"zaaknr;telefoon\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<_>>(),
        b"\x00\xd8a\x00",
    ]
    .concat();
    let error = fails(&file, MAPPING);
    assert!(error.starts_with("cases.csv row 2: not valid UTF-16LE"), "{error}");
}

#[test]
fn header_errors() {
    assert_eq!(
        fails(b"zaak;telefoon;mobiel\n", MAPPING),
        "cases.csv: no column \"zaaknr\", which the mapping names; the file has \"zaak\", \"telefoon\", \"mobiel\""
    );
    assert_eq!(
        fails(b"Z1;0612345678\nZ2;0612345679\n", MAPPING),
        "cases.csv: no column \"telefoon\", \"zaaknr\", which the mapping names; its first line looks like data: a header line is needed"
    );
    assert_eq!(
        fails(b"zaaknr;telefoon;telefoon\n", MAPPING),
        "cases.csv: column \"telefoon\" stands in the header more than once: rename one of them"
    );
    // columns that nothing refers to may repeat, as empty ones do at the end of a spreadsheet
    assert_eq!(read(b"zaaknr;telefoon;;\nZ1;0612345678;;\n", MAPPING).0.len(), 1);
}

#[test]
fn empty_files() {
    for file in ["", "\n\n", "\u{feff}", "  \r\n ;;\r\n", "sep=;\n"] {
        assert_eq!(
            fails(file.as_bytes(), MAPPING),
            "cases.csv: the file is empty",
            "{file:?}"
        );
    }
    let (rows, summary) = read(b"zaaknr;telefoon", MAPPING);
    assert_eq!((rows.len(), summary.rows), (0, 0));
}

#[test]
fn broken_rows() {
    assert_eq!(
        fails(b"zaaknr;telefoon\nZ1;0612345678\nZ2;0612345678;x\n", MAPPING),
        "cases.csv row 3: 3 fields where the header has 2: is a quote or a delimiter missing?"
    );
    assert!(fails(b"zaaknr;telefoon\nZ1\n", MAPPING).contains("row 2: 1 fields where the header has 2"));
    assert!(fails(b"zaaknr;telefoon\nZ1;06\x0012345678\n", MAPPING).contains("row 2: not a text file"));
    assert!(fails(b"PK\x03\x04\x14\x00\x06\x00\x08\x00", MAPPING).contains("cannot be read from a stream"));
}

#[test]
fn quotes_that_swallow_rows() {
    let rows = "Z2;0612345679;x;;\nZ3;0612345670;y;;\n";
    for (file, row) in [
        (
            format!("zaaknr;telefoon;opm;team;datum\nZ1;0612345678;\"Kleine Jan;;\n{rows}"),
            2,
        ),
        (
            format!(
                "zaaknr;telefoon;opm;team;datum\nZ1;0612345678;\"Kleine Jan;;\n{rows}Z4;0612345671;Grote\" Jan;;\n"
            ),
            2,
        ),
        (
            format!("zaaknr;telefoon;opm;team;datum\nZ1;\"0612345678;x;;\n{rows}Z4;0612345671\";x;;\n"),
            2,
        ),
        (
            "zaaknr;telefoon;opm;team;datum\nZ1;0612345678;x;;\nZ2;0612345679;\"".to_owned(),
            3,
        ),
        // few columns: what stands behind the second quote gives it away
        (
            "zaaknr;telefoon\nZ1;\"0612345678\nZ2;0612345679\nZ3;\"0612345670\"\n".to_owned(),
            2,
        ),
        (
            "zaaknr;opm;telefoon\nZ1;\"Jan;0612345678\nZ2;x;0612345679\nZ3;Piet\";0612345670\n".to_owned(),
            2,
        ),
    ] {
        let error = fails(file.as_bytes(), MAPPING);
        assert!(
            error.contains(&format!("row {row}: a quote is left open")),
            "{file}: {error}"
        );
    }
    // what quotes are for
    for file in [
        "zaaknr;telefoon;opm\nZ1;0612345678;\"Kleine\nJan; \"\"de; Korte\"\"\"",
        "zaaknr;telefoon;opm\nZ1;0612345678;\"x\ny\nz\"\n",
        "zaaknr;telefoon\nZ1;\"0612345678\"",
        "zaaknr;telefoon\nZ1;0612345678",
    ] {
        let import = Import::open(file.as_bytes(), "a.csv", &Mapping::parse(MAPPING).unwrap()).unwrap();
        assert_eq!(
            import.filter(|row| row.as_ref().unwrap().record.is_some()).count(),
            1,
            "{file}"
        );
    }
}

#[test]
fn one_broken_byte_does_not_make_a_file_another_encoding() {
    let mut file = "zaaknr;telefoon;naam\nZ1;0612345678;José Muñoz\nZ2;0612345679;"
        .as_bytes()
        .to_vec();
    file.extend(b"Ren\xc3\n");
    assert!(fails(&file, MAPPING).contains("row 3: not valid UTF-8"));
}

#[test]
fn long_rows_are_refused_in_bounded_memory() {
    let mut file = b"zaaknr;telefoon\n".to_vec();
    file.resize(2 << 20, b'x');
    assert!(fails(&file, MAPPING).contains("row 2: longer than 1048576 bytes"));
    // an open quote swallows the lines after it
    let mut file = b"zaaknr;telefoon\nZ1;0612345678\nZ2;\"06\n".to_vec();
    file.extend(b"Z3;0612345678\n".repeat(200_000));
    assert!(fails(&file, MAPPING).contains("row 3: longer than 1048576 bytes"));
    assert!(
        fails(&[b"zaaknr;telefoon\n", ";".repeat(5000).as_bytes()].concat(), MAPPING)
            .contains("row 2: more than 4096 columns")
    );
    // without end: the reader is left where the limit was reached
    let endless = b"zaaknr;telefoon\n".chain(io::repeat(b'x'));
    let mut import = Import::open(endless, "endless", &Mapping::parse(MAPPING).unwrap()).unwrap();
    assert!(matches!(
        import.next(),
        Some(Err(ImportError::RowTooLong { row: 2, .. }))
    ));
    assert!(import.bytes_read() < 1_200_000);
    assert!(Import::open(io::repeat(b'x'), "endless", &Mapping::parse(MAPPING).unwrap()).is_err());
}

#[test]
fn a_failing_reader_is_reported() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("disk gone"))
        }
    }
    let mapping = Mapping::parse(MAPPING).unwrap();
    let error = Import::open(Broken, "a.csv", &mapping).unwrap_err();
    assert_eq!(error.to_string(), "a.csv: cannot be read");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "disk gone");
    let long = [b"zaaknr;telefoon\n".as_slice(), &b"Z1;0612345678\n".repeat(6000)].concat();
    let mut import = Import::open(long.as_slice().chain(Broken), "a.csv", &mapping).unwrap();
    assert_eq!(import.by_ref().filter(Result::is_err).count(), 1);
    assert!(import.summary().rows > 4000);
}

#[test]
fn national_and_company_numbers_take_their_country_from_a_column() {
    let mapping = "[record]\nreference = \"r\"\n\
        [[identifier]]\nkind = \"national\"\ncolumns = [\"number\"]\ncountry_column = \"country\"\n\
        [[identifier]]\nkind = \"company\"\ncolumns = [\"company\"]\ncountry = \"BE\"\n";
    let file = "r;number;country;company\nZ1;440514-01359;pl;403.170.701\nZ2;440514-01359;;0403170701\n";
    let (rows, _) = read(file.as_bytes(), mapping);
    assert_eq!(canonical(&rows[0]), ["PL:44051401359", "BE:0403170701"]);
    assert_eq!(rejects(&rows[1]), [("number", "national-use-bsn")]);
}

#[test]
fn zeros_that_were_lost_are_told() {
    let mapping = "[record]\nreference = \"r\"\n[source]\nregion = \"NL\"\n\
        [[identifier]]\nkind = \"phone\"\ncolumns = [\"phone\"]\n\
        [[identifier]]\nkind = \"bsn\"\ncolumns = [\"bsn\"]\n";
    let file = "r;phone;bsn\nA;0612345678;111222333\nB;612345678;12345672\nC;+31612345679;012345672\nD;31612345670;\n";
    let (rows, summary) = read(file.as_bytes(), mapping);
    assert_eq!(canonical(&rows[1]), ["+31612345678", "012345672"]);
    let told: Vec<_> = summary
        .warnings
        .iter()
        .map(|w| (w.code, w.column.as_str(), w.cells, w.first_row))
        .collect();
    assert_eq!(
        told,
        [(WarningKind::Zeros, "phone", 1, 3), (WarningKind::Zeros, "bsn", 1, 3)]
    );
}
