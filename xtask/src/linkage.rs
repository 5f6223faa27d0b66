//! How well persons are matched, measured on public test data.

mod outcome;
mod pairs;
mod psi;
mod set;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use comfy_table::{CellAlignment, Table, presets};
use overlap_records::Profile;

use self::outcome::Outcome;

/// What the command was asked.
struct Options {
    data: PathBuf,
    /// Whether another directory than the usual one was named: then FEBRL 4 is left out.
    is_own_data: bool,
    profile: Profile,
    plain: bool,
    json: bool,
    patterns: Option<PathBuf>,
}

impl Options {
    fn parse(root: &Path, args: &[String]) -> Result<Self> {
        let mut options = Self {
            data: root.join("../shared/data/linkage"),
            is_own_data: false,
            profile: Profile::eu_thb_1(),
            plain: false,
            json: false,
            patterns: None,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut path = || {
                args.next()
                    .map(PathBuf::from)
                    .with_context(|| format!("`{arg}` needs a path"))
            };
            match arg.as_str() {
                "--plain" => options.plain = true,
                "--json" => options.json = true,
                "--data" => (options.data, options.is_own_data) = (path()?, true),
                "--patterns" => options.patterns = Some(path()?),
                "--profile" => {
                    let path = path()?;
                    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                    options.profile = Profile::parse(&text)?;
                }
                _ => bail!(
                    "`linkage` knows --plain, --json, --data DIR, --profile FILE and --patterns FILE, not `{arg}`"
                ),
            }
        }
        Ok(options)
    }
}

/// Matches every test set that is there and prints how well it went.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    let options = Options::parse(root, args)?;
    let mut sets = Vec::new();
    if !options.is_own_data {
        match set::febrl4(&root.join("target/linkage")) {
            Ok(set) => sets.push(set),
            Err(error) => eprintln!("FEBRL4 is left out, since its Python package cannot be had: {error:#}"),
        }
    }
    match set::directories(&options.data) {
        Ok(directories) => {
            for directory in directories {
                sets.push(set::read(&directory)?);
            }
        }
        Err(error) if options.is_own_data => return Err(error),
        Err(error) => eprintln!("the other test sets are left out: {error:#}; name their directory with --data"),
    }
    if sets.is_empty() {
        bail!(
            "no test set: expected directories with A.csv, B.csv and links.csv in {}",
            options.data.display()
        );
    }
    let mut outcomes = Vec::new();
    let mut patterns = String::new();
    for set in &sets {
        let (outcome, pairs) = Outcome::of(set, &options.profile, options.plain)?;
        if options.patterns.is_some() {
            pairs::patterns(set, &options.profile, &pairs, &mut patterns);
        }
        outcomes.push(outcome);
    }
    if let Some(path) = &options.patterns {
        fs::write(path, patterns).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if options.json {
        let sets: Vec<_> = outcomes.iter().map(Outcome::to_json).collect();
        println!(
            "{:#}",
            serde_json::json!({ "profile": options.profile.name(), "sets": sets })
        );
    } else {
        println!("{}", table(&outcomes));
    }
    Ok(())
}

fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "set",
        "records",
        "links",
        "precision",
        "recall",
        "F1 raw",
        "peer raw",
        "reached",
        "F1 1-1",
        "keys/record",
        "seconds",
    ]);
    for outcome in outcomes {
        let other = |figure: Option<f64>| figure.map_or("-".to_owned(), |figure| format!("{figure:.4}"));
        table.add_row([
            outcome.set.clone(),
            format!("{} x {}", outcome.records.0, outcome.records.1),
            outcome.links.to_string(),
            format!("{:.4}", outcome.precision),
            format!("{:.4}", outcome.recall),
            format!("{:.4}", outcome.f1_raw),
            other(outcome.others().map(|(peer, _)| peer)),
            other(outcome.others().map(|(_, reached)| reached)),
            format!("{:.4}", outcome.f1_one_to_one),
            format!("{:.1}", outcome.keys_per_record),
            format!("{:.1}", outcome.seconds),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
