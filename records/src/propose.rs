//! A first mapping for a file that nobody mapped yet, from the names of its columns and a sample of its values.
//!
//! It is a start, not an answer: what could not be told is said in comments and notes. No value goes into either.

mod order;
mod sample;
mod words;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use self::order::Order;
use self::sample::{Column, Sample};
use self::words::Meaning;
use crate::identifier::Hints;
use crate::import::{self, Format, Import, ImportError, RowSource};
use crate::kind::{Kind, Platform};
use crate::mapping::Mapping;
use crate::region::Region;

/// Kinds that values alone can tell, the surest first: they carry check digits or have a form that nothing else has.
const TELLING: [&str; 10] = [
    "iban", "email", "wallet", "url", "ip", "vin", "imei", "bsn", "imsi", "phone",
];

/// Of a column's values, in percent: enough to go by alone, and enough if its name says so.
const ENOUGH_ALONE: usize = 70;
const ENOUGH_WITH_NAME: usize = 20;

/// What to know of a file before looking into it.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Its format, where that is not to be detected.
    pub format: Option<Format>,
    /// The sheet of a workbook; the first unless given.
    pub sheet: Option<String>,
    /// Country of telephone numbers without country code, and of number plates.
    pub region: Region,
}

/// A mapping to look over.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The mapping file.
    pub toml: String,
    /// What to look at first, a sentence each.
    pub notes: Vec<String>,
}

impl Proposal {
    /// Looks into a file.
    ///
    /// # Errors
    ///
    /// - Those of [`Import::open_path`](crate::Import::open_path).
    /// - [`ImportError::NoHeader`]: the first row looks like data.
    /// - [`ImportError::NothingToMap`]: no column looks like one of identifiers.
    pub fn of_path(path: &Path, ask: &Ask) -> Result<Self, ImportError> {
        let name = Import::name_of(path);
        let rows = import::rows_of_path(path, &ask.mapping()).map_err(|fault| fault.in_file(&name))?;
        Self::new(rows, &name, ask)
    }

    /// Looks into CSV or JSON Lines that come from a stream.
    ///
    /// # Errors
    ///
    /// As [`Proposal::of_path`], and those of [`Import::open`](crate::Import::open).
    pub fn of_reader(reader: impl Read + Send, file_name: &str, ask: &Ask) -> Result<Self, ImportError> {
        let rows =
            import::rows_of_reader(reader, file_name, &ask.mapping()).map_err(|fault| fault.in_file(file_name))?;
        Self::new(rows, file_name, ask)
    }

    fn new(mut rows: Box<dyn RowSource + '_>, file: &str, ask: &Ask) -> Result<Self, ImportError> {
        let sample = Sample::read(&mut *rows).map_err(|fault| fault.in_file(file))?;
        Draft::new(sample, ask)
            .write()
            .ok_or_else(|| ImportError::NothingToMap { file: file.to_owned() })
    }
}

impl Ask {
    fn mapping(&self) -> Mapping {
        Mapping::blank(self.format, self.sheet.clone(), self.region)
    }
}

/// What each column is taken for.
struct Draft<'a> {
    ask: &'a Ask,
    sample: Sample,
    meanings: Vec<Option<Meaning>>,
    order: Order,
    notes: Vec<String>,
}

impl<'a> Draft<'a> {
    fn new(sample: Sample, ask: &'a Ask) -> Self {
        let mut draft = Self {
            ask,
            meanings: Vec::new(),
            order: Order::default(),
            notes: Vec::new(),
            sample,
        };
        let hints = Hints {
            region: ask.region,
            ..Hints::default()
        };
        for column in &draft.sample.columns {
            let meaning = judge(column, &hints, &mut draft.notes);
            draft.meanings.push(meaning);
        }
        draft.drop_repeats();
        // a file with given names calls the family name just name
        if draft.one(Meaning::Given).is_some() && draft.one(Meaning::Family).is_none() {
            for meaning in draft.meanings.iter_mut().filter(|one| **one == Some(Meaning::Name)) {
                *meaning = Some(Meaning::Family);
            }
        }
        draft.order_dates();
        draft
    }

    /// A mapping has one order of day and month: that of the column that matters most. What says otherwise is left out.
    fn order_dates(&mut self) {
        let dated = [Meaning::Expires, Meaning::Observed, Meaning::Born];
        for meaning in dated {
            let found = self.meanings.iter().position(|one| *one == Some(meaning));
            let Some((index, column)) = found.and_then(|index| Some((index, self.sample.columns.get(index)?))) else {
                continue;
            };
            let order = Order::of(column.dates());
            let name = quoted(&column.name);
            self.notes.extend(order.note(&name));
            match self.order.and(order) {
                Some(both) => self.order = both,
                None => {
                    self.notes.push(format!(
                        "column {name} has day and month the other way round than a column that matters more: left out, since a mapping \
                         has one order"
                    ));
                    self.meanings[index] = None;
                }
            }
        }
    }

    /// Only identifiers may stand in several columns: of the rest the first is taken.
    fn drop_repeats(&mut self) {
        let mut seen: Vec<Meaning> = Vec::new();
        for (column, meaning) in self.sample.columns.iter().zip(&mut self.meanings) {
            match *meaning {
                None | Some(Meaning::Nothing | Meaning::Kind(_)) => {}
                Some(one) if seen.contains(&one) => {
                    let name = quoted(&column.name);
                    self.notes.push(format!(
                        "column {name} seems to say the same as one before it: left out"
                    ));
                    *meaning = None;
                }
                Some(one) => seen.push(one),
            }
        }
    }

    fn write(mut self) -> Option<Proposal> {
        let identifiers = self.identifiers();
        if identifiers.is_empty() {
            return None;
        }
        let source = self.source();
        let reference = self.reference();
        let record = self.record(&reference);
        let mut toml = String::from(
            "# Proposed by `overlap dataset map`: look over every line. docs/mapping.md explains the keys.\n",
        );
        for note in &self.notes {
            let _ = writeln!(toml, "# Note: {note}.");
        }
        for section in ["\n", &source, &record, &identifiers] {
            toml.push_str(section);
        }
        let unused: Vec<String> = self.unused().filter(|name| *name != reference).map(quoted).collect();
        if !unused.is_empty() {
            let _ = write!(toml, "\n# not used: {}\n", unused.join(", "));
        }
        Some(Proposal {
            toml,
            notes: self.notes,
        })
    }

    fn source(&self) -> String {
        let mut text = String::from("[source]\n");
        if let Some(format) = self.ask.format {
            let _ = writeln!(text, "format = \"{format}\"");
        }
        if let Some(sheet) = &self.ask.sheet {
            let _ = writeln!(text, "sheet = {}", quoted(sheet));
        }
        let _ = writeln!(text, "region = \"{}\"", self.ask.region);
        text.push_str(self.order.toml());
        text.push('\n');
        text
    }

    fn record(&mut self, reference: &str) -> String {
        let mut text = String::from("[record]\n");
        let _ = writeln!(text, "reference = {}", quoted(reference));
        text.push_str(&self.roles());
        for (meaning, setting) in [
            (Meaning::Visibility, "visibility_column"),
            (Meaning::Observed, "observed"),
            (Meaning::Expires, "expires"),
            (Meaning::Origin, "origin"),
        ] {
            if let Some(column) = self.one(meaning) {
                let _ = writeln!(text, "{setting} = {}", quoted(&column.name));
            }
        }
        if self.one(Meaning::Visibility).is_none() {
            text.push_str("visibility = \"b\" # of every record; d withholds it from every query\n");
        }
        if self.one(Meaning::Expires).is_none() {
            text.push_str("# expires = \"...\" # no column seems to say until when a record may be held\n");
        }
        text
    }

    fn reference(&mut self) -> String {
        if let Some(column) = self.one(Meaning::Reference) {
            return column.name.clone();
        }
        if let Some(name) = self.key().map(|column| column.name.clone()) {
            let name_quoted = quoted(&name);
            self.notes.push(format!(
                "no column is called like a reference: {name_quoted} is a guess"
            ));
            return name;
        }
        self.notes.push(
            "no column can be the reference of its row: add one to the export and name it in `reference`".to_owned(),
        );
        "reference".to_owned()
    }

    /// The first column without another meaning whose values are all there and all different: identifiers are no references, since
    /// references are shown and logged.
    fn key(&self) -> Option<&Column> {
        let free = self.sample.columns.iter().zip(&self.meanings);
        let mut free = free.filter(|(_, meaning)| meaning.is_none()).map(|(column, _)| column);
        free.find(|column| !column.is_twin && !column.name.is_empty() && column.distinct().len() == self.sample.rows)
    }

    /// The role's column, with those of its words that are known ones; others might be data, and are only counted.
    fn roles(&mut self) -> String {
        let Some(column) = self.one(Meaning::Role) else {
            return "default_role = \"other\" # no column seems to say it\n".to_owned();
        };
        let mut text = format!("role = {}\n", quoted(&column.name));
        let words: BTreeSet<String> = column.distinct().into_iter().map(str::to_lowercase).collect();
        let unknown = words.iter().filter(|word| words::role(word).is_none()).count();
        let known = words.iter().filter_map(|word| Some((word, words::role(word)?)));
        let own: Vec<String> = known
            .filter(|(word, role)| *word != role.as_str())
            .map(|(word, role)| format!("{} = \"{role}\"", quoted(word)))
            .collect();
        if !own.is_empty() {
            let _ = writeln!(text, "roles = {{ {} }}", own.join(", "));
        }
        if unknown > 0 {
            let note = format!(
                "{unknown} words of column {} are no known role: add them to `roles`",
                quoted(&column.name)
            );
            self.notes.push(note);
        }
        text
    }

    fn identifiers(&self) -> String {
        let mut text = String::new();
        for kind in Kind::ALL {
            // handles by platform, since their columns may leave it out
            let platforms: BTreeSet<Option<Platform>> = self.of_kind(kind).map(|(_, platform)| platform).collect();
            for platform in platforms {
                let columns = self.of_kind(kind).filter(|(_, one)| *one == platform);
                let columns: Vec<String> = columns.map(|(column, _)| quoted(&column.name)).collect();
                let _ = writeln!(
                    text,
                    "\n[[identifier]]\nkind = \"{kind}\"\ncolumns = [{}]",
                    columns.join(", ")
                );
                if let Some(platform) = platform {
                    let _ = writeln!(text, "platform = \"{platform}\"");
                }
                text.push_str(&self.with_kind(kind));
            }
            if kind == Kind::Document && self.of_kind(kind).next().is_none() && self.one(Meaning::Mrz).is_some() {
                let _ = writeln!(text, "\n[[identifier]]\nkind = \"document\"");
                text.push_str(&self.with_kind(kind));
            }
        }
        text.push_str(&self.address());
        text.push_str(&self.person());
        text
    }

    /// The columns of one kind, those of handles with the platform that their names say.
    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&Column, Option<Platform>)> {
        self.all(Meaning::Kind(kind.as_str())).map(move |column| {
            let platform = (kind == Kind::Handle).then(|| words::platform(&column.name));
            (column, platform.flatten())
        })
    }

    /// The columns that go with those of a kind.
    fn with_kind(&self, kind: Kind) -> String {
        match kind {
            Kind::Plate => self.parts(&[(Meaning::PlateCountry, "country_column")]),
            Kind::Document => self.parts(&[(Meaning::Mrz, "mrz"), (Meaning::Issuer, "issuer_column")]),
            _ => String::new(),
        }
    }

    fn address(&self) -> String {
        let parts = [
            (Meaning::Postcode, "postcode"),
            (Meaning::HouseNumber, "house_number"),
            (Meaning::Addition, "addition"),
        ];
        if self.one(Meaning::Postcode).is_none() || self.one(Meaning::HouseNumber).is_none() {
            return String::new();
        }
        format!("\n[[identifier]]\nkind = \"address\"\n{}", self.parts(&parts))
    }

    fn person(&self) -> String {
        let names = [
            (Meaning::Name, "name"),
            (Meaning::Given, "given"),
            (Meaning::Family, "family"),
        ];
        if names.iter().all(|(meaning, _)| self.one(*meaning).is_none()) {
            return String::new();
        }
        let parts = [
            (Meaning::Particle, "particle"),
            (Meaning::Born, "born"),
            (Meaning::Sex, "sex"),
            (Meaning::Postcode, "postcode"),
            (Meaning::HouseNumber, "house_number"),
            (Meaning::Street, "street"),
            (Meaning::Place, "place"),
        ];
        format!(
            "\n[[identifier]]\nkind = \"person\"\n{}{}",
            self.parts(&names),
            self.parts(&parts)
        )
    }

    fn parts(&self, parts: &[(Meaning, &str)]) -> String {
        let lines = parts.iter().filter_map(|(meaning, setting)| {
            let column = self.one(*meaning)?;
            Some(format!("{setting} = {}\n", quoted(&column.name)))
        });
        lines.collect()
    }

    /// The first column of that meaning.
    fn one(&self, meaning: Meaning) -> Option<&Column> {
        self.all(meaning).next()
    }

    fn all(&self, meaning: Meaning) -> impl Iterator<Item = &Column> {
        let columns = self.sample.columns.iter().zip(&self.meanings);
        columns
            .filter(move |(_, one)| **one == Some(meaning))
            .map(|(column, _)| column)
    }

    fn unused(&self) -> impl Iterator<Item = &str> {
        let columns = self.sample.columns.iter().zip(&self.meanings);
        columns
            .filter(|(column, meaning)| matches!(meaning, None | Some(Meaning::Nothing)) && !column.name.is_empty())
            .map(|(column, _)| column.name.as_str())
    }
}

/// What a column holds, by its name where its values do not speak against it, else by its values.
fn judge(column: &Column, hints: &Hints, notes: &mut Vec<String>) -> Option<Meaning> {
    if column.name.is_empty() {
        return None;
    }
    let name = quoted(&column.name);
    if column.is_twin {
        notes.push(format!(
            "column {name} stands in the header more than once: rename one of them to use it"
        ));
        return None;
    }
    let hints = &Hints {
        platform: words::platform(&column.name),
        ..*hints
    };
    let percent = |kind: Kind| match column.values.len() {
        0 => 100,
        all => 100 * column.accepted(kind, hints) / all,
    };
    match words::meaning(&column.name) {
        Some(Meaning::Kind(word)) => {
            let kind = word.parse::<Kind>().ok()?;
            let accepted = percent(kind);
            if accepted >= ENOUGH_WITH_NAME {
                if accepted < ENOUGH_ALONE {
                    notes.push(format!(
                        "only {accepted} % of column {name} are of kind {kind}: look at the rejects of `--check`"
                    ));
                }
                return Some(Meaning::Kind(word));
            }
            notes.push(format!(
                "column {name} is called like kind {kind}, but {accepted} % of its values are: left out"
            ));
        }
        Some(meaning) => return Some(meaning),
        None => {}
    }
    if column.values.is_empty() {
        return None;
    }
    let best = TELLING
        .iter()
        .filter_map(|word| Some((*word, percent(word.parse().ok()?))))
        .reduce(|best, next| if next.1 > best.1 { next } else { best });
    let (word, accepted) = best.filter(|(_, accepted)| *accepted >= ENOUGH_ALONE)?;
    notes.push(format!(
        "column {name} is taken for kind {word} by its values alone ({accepted} % fit)"
    ));
    Some(Meaning::Kind(word))
}

/// A name as a TOML string.
fn quoted(name: &str) -> String {
    toml::Value::String(name.to_owned()).to_string()
}
