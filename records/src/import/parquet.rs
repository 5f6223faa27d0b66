//! Apache Parquet, row group by row group; only the columns that the mapping names are decoded.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::{Timestamp, ToSpan, civil};
use parquet::basic::{Compression, Repetition};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;
use zeroize::Zeroizing;

use super::cells::{Mark, RowBuffer, column_name, decimal};
use super::error::{Fault, Limit, Unsupported};
use super::feed::{Feed, Halt, Sink};
use super::format::Format;
use crate::rejection::Rejection;

/// Largest row group in bytes, before compression or after.
pub const MAX_ROW_GROUP: i64 = 1 << 30;

/// Largest index at the end of a file, in bytes: room for some 25,000 columns of row groups.
pub const MAX_FOOTER: u64 = 4 << 20;

/// The library reads nested types by calling itself: room for as many as fit into the index.
const STACK: usize = 1 << 30;

/// Opens a file; of other columns than the wanted ones only the names are read.
pub(crate) fn open(file: File, wanted: Option<BTreeSet<String>>) -> io::Result<Feed> {
    Feed::start(Format::Parquet, STACK, move |sink| read(file, wanted.as_ref(), sink))
}

fn read(mut file: File, wanted: Option<&BTreeSet<String>>, sink: &mut Sink) -> Result<(), Halt> {
    let length = file.metadata()?.len();
    check_footer(&mut file)?;
    let reader = SerializedFileReader::new(file).map_err(|_| damaged("its footer"))?;
    check(reader.metadata())?;
    let metadata = reader.metadata().file_metadata();
    let rows = u64::try_from(metadata.num_rows()).unwrap_or(0).max(1);
    let schema = metadata.schema();
    let mut header = RowBuffer::new(1);
    let (mut places, mut fields, mut nested) = (Vec::new(), Vec::new(), Vec::new());
    for (place, field) in schema.get_fields().iter().enumerate() {
        header.push(field.name(), Mark::default())?;
        if wanted.is_none_or(|wanted| wanted.contains(&column_name(field.name()))) {
            // lists and groups are not read at all: one of them can be larger than memory
            let info = field.get_basic_info();
            if field.is_group() || (info.has_repetition() && info.repetition() == Repetition::REPEATED) {
                nested.push(place);
            } else {
                places.push(place);
                fields.push(Arc::clone(field));
            }
        }
    }
    let width = header.len();
    sink.send(header)?;
    if fields.is_empty() {
        return Ok(());
    }
    let projection = Type::group_type_builder(schema.name())
        .with_fields(fields)
        .build()
        .map_err(|_| damaged("its schema"))?;
    let rows_of_file = RowIter::from_file_into(Box::new(reader))
        .project(Some(projection))
        .map_err(|_| damaged("its schema"))?;
    for (index, row) in (1_u64..).zip(rows_of_file) {
        let row = row.map_err(|_| damaged("its data"))?;
        let mut cells = RowBuffer::new(index);
        let mut nested = nested.iter().peekable();
        for (place, (_, field)) in places.iter().zip(row.get_column_iter()) {
            while let Some(before) = nested.next_if(|nested| *nested < place) {
                cells.pad(*before)?;
                cells.push("", Mark::bad(Rejection::NestedValue))?;
            }
            cells.pad(*place)?;
            let (text, mark) = cell(field);
            cells.push(&text, mark)?;
        }
        for place in nested {
            cells.pad(*place)?;
            cells.push("", Mark::bad(Rejection::NestedValue))?;
        }
        cells.pad(width)?;
        let done = u128::from(length) * u128::from(index.min(rows)) / u128::from(rows);
        sink.progress()
            .store(u64::try_from(done).unwrap_or(length), Ordering::Relaxed);
        sink.send(cells)?;
    }
    Ok(())
}

/// The index is read as a whole, before anything in it can be judged.
fn check_footer(file: &mut File) -> Result<(), Halt> {
    let mut end = [0; 8];
    file.seek(SeekFrom::End(-8)).map_err(|_| damaged("its footer"))?;
    file.read_exact(&mut end)?;
    file.rewind()?;
    let [a, b, c, d, magic @ ..] = end;
    if magic == *b"PAR1" && u64::from(u32::from_le_bytes([a, b, c, d])) > MAX_FOOTER {
        return Err(Fault::from(Limit::Footer).into());
    }
    Ok(())
}

/// What would not fit into memory, or cannot be decompressed, is refused before anything is read.
fn check(metadata: &ParquetMetaData) -> Result<(), Fault> {
    for group in metadata.row_groups() {
        let sizes = [group.total_byte_size(), group.compressed_size()];
        if sizes.iter().any(|size| *size > MAX_ROW_GROUP) {
            return Err(Limit::RowGroup.into());
        }
        // the library unpacks gzip and the old LZ4 to wherever they end, not to what the page says
        let is_unknown = |codec| {
            !matches!(
                codec,
                Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) | Compression::LZ4_RAW
            )
        };
        if group.columns().iter().any(|column| is_unknown(column.compression())) {
            return Err(Unsupported::Codec.into());
        }
    }
    Ok(())
}

fn cell(field: &Field) -> (Zeroizing<String>, Mark) {
    let text = |text: String| (Zeroizing::new(text), Mark::default());
    let number = |text: String| (Zeroizing::new(text), Mark::NUMBER);
    let float = |value: f64| match decimal(value) {
        Ok(text) => (text, Mark::NUMBER),
        Err(reason) => bad(reason),
    };
    match field {
        Field::Null => text(String::new()),
        Field::Bool(value) => text(value.to_string()),
        Field::Byte(value) => number(value.to_string()),
        Field::Short(value) => number(value.to_string()),
        Field::Int(value) => number(value.to_string()),
        Field::Long(value) => number(value.to_string()),
        Field::UByte(value) => number(value.to_string()),
        Field::UShort(value) => number(value.to_string()),
        Field::UInt(value) => number(value.to_string()),
        Field::ULong(value) => number(value.to_string()),
        Field::Float16(value) => float(value.to_f64()),
        Field::Float(value) => float(f64::from(*value)),
        Field::Double(value) => float(*value),
        Field::Decimal(_) => {
            let decimal = Zeroizing::new(field.to_string());
            let whole = decimal
                .contains('.')
                .then(|| decimal.trim_end_matches('0').trim_end_matches('.'));
            number(whole.unwrap_or(&decimal).to_owned())
        }
        Field::Str(value) => (Zeroizing::new(value.clone()), Mark::default()),
        Field::Bytes(value) => match std::str::from_utf8(value.data()) {
            Ok(value) => text(value.to_owned()),
            Err(_) => bad(Rejection::NotText),
        },
        Field::Date(days) => match civil::date(1970, 1, 1).checked_add(i64::from(*days).days()) {
            Ok(date) => (Zeroizing::new(date.to_string()), Mark::DATE),
            Err(_) => bad(Rejection::DateImpossible),
        },
        Field::TimestampMillis(value) => time(Timestamp::from_millisecond(*value)),
        Field::TimestampMicros(value) => time(Timestamp::from_microsecond(*value)),
        Field::TimeMillis(_) | Field::TimeMicros(_) => text(field.to_string()),
        Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_) => bad(Rejection::NestedValue),
    }
}

fn time(time: Result<Timestamp, jiff::Error>) -> (Zeroizing<String>, Mark) {
    match time {
        Ok(time) => (Zeroizing::new(time.to_string()), Mark::DATE),
        Err(_) => bad(Rejection::DateImpossible),
    }
}

fn bad(reason: Rejection) -> (Zeroizing<String>, Mark) {
    (Zeroizing::default(), Mark::bad(reason))
}

fn damaged(part: &'static str) -> Fault {
    Fault::Damaged {
        format: Format::Parquet,
        part,
    }
}
