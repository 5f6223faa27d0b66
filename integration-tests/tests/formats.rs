//! An export in each format ends in the same dataset; a broken one leaves the dataset before it.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path, sync::Arc};

use overlap_integration_tests::{Ran, World, text_of};
use parquet::{
    data_type::{ByteArray, ByteArrayType},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use rust_xlsxwriter::Workbook;

const COLUMNS: [&str; 3] = ["ref", "phone", "mail"];
const ROWS: [[&str; 3]; 3] = [
    ["a", "06-10000001", "a@example.org"],
    ["b", "+31 6 1000 0002", ""],
    ["c", "niet bekend", "C@Example.org"],
];
const MAPPING: &str = "[record]\nreference = \"ref\"\n[[identifier]]\nkind = \"phone\"\ncolumns = [\"phone\"]\n\
    [[identifier]]\nkind = \"email\"\ncolumns = [\"mail\"]\n";

fn csv() -> String {
    let lines = std::iter::once(COLUMNS).chain(ROWS).map(|row| row.join(";"));
    lines.collect::<Vec<_>>().join("\n")
}

fn json_lines() -> String {
    let objects =
        ROWS.map(|[reference, phone, mail]| serde_json::json!({"ref": reference, "phone": phone, "mail": mail}));
    objects.map(|object| object.to_string()).join("\n")
}

fn xlsx(path: &Path) {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (row, cells) in (0..).zip(std::iter::once(COLUMNS).chain(ROWS)) {
        for (column, cell) in (0..).zip(cells) {
            sheet.write_string(row, column, cell).unwrap();
        }
    }
    book.save(path).unwrap();
}

fn parquet(path: &Path) {
    let schema = COLUMNS.map(|column| format!("required binary {column} (UTF8);"));
    let schema = parse_message_type(&format!("message export {{ {} }}", schema.join(" "))).unwrap();
    let file = fs::File::create(path).unwrap();
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(schema), Arc::new(WriterProperties::builder().build())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for column in 0..COLUMNS.len() {
        let values: Vec<ByteArray> = ROWS.iter().map(|row| ByteArray::from(row[column])).collect();
        let mut to = group.next_column().unwrap().unwrap();
        to.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        to.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn every_format_ends_in_the_same_dataset() {
    let world = World::of_two(
        "ref;phone\nx;06-10000009\n",
        "ref;phone;email\na;06-10000001;c@example.org\n",
    );
    let directory = world.path("exports");
    fs::create_dir(&directory).unwrap();
    let (file, mapping) = (|name: &str| directory.join(name), world.path("mapping.toml"));
    fs::write(&mapping, MAPPING).unwrap();
    fs::write(file("export.csv"), csv()).unwrap();
    fs::write(file("export.jsonl"), json_lines()).unwrap();
    xlsx(&file("export.xlsx"));
    parquet(&file("export.parquet"));

    for format in ["csv", "jsonl", "xlsx", "parquet"] {
        let file = file(&format!("export.{format}"));
        // first without a node, which changes nothing
        let arguments = [
            "dataset",
            "import",
            file.to_str().unwrap(),
            "--mapping",
            mapping.to_str().unwrap(),
            "--check",
            "--json",
        ];
        let checked = Ran::overlap(&arguments).json();
        assert_eq!(checked["summary"]["records"], 3, "{format}: {checked}");
        assert_eq!(
            checked["summary"]["rejected"]["phone-not-valid"], 1,
            "{format}: {checked}"
        );

        let imported = world
            .import_file("politie", "operator", &file, &mapping, &["--json"])
            .json();
        assert_eq!(imported["dataset"]["records"], 3, "{format}");
        assert_eq!(
            imported["dataset"]["items"],
            serde_json::json!({"email": 2, "phone": 2}),
            "{format}"
        );
        let found = world.ask("hits", &[]).json();
        let mut hits: Vec<_> = found["hits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hit| text_of(&hit["identifier"]))
            .collect();
        hits.sort_unstable();
        assert_eq!(hits, ["+31610000001", "c@example.org"], "{format}");
    }
    // all of them at once, as a directory
    let imported = world
        .import_file("politie", "operator", &directory, &mapping, &["--json"])
        .json();
    assert_eq!(imported["dataset"]["records"], 12);
}

#[test]
fn a_broken_export_leaves_the_dataset_before_it() {
    let world = World::of_two("ref;phone\nx;06-10000009\n", "ref;phone\na;06-10000001\n");
    let before = world.json("politie", "operator", &["dataset", "list"]);
    let (mapping, whole) = (world.path("mapping.toml"), world.path("whole.xlsx"));
    fs::write(&mapping, MAPPING).unwrap();
    xlsx(&whole);
    let bytes = fs::read(&whole).unwrap();
    let cut = |name: &str, bytes: &[u8]| {
        let path = world.path(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let with_hole = world.path("parquet");
    parquet(&with_hole);
    let parquet = fs::read(&with_hole).unwrap();
    let cases = [
        (cut("cut.xlsx", &bytes[..bytes.len() / 2]), "cut.xlsx"),
        (cut("cut.parquet", &parquet[..parquet.len() / 2]), "cut.parquet"),
        (
            cut("ragged.csv", b"ref;phone;mail\na;06-10000001;\nb;06-10000002\n"),
            "row 3",
        ),
        (cut("columns.csv", b"ref;telephone;mail\na;06-10000001;\n"), "no column"),
        (
            cut(
                "broken.jsonl",
                b"{\"ref\":\"a\",\"phone\":\"06-10000001\",\"mail\":\"\"}\n{\"ref\":",
            ),
            "row 2",
        ),
        (
            cut(
                "long.csv",
                &[b"ref;phone;mail\n".as_slice(), &vec![b'x'; 3 << 20]].concat(),
            ),
            "longer than",
        ),
        (cut("empty.csv", b""), "empty"),
    ];
    for (file, words) in cases {
        let ran = world.import_file("politie", "operator", &file, &mapping, &["--json"]);
        assert_eq!(ran.code, 2, "{words}: {ran:?}");
        assert!(
            ran.stderr.contains(words) && !ran.stderr.contains("10000001"),
            "{words}: {ran:?}"
        );
        let checked = Ran::overlap(&[
            "dataset",
            "import",
            file.to_str().unwrap(),
            "--mapping",
            mapping.to_str().unwrap(),
            "--check",
        ]);
        assert_eq!(checked.code, 5, "{words}: {checked:?}");
    }
    assert_eq!(world.json("politie", "operator", &["dataset", "list"]), before);
}

#[test]
fn a_mapping_is_proposed_and_works_as_it_is() {
    let world = World::of_two("ref;phone\nx;06-10000009\n", "ref;phone\na;06-10000001\n");
    let (file, mapping) = (world.path("export.csv"), world.path("proposed.toml"));
    fs::write(
        &file,
        "zaaknummer;achternaam;voornaam;geboortedatum;telefoon;e-mail;rekening\n\
         Z1;van den Berg;Jan;23-02-1985;06-10000001;jan@example.org;NL91ABNA0417164300\n\
         Z2;Bakker;Anna;14-07-1990;06-10000002;;\n",
    )
    .unwrap();
    let (file, mapping) = (file.to_str().unwrap(), mapping.to_str().unwrap());
    let proposed = Ran::overlap(&["dataset", "map", file, "--out", mapping]);
    assert_eq!(proposed.code, 0, "{proposed:?}");
    assert_eq!(
        Ran::overlap(&["dataset", "map", file, "--out", mapping]).code,
        2,
        "what is there is kept"
    );
    let checked = Ran::overlap(&["--json", "dataset", "import", file, "--mapping", mapping, "--check"]).json();
    let found = &checked["summary"]["identifiers"];
    assert_eq!(
        (&found["phone"], &found["email"], &found["iban"], &found["person"]),
        (&2.into(), &1.into(), &1.into(), &2.into()),
        "{checked}"
    );
}
