//! No error, `Debug` text or log line contains a value.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::{Debug, Write};
use std::sync::Mutex;

use overlap_records::{Hints, Identifier, Import, Kind, Mapping, PersonParts, Profile, Record, Role, Visibility};

/// Each holds "canary", or the digits 8675309, in some spelling.
const CANARIES: [&str; 12] = [
    "canary",
    "Canary Bird|1985-02-30",
    "0612CANARY",
    "canary@canary",
    "canary@example.nl, canary@example.nl",
    "NL00CANA8675309",
    "8675309",
    "8675309-canary-8675309-canary-8675309",
    "canary:12AB34",
    "+318675309",
    "86-75-309",
    "Canary 8675309|1985-02-23",
];

const VALID: [(Kind, &str); 17] = [
    (Kind::Phone, "+31618675309"),
    (Kind::Email, "canary@example.nl"),
    (Kind::Iban, "NL91ABNA0417164300"),
    (Kind::Plate, "86-75-309"),
    (Kind::Document, "CANARY8675309"),
    (Kind::Bsn, "111222333"),
    (Kind::Vin, "WCANARY8675309000"),
    (Kind::National, "PL:44051401359"),
    (Kind::Handle, "x:canary8675309"),
    (Kind::Url, "https://canary.example/8675309"),
    (Kind::Ip, "192.0.2.1"),
    (Kind::Imei, "49015420323751"),
    (Kind::Imsi, "204088675309123"),
    (Kind::Wallet, "eth:0x52908400098527886e0f7030069857d2e4169ee7"),
    (Kind::Company, "DE:CANARY8675309"),
    (Kind::Address, "NL:1012AB:8675"),
    (Kind::Person, "Canary Bird|1985-02-23"),
];

fn is_clean(text: &str) -> bool {
    let folded: String = text
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .collect();
    !["canar", "8675309", "1112223", "04171643", "19850223"]
        .iter()
        .any(|canary| folded.contains(canary))
}

#[test]
fn the_check_itself_finds_values() {
    for text in ["Canary", "86-75-309", "+31 (867) 5309", "1985-02-23"] {
        assert!(!is_clean(text), "{text}");
    }
}

#[test]
fn rejections() {
    for kind in Kind::ALL {
        for raw in CANARIES {
            for result in [
                Identifier::normalise(kind, raw, &Hints::default()),
                Identifier::from_canonical(kind, raw),
            ] {
                let text = match &result {
                    Ok(identifier) => format!("{identifier:?} {:?}", identifier.match_keys(&Profile::eu_thb_1())),
                    Err(error) => format!("{error} {error:?} {}", error.code()),
                };
                assert!(is_clean(&text), "{text}");
            }
        }
    }
}

#[test]
fn values_are_not_printed() {
    let mut identifiers = Vec::new();
    for (kind, raw) in VALID {
        identifiers.push(Identifier::normalise(kind, raw, &Hints::default()).unwrap());
    }
    let parts = PersonParts {
        given: "Canary",
        family: "Bird",
        born: "1985-02-23",
        street: "Canary Street 8675309",
        ..PersonParts::default()
    };
    identifiers.push(Identifier::person(&parts, &Hints::default()).unwrap());
    let record = Record::new("canary-1".into(), Role::Victim, Visibility::B, None, None, identifiers).unwrap();
    let text = format!("{record:?} {record:#?} {:?}", record.identifiers);
    assert!(is_clean(&text), "{text}");
    assert!(text.contains("Phone") && text.contains("Victim"));
}

#[test]
fn imports() {
    let mapping = Mapping::parse(
        "[record]\nreference = \"ref\"\nrole = \"role\"\nexpires = \"until\"\nvisibility_column = \"class\"\n\
         [[identifier]]\nkind = \"phone\"\ncolumns = [\"phone\"]\n[[identifier]]\nkind = \"iban\"\ncolumns = [\"iban\"]\n\
         [[identifier]]\nkind = \"person\"\ngiven = \"given\"\nfamily = \"family\"\nborn = \"born\"\n",
    )
    .unwrap();
    let header = "ref;role;until;class;phone;iban;given;family;born\n";
    let canary = "canary-8675309";
    let bad = [canary; 9].join(";");
    let good = "canary;suspect;;a;+31618675309;NL91ABNA0417164300;Canary;Bird;1985-02-23";
    let files = [
        format!("{header}{bad}\n{good}\n"),
        format!("{header}{bad};{canary}\n"),
        format!("{header}{canary}\0\n"),
        format!("{header}\"{}", canary.repeat(100_000)),
        format!("{bad}\n{good}\n"),
        format!("{good}\n"),
        String::new(),
    ];
    for file in files {
        let mut text = String::new();
        match Import::open(file.as_bytes(), "file", &mapping) {
            Err(error) => show(&mut text, &error, &error),
            Ok(mut import) => {
                for row in import.by_ref() {
                    match row {
                        Ok(row) => {
                            write!(text, "{row:?}").unwrap();
                            row.rejects
                                .iter()
                                .for_each(|reject| write!(text, "{}", reject.in_file("file")).unwrap());
                        }
                        Err(error) => show(&mut text, &error, &error),
                    }
                }
                write!(text, "{import:?} {}", serde_json::to_string(import.summary()).unwrap()).unwrap();
            }
        }
        assert!(is_clean(&text), "{text}");
    }
    let mut latin1 = format!("{header}{bad}").into_bytes();
    latin1.push(0xe9);
    let forced = Mapping::parse("[source]\nencoding = \"utf-8\"\n[record]\nreference = \"ref\"\n[[identifier]]\nkind = \"bsn\"\ncolumns = [\"phone\"]").unwrap();
    let error = Import::open(latin1.as_slice(), "file", &forced)
        .unwrap()
        .find_map(Result::err)
        .unwrap();
    assert!(is_clean(&format!("{error} {error:?}")));
}

fn show(text: &mut String, display: &dyn std::fmt::Display, debug: &dyn Debug) {
    write!(text, "{display} {debug:?}").unwrap();
}

/// The telephone library prints numbers with `log::trace!`; that level must not exist in any build.
#[test]
fn libraries_log_nothing() {
    struct Lines(Mutex<String>);
    impl log::Log for Lines {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            writeln!(self.0.lock().unwrap(), "{}", record.args()).unwrap();
        }
        fn flush(&self) {}
    }
    static LINES: Lines = Lines(Mutex::new(String::new()));
    log::set_logger(&LINES).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    for (kind, raw) in VALID {
        Identifier::normalise(kind, raw, &Hints::default()).unwrap();
    }
    for raw in CANARIES {
        for kind in Kind::ALL {
            let _ = Identifier::normalise(kind, raw, &Hints::default());
        }
    }
    assert_eq!(*LINES.0.lock().unwrap(), "");
}
