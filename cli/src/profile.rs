//! `overlap profile`.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use overlap_records::{DateOrder, Explanation, Hints, Identifier, Kind, Platform, Profile, Region, Rejection, explain};
use serde::Serialize;

use crate::{
    client::Failure,
    output::{Output, table},
};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show the rules of a profile, and the hash that two agencies have to have in common
    Show {
        #[command(flatten)]
        which: Which,
        /// Print the profile's text itself
        #[arg(long)]
        toml: bool,
        /// Print the hash alone, as an agreement's profile_hash wants it
        #[arg(long, conflicts_with = "toml")]
        hash: bool,
    },
    /// Check a profile file: unknown rules, kinds and features are named
    Check {
        /// The file
        file: PathBuf,
    },
    /// Show what a value becomes, step by step, and what is compared
    ///
    /// Nothing leaves this command: no node is asked. Give - to read the value from standard input, so that it stays out of your
    /// shell's history.
    #[command(
        after_help = "Examples:\n  overlap profile explain '+31 (0)6 12345678' --kind phone\n  overlap profile explain 'Jan van den Berg|1985-02-23' --kind person"
    )]
    Explain {
        /// The value, or - for standard input
        value: String,
        /// Its kind
        #[arg(long)]
        kind: String,
        /// Country of telephone numbers without a country code, of plates, documents and other numbers
        #[arg(long, default_value = "NL")]
        region: String,
        /// Platform of a handle that does not name its own, such as telegram
        #[arg(long)]
        platform: Option<String>,
        /// Order of dates: dmy, mdy or ymd
        #[arg(long, default_value = "ymd", value_parser = ["dmy", "mdy", "ymd"])]
        dates: String,
        #[command(flatten)]
        which: Which,
    },
}

#[derive(clap::Args)]
pub(crate) struct Which {
    /// File of the profile [default: the one that this version has built in]
    #[arg(long = "profile", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Which {
    fn load(&self) -> Result<Profile, Failure> {
        self.file.as_deref().map_or_else(|| Ok(Profile::eu_thb_1()), load)
    }
}

/// A profile in JSON.
#[derive(Serialize)]
struct ProfileShape {
    name: String,
    hash: String,
    kinds: Vec<KindShape>,
    /// Score from which a pair of persons is a candidate.
    threshold: f64,
    /// An item of a person that more records hold is not compared.
    common: u32,
    keys: Vec<KeyShape>,
}

#[derive(Serialize)]
struct KindShape {
    kind: String,
    form: String,
}

#[derive(Serialize)]
struct KeyShape {
    name: String,
    kind: String,
    /// Whether it takes part where matches are counted.
    counts: bool,
    rule: String,
}

/// One thing that was done to a value.
#[derive(Serialize)]
struct StepShape {
    what: String,
    text: String,
}

/// An explanation in JSON.
#[derive(Serialize)]
struct ExplainShape {
    kind: String,
    steps: Vec<StepShape>,
    canonical: Option<String>,
    /// Why there is none: code and words.
    code: Option<&'static str>,
    rejected: Option<String>,
    match_keys: Vec<MatchKeyShape>,
}

#[derive(Serialize)]
struct MatchKeyShape {
    name: String,
    text: String,
}

pub(crate) fn run(command: Command, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Show { which, toml: true, .. } => {
            let text = match &which.file {
                None => Profile::SHIPPED.to_owned(),
                Some(file) => read(file)?,
            };
            output.writer().write_all(text.as_bytes()).map_err(Failure::internal)
        }
        Command::Show { which, hash, .. } => {
            let shape = ProfileShape::of(&which.load()?);
            if hash && !output.json() {
                return output.say(&shape.hash);
            }
            output.print(&shape, |out| print(out, &shape))
        }
        Command::Check { file } => {
            let shape = ProfileShape::of(&load(&file)?);
            output.print(&shape, |out| {
                writeln!(out, "{}: good: {} ({})", file.display(), shape.name, shape.hash)
            })
        }
        Command::Explain {
            value,
            kind,
            region,
            platform,
            dates,
            which,
        } => {
            let hints = Hints {
                region: region.parse::<Region>().map_err(Failure::usage)?,
                dates: match dates.as_str() {
                    "dmy" => DateOrder::Dmy,
                    "mdy" => DateOrder::Mdy,
                    _ => DateOrder::Ymd,
                },
                platform: platform
                    .map(|name| name.parse::<Platform>())
                    .transpose()
                    .map_err(Failure::usage)?,
            };
            let kind = kind.parse::<Kind>().map_err(Failure::usage)?;
            let shape = explained(&which.load()?, kind, &given(value)?, &hints);
            output.print(&shape, |out| print_explained(out, &shape))
        }
    }
}

/// The value itself, or one line of standard input.
fn given(value: String) -> Result<String, Failure> {
    if value != "-" {
        return Ok(value);
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(Failure::usage)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| Failure::usage(anyhow::anyhow!("{}: {error}", file.display())))
}

/// A profile from its file.
pub(crate) fn load(file: &Path) -> Result<Profile, Failure> {
    let parsed = Profile::parse(&read(file)?);
    parsed.map_err(|error| Failure::usage(anyhow::anyhow!("{}: {error}", file.display())))
}

fn explained(profile: &Profile, kind: Kind, value: &str, hints: &Hints) -> ExplainShape {
    let Explanation { steps, outcome: result } = explain(kind, value, hints);
    let keys = |identifier: &Identifier| {
        let keys = identifier.match_keys(profile).into_iter();
        keys.filter_map(|key| {
            Some(MatchKeyShape {
                name: profile.keys().get(usize::from(key.key()))?.name().to_owned(),
                text: String::from_utf8_lossy(key.as_bytes()).into_owned(),
            })
        })
        .collect()
    };
    ExplainShape {
        kind: kind.to_string(),
        steps: steps
            .into_iter()
            .map(|step| StepShape {
                what: step.what,
                text: step.text.to_string(),
            })
            .collect(),
        canonical: result.as_ref().ok().map(|one| one.canonical().to_owned()),
        code: result.as_ref().err().map(Rejection::code),
        rejected: result.as_ref().err().map(ToString::to_string),
        match_keys: result.as_ref().map(keys).unwrap_or_default(),
    }
}

impl ProfileShape {
    fn of(profile: &Profile) -> Self {
        let forms = profile.forms().map(|(kind, form)| KindShape {
            kind: kind.to_string(),
            form: form.to_owned(),
        });
        let keys = profile.keys().iter().map(|key| KeyShape {
            name: key.name().to_owned(),
            kind: key.kind().to_string(),
            counts: key.counts(),
            rule: key.description().to_owned(),
        });
        Self {
            name: profile.name().to_owned(),
            hash: hex::encode(profile.hash()),
            kinds: forms.collect(),
            threshold: profile.threshold(),
            common: profile.common(),
            keys: keys.collect(),
        }
    }
}

fn print(out: &mut dyn Write, shape: &ProfileShape) -> io::Result<()> {
    writeln!(out, "{} ({})", shape.name, shape.hash)?;
    let mut kinds = table(["kind", "normal form"]);
    for kind in &shape.kinds {
        kinds.add_row([&kind.kind, &kind.form]);
    }
    writeln!(out, "{kinds}")?;
    let persons: Vec<_> = shape.keys.iter().filter(|key| key.kind == "person").collect();
    if persons.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "Persons are compared by these keys; a pair of records with a score of {} or more is a candidate:",
        shape.threshold
    )?;
    let mut keys = table(["match key", "equal are", "counts"]);
    for key in persons {
        let counts = if key.counts { "yes" } else { "" };
        keys.add_row([key.name.as_str(), key.rule.as_str(), counts]);
    }
    writeln!(out, "{keys}")?;
    writeln!(
        out,
        "An item of a person that more than {} records hold is not compared.",
        shape.common
    )
}

fn print_explained(out: &mut dyn Write, shape: &ExplainShape) -> io::Result<()> {
    if !shape.steps.is_empty() {
        let mut steps = table(["step", "text"]);
        for step in &shape.steps {
            steps.add_row([&step.what, &step.text]);
        }
        writeln!(out, "{steps}")?;
    }
    match (&shape.canonical, &shape.rejected) {
        (Some(canonical), _) => writeln!(out, "{} in canonical form: {canonical}", shape.kind)?,
        (None, Some(reason)) => {
            let code = shape.code.unwrap_or_default();
            return writeln!(out, "rejected: {reason} ({code})");
        }
        (None, None) => {}
    }
    if shape.kind == "person" {
        writeln!(
            out,
            "In the keys a name \"as it sounds\" is the first of its namesakes (Jan, Ivan, John), with letters that sound alike written alike."
        )?;
    }
    let mut keys = table(["match key", "what is compared, as a hash"]);
    for key in &shape.match_keys {
        keys.add_row([&key.name, &key.text]);
    }
    writeln!(out, "{keys}")
}
