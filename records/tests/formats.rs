//! The same table in every format, and files that are broken in the ways that files break.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use overlap_records::{Import, ImportError, Mapping, Row, Summary, WarningKind};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook};
use tempfile::TempDir;

const MAPPING: &str = r#"
[source]
dates = "dmy"
[record]
reference = "id"
expires = "until"
[[identifier]]
kind = "phone"
columns = ["phone"]
[[identifier]]
kind = "email"
columns = ["mail"]
"#;

const COLUMNS: [&str; 5] = ["id", "phone", "mail", "until", "note"];

fn mapping() -> Mapping {
    Mapping::parse(MAPPING).unwrap()
}

fn sheet(name: &str) -> Mapping {
    Mapping::parse(&MAPPING.replace("[source]", &format!("[source]\nsheet = {name:?}"))).unwrap()
}

/// A directory that is gone at the end of the test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn read(path: &Path, mapping: &Mapping) -> Result<(Vec<Row>, Summary), ImportError> {
    let mut import = Import::open_path(path, mapping)?;
    let rows = import.by_ref().collect::<Result<Vec<_>, _>>()?;
    assert!(import.next().is_none());
    let length = fs::metadata(path).unwrap().len();
    assert!(
        import.bytes_read() <= length + (64 << 10),
        "{} of {length}",
        import.bytes_read()
    );
    Ok((rows, import.summary().clone()))
}

fn fails(path: &Path, mapping: &Mapping) -> String {
    let error = read(path, mapping).expect_err("an error").to_string();
    let name = path.display().to_string();
    error.strip_prefix(&name).unwrap_or(&error).to_owned()
}

fn references(rows: &[Row]) -> Vec<&str> {
    rows.iter()
        .filter_map(|row| Some(row.record.as_ref()?.reference.as_str()))
        .collect()
}

fn rejects(rows: &[Row]) -> Vec<(u64, &str, &str)> {
    let rejects = rows.iter().flat_map(|row| &row.rejects);
    rejects
        .map(|reject| (reject.row, reject.column.as_str(), reject.reason.code()))
        .collect()
}

fn csv(table: &[Vec<String>]) -> String {
    let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
    let lines = table
        .iter()
        .map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n");
    COLUMNS.join(",") + "\n" + &lines.collect::<String>()
}

fn json(table: &[Vec<String>]) -> String {
    let object = |row: &Vec<String>| {
        let pairs = COLUMNS
            .iter()
            .zip(row)
            .map(|(key, value)| ((*key).to_owned(), value.clone().into()));
        serde_json::Value::Object(pairs.collect()).to_string() + "\n"
    };
    table.iter().map(object).collect()
}

fn xlsx(path: &Path, table: &[Vec<String>]) {
    let mut book = Workbook::new();
    let page = book.add_worksheet();
    page.write_row(0, 0, COLUMNS).unwrap();
    for (line, row) in (1..).zip(table) {
        page.write_row(line, 0, row).unwrap();
    }
    book.save(path).unwrap();
}

fn parquet(path: &Path, table: &[Vec<String>]) {
    let fields: String = COLUMNS
        .iter()
        .map(|name| format!("required binary {name} (UTF8);"))
        .collect();
    let mut writer = parquet_writer(path, &fields);
    // two row groups, the first of which may have no rows
    for half in [&table[..table.len() / 2], &table[table.len() / 2..]] {
        let mut group = writer.next_row_group().unwrap();
        for place in 0..COLUMNS.len() {
            let cells: Vec<ByteArray> = half.iter().map(|row| row[place].as_str().into()).collect();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&cells, None, None).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

fn parquet_writer(path: &Path, fields: &str) -> SerializedFileWriter<fs::File> {
    let schema = parse_message_type(&format!("message schema {{ {fields} }}")).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(parquet::basic::Compression::SNAPPY)
        .build();
    SerializedFileWriter::new(fs::File::create(path).unwrap(), Arc::new(schema), Arc::new(properties)).unwrap()
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        "06-?[1-9][0-9]{7}",
        "[a-z]{1,5}@example\\.(nl|org)",
        "[0-3][0-9]-1[0-2]-20[0-9]{2}",
        "Z[0-9]{1,3}",
        "[ -~é€😀]{0,12}",
    ]
}

/// Rows with a text of their own: blank ones are skipped, and a format may count them or not.
fn table() -> impl Strategy<Value = Vec<Vec<String>>> {
    let row = prop::collection::vec(cell(), COLUMNS.len())
        .prop_filter("not blank", |row| row.iter().any(|cell| !cell.trim().is_empty()));
    prop::collection::vec(row, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_format_gives_the_same_records(table in table()) {
        let files = Files::new();
        let mapping = Mapping::parse(&MAPPING.replace("dmy", "ymd")).unwrap();
        let paths = ["a.csv", "a.jsonl", "a.xlsx", "a.parquet"].map(|name| files.path(name));
        fs::write(&paths[0], csv(&table)).unwrap();
        fs::write(&paths[1], json(&table)).unwrap();
        xlsx(&paths[2], &table);
        parquet(&paths[3], &table);
        let [csv, others @ ..] = paths.each_ref().map(|path| {
            let (rows, summary) = read(path, &mapping).unwrap();
            let rejects: Vec<_> = rows.iter().flat_map(|row| &row.rejects).map(|r| (r.column.clone(), r.reason)).collect();
            let records: Vec<_> = rows.into_iter().map(|row| row.record).collect();
            (records, rejects, summary.rejected, summary.warnings)
        });
        for other in others {
            prop_assert_eq!(&csv, &other);
        }
    }

    #[test]
    fn any_change_of_a_file_ends_in_rows_or_an_error(at in 0.0..1.0, bytes in prop::collection::vec(any::<u8>(), 1..8), cut in any::<bool>()) {
        let files = Files::new();
        let table: Vec<Vec<String>> =
            (0..50).map(|i| vec![format!("Z{i}"), format!("06{i:08}"), String::new(), String::new(), "x".into()]).collect();
        let (book, column) = (files.path("a.xlsx"), files.path("a.parquet"));
        xlsx(&book, &table);
        parquet(&column, &table);
        for path in [book, column, files.write("a.jsonl", json(&table))] {
            let mut file = fs::read(&path).unwrap();
            let start = (file.len() as f64 * at) as usize;
            for (place, byte) in file.iter_mut().skip(start).zip(&bytes) {
                *place = *byte;
            }
            if cut {
                file.truncate(start);
            }
            fs::write(&path, file).unwrap();
            if let Err(error) = read(&path, &mapping()) {
                prop_assert!(!error.to_string().contains("06000"), "{}", error);
            }
        }
    }
}

#[test]
fn what_spreadsheets_do_to_values() {
    let files = Files::new();
    let path = files.path("a.xlsx");
    let mut book = Workbook::new();
    book.add_worksheet().write(0, 0, "read me first").unwrap();
    let page = book.add_worksheet().set_name("Export 1").unwrap();
    let day = Format::new().set_num_format("d mmm yyyy");
    page.write_row(2, 0, COLUMNS).unwrap();
    page.write_row(3, 0, ["A", "0612345678", "a@example.nl"]).unwrap();
    page.write(4, 0, 17).unwrap();
    page.write(4, 1, 612_345_678_i32).unwrap();
    page.write_with_format(4, 3, ExcelDateTime::from_ymd(2040, 2, 1).unwrap(), &day)
        .unwrap();
    page.write(5, 0, "C").unwrap();
    page.write(5, 1, Formula::new("\"06\"&12345679").set_result("0612345679"))
        .unwrap();
    page.write(5, 2, Formula::new("NA()").set_result("#N/A")).unwrap();
    page.write(6, 0, "D").unwrap();
    page.write(6, 1, 8_931_440_000_000_000_123.0).unwrap();
    // a number that was made a date is one no more; in the column of dates it is what it should be
    page.write(7, 0, "E").unwrap();
    page.write_with_format(7, 1, ExcelDateTime::from_ymd(2026, 3, 12).unwrap(), &day)
        .unwrap();
    page.write_with_format(8, 0, ExcelDateTime::from_ymd(2026, 3, 12).unwrap(), &day)
        .unwrap();
    page.write(8, 1, "0612345678").unwrap();
    book.save(&path).unwrap();

    let (rows, summary) = read(&path, &sheet("Export 1")).unwrap();
    assert_eq!(references(&rows), ["A", "17", "C"]);
    // row numbers are those of the spreadsheet
    assert_eq!(
        rejects(&rows),
        [
            (6, "mail", "cell-error"),
            (7, "phone", "number-rounded"),
            (7, "", "no-identifier"),
            (8, "phone", "cell-date"),
            (8, "", "no-identifier"),
            (9, "id", "cell-date"),
        ]
    );
    let record = rows[1].record.as_ref().unwrap();
    assert_eq!(record.expires, Some(jiff::civil::date(2040, 2, 1)));
    assert_eq!(record.identifiers[0].canonical(), "+31612345678");
    let warnings: Vec<_> = summary
        .warnings
        .iter()
        .map(|w| (w.code, w.column.as_str(), w.cells, w.first_row))
        .collect();
    assert_eq!(
        warnings,
        [
            (WarningKind::Numbers, "id", 1, 5),
            (WarningKind::Numbers, "phone", 2, 5),
            (WarningKind::Formulas, "phone", 1, 6),
            (WarningKind::Formulas, "mail", 1, 6),
        ]
    );
    assert!(summary.warnings[1].to_string().contains("leading zeros may be lost"));
    assert!(summary.read_as.iter().eq(["xlsx"]));

    assert!(fails(&path, &mapping()).contains("no column \"id\", \"mail\", \"phone\", \"until\""));
    assert_eq!(
        fails(&path, &sheet("Uitvoer")),
        ": no sheet \"Uitvoer\", which the mapping names; the file has \"Sheet1\", \"Export 1\""
    );
}

#[test]
fn a_cell_beside_the_table_is_told() {
    let files = Files::new();
    let path = files.path("a.xlsx");
    let mut book = Workbook::new();
    let page = book.add_worksheet();
    page.write_row(0, 0, COLUMNS).unwrap();
    page.write(1, 0, "A").unwrap();
    page.write(2, 8, "a remark").unwrap();
    book.save(&path).unwrap();
    assert!(fails(&path, &mapping()).starts_with(" row 3: 9 fields where the header has 5"));
}

#[test]
fn typed_columns_of_parquet() {
    let files = Files::new();
    let path = files.path("a.parquet");
    let fields = "required int64 id; optional int64 phone; optional group mail { required binary a (UTF8); } \
                  optional int32 until (DATE); required double note;";
    let mut writer = parquet_writer(&path, fields);
    let mut group = writer.next_row_group().unwrap();
    let mut place = 0;
    while let Some(mut column) = group.next_column().unwrap() {
        match place {
            0 => column.typed::<Int64Type>().write_batch(&[1, 2], None, None),
            1 => column
                .typed::<Int64Type>()
                .write_batch(&[612_345_678], Some(&[1, 0]), None),
            2 => column
                .typed::<ByteArrayType>()
                .write_batch(&["x".into()], Some(&[0, 1]), None),
            3 => column.typed::<Int32Type>().write_batch(&[25_598], Some(&[1, 0]), None),
            _ => column.typed::<DoubleType>().write_batch(&[0.5, f64::NAN], None, None),
        }
        .unwrap();
        column.close().unwrap();
        place += 1;
    }
    group.close().unwrap();
    writer.close().unwrap();

    let (rows, summary) = read(&path, &mapping()).unwrap();
    assert_eq!(
        rejects(&rows),
        [
            (1, "mail", "nested-value"),
            (2, "mail", "nested-value"),
            (2, "", "no-identifier")
        ]
    );
    let record = rows[0].record.as_ref().unwrap();
    assert_eq!(
        (record.reference.as_str(), record.identifiers[0].canonical()),
        ("1", "+31612345678")
    );
    assert_eq!(record.expires, Some(jiff::civil::date(2040, 2, 1)));
    assert_eq!(summary.warnings.len(), 2);

    let whole = fs::read(&path).unwrap();
    assert!(
        fails(&files.write("b.parquet", &whole[..whole.len() - 9]), &mapping()).contains("its footer cannot be read")
    );
}

#[test]
fn an_index_that_is_made_to_overflow() {
    let files = Files::new();
    // FileMetaData { version: 1, schema: [SchemaElement; count] }, each element a group of one, in thrift's compact protocol
    let with_index = |count: usize| {
        let length = u32::try_from(count).unwrap();
        let varint: Vec<u8> = [
            length & 0x7f | 0x80,
            (length >> 7) & 0x7f | 0x80,
            (length >> 14) & 0x7f | 0x80,
            length >> 21,
        ]
        .iter()
        .map(|byte| u8::try_from(*byte).unwrap())
        .collect();
        let mut index = vec![0x15, 0x02, 0x19, 0xfc];
        index.extend(varint);
        index.extend([0x48, 0x00, 0x15, 0x02, 0x00].repeat(count));
        index.extend([0x16, 0x00, 0x19, 0x0c, 0x00]);
        let size = u32::try_from(index.len()).unwrap().to_le_bytes();
        [b"PAR1".as_slice(), &index, &size, b"PAR1"].concat()
    };
    let error = fails(&files.write("deep.parquet", with_index(800_000)), &mapping());
    assert!(error.contains("its footer cannot be read"), "{error}");
    let error = fails(&files.write("large.parquet", with_index(900_000)), &mapping());
    assert!(error.contains("has an index of more than 4 MiB"), "{error}");
}

#[test]
fn files_that_are_something_else() {
    let files = Files::new();
    let ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".as_slice();
    let stream: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let encrypted = [ole, &vec![0; 70_000], &stream].concat();
    let open_document = [
        b"PK\x03\x04".as_slice(),
        &[0; 26],
        b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
    ]
    .concat();
    for (name, bytes, expected) in [
        (
            "old.xls",
            [ole, &[0; 600]].concat(),
            "Excel 97-2003 (.xls): open it and save it as XLSX",
        ),
        ("secret.xlsx", encrypted, "a spreadsheet with a password"),
        ("a.ods", open_document, "an OpenDocument spreadsheet"),
        (
            "a.csv.gz",
            b"\x1f\x8b\x08rest".to_vec(),
            "a compressed file: unpack it first",
        ),
        (
            "a.xlsx",
            b"PK\x03\x04 and no more".to_vec(),
            "its directory cannot be read: the file is damaged, cut off, or not xlsx",
        ),
        ("b.xlsx", b"id;phone\n".to_vec(), "its directory cannot be read"),
        ("b.parquet", b"PAR1rest".to_vec(), "its footer cannot be read"),
        ("c.csv", Vec::new(), "the file is empty"),
        ("c.xlsx", Vec::new(), "its directory cannot be read"),
    ] {
        let error = fails(&files.write(name, bytes), &mapping());
        assert!(error.contains(expected), "{name}{error}");
    }
    assert!(
        Import::open_path(&files.path("none.csv"), &mapping())
            .unwrap_err()
            .to_string()
            .ends_with("cannot be read")
    );
    // the bytes say what a file is, and the mapping has the last word
    let path = files.path("renamed.csv");
    xlsx(&path, &[["A", "0612345678", "", "", ""].map(String::from).to_vec()]);
    assert_eq!(references(&read(&path, &mapping()).unwrap().0), ["A"]);
    let forced = mapping().with_format(overlap_records::Format::Csv);
    assert!(fails(&path, &forced).contains("not a text file"));
}

#[test]
fn archives_that_are_made_to_fill_a_memory() {
    use std::io::Write as _;
    let files = Files::new();
    let archive = |name: &str, part: &str, content: &[u8]| {
        let path = files.path(name);
        let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        let deflated = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        zip.start_file(part, deflated).unwrap();
        zip.write_all(content).unwrap();
        zip.finish().unwrap();
        path
    };
    let bomb = archive("bomb.xlsx", "xl/worksheets/sheet1.xml", &vec![b' '; 40 << 20]);
    assert!(fails(&bomb, &mapping()).contains("unpacks to more than 300 times its size"));
    // one that lies about its size
    let mut lying = fs::read(archive("lie.xlsx", "xl/worksheets/sheet1.xml", &vec![b' '; 1 << 20])).unwrap();
    let size = (1_u32 << 20).to_le_bytes();
    let places: Vec<usize> = (0..lying.len() - 3).filter(|at| lying[*at..at + 4] == size).collect();
    for at in &places {
        lying[*at..at + 4].copy_from_slice(&1000_u32.to_le_bytes());
    }
    assert!(!places.is_empty());
    assert!(fails(&files.write("lie.xlsx", lying), &mapping()).contains("cannot be read: the file is damaged"));
    // and one that makes its reader reserve room for what is not there
    let texts = archive(
        "texts.xlsx",
        "xl/sharedStrings.xml",
        b"<sst uniqueCount=\"99999999999999\"></sst>",
    );
    assert!(fails(&texts, &mapping()).contains("its table of texts cannot be read"));
}

#[test]
fn directories() {
    let files = Files::new();
    let row = |id: &str| vec![[id, "0612345678", "", "", ""].map(String::from).to_vec()];
    files.write("b.csv", csv(&row("B")));
    files.write("a.jsonl", json(&row("A")));
    xlsx(&files.path("c.xlsx"), &row("C"));
    files.write("~$c.xlsx", "in use");
    files.write("readme.md", "no data");
    fs::create_dir(files.path("d.csv")).unwrap();
    let overlap_records::Files { read: paths, skipped } = Import::files(files.0.path()).unwrap();
    assert_eq!(skipped, ["d.csv", "readme.md"]);
    let mut summary = Summary::new("all".into());
    let mut found = Vec::new();
    for path in &paths {
        let (rows, part) = read(path, &mapping()).unwrap();
        found.extend(references(&rows).into_iter().map(str::to_owned));
        summary.merge(&part);
    }
    assert_eq!(found, ["A", "B", "C"]);
    assert_eq!((summary.rows, summary.records, summary.file.as_str()), (3, 3, "all"));
    assert!(summary.read_as.iter().eq(["csv utf-8", "jsonl utf-8", "xlsx"]));
    assert_eq!(Import::files(&files.path("b.csv")).unwrap().read, [files.path("b.csv")]);
    let empty = Import::files(&files.path("d.csv")).unwrap_err().to_string();
    assert!(empty.contains("no file in this directory ends in .csv"), "{empty}");
    assert!(Import::files(&files.path("nowhere")).is_err());
}
