//! Tables: CSV, XLSX, and CSV for i2 Analyst's Notebook.

use rust_xlsxwriter::{Format, Workbook, Worksheet};

use super::ExportError;
use crate::picture::Picture;

/// A table of text and counts.
struct Table {
    name: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
}

#[derive(Clone)]
enum Cell {
    Text(String),
    Count(Option<u64>),
}

/// All counts as one table in CSV: `what` is `unique`, `combination`, `roles` or `month`; agencies and roles are joined by ` + `. Without
/// agencies, roles and months are those of all subjects, whoever has them.
///
/// # Errors
/// [`ExportError::Csv`].
pub fn csv(picture: &Picture) -> Result<Vec<u8>, ExportError> {
    let mut rows = vec![["kind", "what", "agencies", "roles", "month", "count"].map(str::to_owned)];
    for kind in &picture.kinds {
        let mut row = |what: &str, agencies: &str, roles: &str, month: &str, count: String| {
            rows.push([kind.kind.as_str(), what, agencies, roles, month, &count].map(str::to_owned));
        };
        row(
            "unique",
            "",
            "",
            "",
            kind.unique.map(|count| count.to_string()).unwrap_or_default(),
        );
        for one in &kind.combinations {
            row("combination", &one.agencies.join(" + "), "", "", one.count.to_string());
        }
        for (agencies, one) in kind.role_counts() {
            let (agencies, roles) = (agencies.join(" + "), one.roles.join(" + "));
            row("roles", &agencies, &roles, "", one.count.to_string());
            for month in &one.months {
                row("month", &agencies, &roles, &month.month, month.count.to_string());
            }
        }
    }
    written(rows)
}

/// One line for each link between a shared subject and an agency, as the import wizard of i2 Analyst's Notebook takes it: entity, entity
/// and link.
///
/// # Errors
/// [`ExportError::NothingShared`], [`ExportError::Csv`].
pub fn i2(picture: &Picture) -> Result<Vec<u8>, ExportError> {
    if picture.shared.is_empty() {
        return Err(ExportError::NothingShared);
    }
    let heads = [
        "Subject Type",
        "Subject Identity",
        "Roles",
        "Agency Type",
        "Agency Identity",
        "Link Type",
        "Link Label",
        "Source",
        "Date",
    ];
    let mut rows = vec![heads.map(str::to_owned)];
    let made = picture.made.get(..10).unwrap_or_default();
    for one in &picture.shared {
        let roles = one.roles.join(", ");
        for agency in &one.agencies {
            let row = [
                &one.kind,
                &one.pseudonym,
                &roles,
                "Agency",
                agency,
                "Known To",
                "known to",
                &picture.id,
                made,
            ];
            rows.push(row.map(str::to_owned));
        }
    }
    written(rows)
}

fn written<const N: usize>(rows: Vec<[String; N]>) -> Result<Vec<u8>, ExportError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row.map(plain))?;
    }
    writer
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()).into())
}

/// Spreadsheets run what begins as a formula.
fn plain(text: String) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text,
    }
}

/// A workbook with a sheet for what the picture is of, for combinations, roles, months and, in operational pictures, shared subjects.
///
/// # Errors
/// [`ExportError::Xlsx`].
pub fn xlsx(picture: &Picture) -> Result<Vec<u8>, ExportError> {
    let mut book = Workbook::new();
    for table in tables(picture) {
        sheet(book.add_worksheet(), &table)?;
    }
    Ok(book.save_to_buffer()?)
}

fn sheet(sheet: &mut Worksheet, table: &Table) -> Result<(), ExportError> {
    sheet.set_name(table.name)?;
    let bold = Format::new().set_bold();
    for (column, head) in (0..).zip(table.columns) {
        sheet.write_with_format(0, column, *head, &bold)?;
    }
    for (row, cells) in (1..).zip(&table.rows) {
        for (column, cell) in (0..).zip(cells) {
            match cell {
                Cell::Text(text) => sheet.write_string(row, column, text)?,
                Cell::Count(Some(count)) => sheet.write_number(row, column, *count as f64)?,
                Cell::Count(None) => sheet.write_string(row, column, "withheld")?,
            };
        }
    }
    sheet.set_freeze_panes(1, 0)?;
    sheet.autofit();
    Ok(())
}

/// Whose subjects are counted.
fn whose(agencies: &[String]) -> String {
    match agencies {
        [] => "all".to_owned(),
        named => named.join(" + "),
    }
}

fn tables(picture: &Picture) -> Vec<Table> {
    let text = |text: &str| Cell::Text(text.to_owned());
    let mut about = vec![
        vec![text("picture"), text(&picture.id)],
        vec![text("made"), text(&picture.made)],
        vec![text("expires"), text(&picture.expires)],
        vec![text("form"), text(picture.form.name())],
        vec![text("agreement"), text(&picture.agreement)],
        vec![text("purpose"), text(&picture.purpose)],
        vec![text("case reference"), text(&picture.case_reference)],
        vec![text("roles"), text(&picture.roles.join(", "))],
        vec![text("since"), text(picture.since.as_deref().unwrap_or("all"))],
        vec![text("counts withheld below"), Cell::Count(Some(picture.min_count))],
    ];
    let agencies = picture
        .agencies
        .iter()
        .map(|agency| vec![text("agency"), text(&agency.name)]);
    about.extend(agencies);
    let dropped = picture.dropped.iter();
    about.extend(dropped.map(|one| vec![text("left out"), Cell::Text(format!("{}: {}", one.name, one.why))]));
    let (mut kinds, mut combinations, mut roles, mut months) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for kind in &picture.kinds {
        kinds.push(vec![
            text(&kind.kind),
            Cell::Count(kind.unique),
            Cell::Count(Some(kind.shared())),
        ]);
        for one in &kind.combinations {
            let number = one.agencies.len() as u64;
            let row = vec![
                text(&kind.kind),
                Cell::Text(one.agencies.join(" + ")),
                Cell::Count(Some(number)),
                Cell::Count(Some(one.count)),
            ];
            combinations.push(row);
        }
        for (agencies, one) in kind.role_counts() {
            let start = [
                text(&kind.kind),
                text(&whose(agencies)),
                Cell::Text(one.roles.join(" + ")),
            ];
            let row = |rest: Vec<Cell>| start.iter().cloned().chain(rest).collect();
            roles.push(row(vec![Cell::Count(Some(one.count))]));
            let of_months = one.months.iter();
            months.extend(of_months.map(|month| row(vec![text(&month.month), Cell::Count(Some(month.count))])));
        }
    }
    let table = |name, columns, rows| Table { name, columns, rows };
    let mut tables = vec![
        table("Picture", &["what", "value"][..], about),
        table("Kinds", &["kind", "unique", "shared, as far as told"], kinds),
        table(
            "Combinations",
            &["kind", "agencies", "how many agencies", "subjects"],
            combinations,
        ),
        table("Roles", &["kind", "agencies", "roles", "subjects"], roles),
        table("Months", &["kind", "agencies", "roles", "month", "subjects"], months),
    ];
    if !picture.shared.is_empty() {
        let rows = picture.shared.iter().map(|one| {
            vec![
                text(&one.pseudonym),
                text(&one.kind),
                Cell::Text(one.agencies.join(" + ")),
                Cell::Text(one.roles.join(" + ")),
            ]
        });
        tables.push(table(
            "Shared",
            &["pseudonym", "kind", "agencies", "roles"],
            rows.collect(),
        ));
    }
    tables
}
