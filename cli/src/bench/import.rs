//! Reading an export: normalisation and hashing alone, on one core, then into a real node.

use std::{
    fs::File,
    hint::black_box,
    io::{self, BufWriter, Write},
    path::Path,
    time::Instant,
};

use anyhow::{Result, ensure};
use indicatif::ProgressBar;
use overlap_psi::Item;
use overlap_records::{Import, Mapping, Profile};
use serde::Serialize;

use super::Hardware;
use crate::{
    client::{self, Failure},
    dataset,
    fleet::{DATASET, Fleet},
    output::{Output, grouped, table},
    process,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rows of the export, each with four identifiers: phone, e-mail, IBAN, citizen service number
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    rows: u32,
}

/// What the benchmark measures, in JSON.
#[derive(Serialize)]
struct Shape {
    rows: u64,
    identifiers: u64,
    /// Normalising and hashing to items, on one core, without storage.
    normalise_seconds: f64,
    normalise_rows_per_second: f64,
    /// The same file into a node: that, and hashing to the group, sealing and writing, over the operator port.
    import_seconds: f64,
    import_rows_per_second: f64,
    /// CPU of the node's process meanwhile.
    node_cpu_seconds: f64,
    node_peak_memory_bytes: u64,
    hardware: Hardware,
}

const MAPPING: &str = r#"
[record]
reference = "id"
[[identifier]]
kind = "phone"
columns = ["phone"]
[[identifier]]
kind = "email"
columns = ["email"]
[[identifier]]
kind = "iban"
columns = ["iban"]
[[identifier]]
kind = "bsn"
columns = ["bsn"]
"#;

pub(super) async fn run(args: Args, output: &mut Output) -> Result<(), Failure> {
    let directory = tempfile::Builder::new()
        .prefix("overlap-bench-")
        .tempdir()
        .map_err(Failure::internal)?;
    let bar = output.bar("{spinner} {msg}");
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar.set_message("writing an export");
    let (file, mapping) = (
        directory.path().join("export.csv"),
        directory.path().join("export.toml"),
    );
    write(&file, args.rows).map_err(Failure::internal)?;
    std::fs::write(&mapping, MAPPING).map_err(Failure::internal)?;

    bar.set_message("normalising and hashing on one core");
    let (normalise_seconds, identifiers) = normalise(&file, args.rows).map_err(Failure::internal)?;

    bar.set_message("importing into a node");
    let fleet = Fleet::start(directory.path(), &["alpha"], &[])
        .await
        .map_err(Failure::internal)?;
    let imported = import(&fleet, &file, &mapping).await;
    fleet.stop().await.map_err(Failure::internal)?;
    let (import_seconds, node_cpu_seconds, node_peak_memory_bytes) = imported?;
    bar.finish_and_clear();
    let rows = f64::from(args.rows);
    let shape = Shape {
        rows: args.rows.into(),
        identifiers,
        normalise_seconds,
        normalise_rows_per_second: rows / normalise_seconds,
        import_seconds,
        import_rows_per_second: rows / import_seconds,
        node_cpu_seconds,
        node_peak_memory_bytes,
        hardware: Hardware::here(),
    };
    output.print(&shape, |out| print(out, &shape))
}

/// Everything up to the items: what every import does before it stores anything.
fn normalise(file: &Path, rows: u32) -> Result<(f64, u64)> {
    let profile = Profile::eu_thb_1();
    let mapping = Mapping::parse(MAPPING)?;
    let started = Instant::now();
    let mut import = Import::open(File::open(file)?, "export.csv", &mapping)?;
    let mut identifiers = 0;
    for row in import.by_ref() {
        let record = row?.record;
        for key in record
            .iter()
            .flat_map(|record| &record.identifiers)
            .flat_map(|one| one.match_keys(&profile))
        {
            let name = profile.keys().get(usize::from(key.key())).map_or("", |key| key.name());
            black_box(Item::derive(profile.name(), name, key.as_bytes()));
            identifiers += 1;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    ensure!(
        identifiers == 4 * u64::from(rows),
        "{identifiers} identifiers were read of {rows} rows: {:?}",
        import.summary().rejected
    );
    Ok((seconds, identifiers))
}

async fn import(fleet: &Fleet, file: &Path, mapping: &Path) -> Result<(f64, f64, u64), Failure> {
    let node = fleet.agency("alpha").map_err(Failure::internal)?;
    let pid = node.pid().map_err(Failure::internal)?;
    let mut operator = client::connect(&node.settings("operator")).await?;
    process::reset_peak_memory(pid).map_err(Failure::internal)?;
    let before = process::cpu_seconds(pid).map_err(Failure::internal)?;
    let source = dataset::Source {
        file,
        mapping,
        format: None,
        rejects: None,
        append: false,
        profile: None,
    };
    let imported = dataset::import(&mut operator, DATASET, &source, ProgressBar::hidden()).await?;
    let after = process::cpu_seconds(pid).map_err(Failure::internal)?;
    let peak = process::peak_memory(pid).map_err(Failure::internal)?;
    Ok((imported.seconds, after - before, peak))
}

/// Made-up values, written as agencies write them.
fn write(file: &Path, rows: u32) -> Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    writeln!(out, "id;phone;email;iban;bsn")?;
    for n in 0..rows {
        writeln!(
            out,
            "R-{n:08};06-{phone:08};Person{n}@Example.org;{iban};{bsn}",
            phone = 10_000_000 + n,
            iban = iban(n),
            bsn = bsn(n),
        )?;
    }
    Ok(out.flush()?)
}

/// A number that passes the ISO 7064 mod 97-10 check, of a bank that there is not.
fn iban(n: u32) -> String {
    let account = format!("{n:010}");
    // F I C T and N L as ISO 13616 counts letters
    let digits = format!("15181229{account}232100");
    let rest = digits
        .bytes()
        .fold(0, |rest, digit| (rest * 10 + u64::from(digit - b'0')) % 97);
    format!("NL{:02} FICT {account}", 98 - rest)
}

/// The n-th number that passes the eleven test, nearly: what fails is made to pass by its eighth digit.
fn bsn(n: u32) -> String {
    let base = 10_000_000 + u64::from(n % 40_000_000) * 2;
    let last = (base..).find_map(|front| {
        let digits: Vec<u64> = format!("{front:08}")
            .bytes()
            .map(|digit| u64::from(digit - b'0'))
            .collect();
        let sum: u64 = digits
            .iter()
            .zip((2..=9).rev())
            .map(|(digit, weight)| digit * weight)
            .sum();
        let check = sum % 11;
        (check < 10).then(|| digits.iter().map(u64::to_string).collect::<String>() + &check.to_string())
    });
    last.unwrap_or_default()
}

fn print(out: &mut dyn io::Write, shape: &Shape) -> io::Result<()> {
    writeln!(out, "{}", shape.hardware)?;
    writeln!(
        out,
        "{} rows with {} identifiers",
        grouped(shape.rows),
        grouped(shape.identifiers)
    )?;
    let mut shown = table(["step", "s", "rows/s"]);
    for (step, seconds, rate) in [
        (
            "normalise and hash to items, one core, no storage",
            shape.normalise_seconds,
            shape.normalise_rows_per_second,
        ),
        (
            "import into a node: also hash to the group, seal, write",
            shape.import_seconds,
            shape.import_rows_per_second,
        ),
    ] {
        shown.add_row([step.to_owned(), format!("{seconds:.2}"), grouped(rate as u64)]);
    }
    writeln!(out, "{shown}")?;
    writeln!(
        out,
        "the node took {:.1} s of CPU and {:.1} MiB at its peak",
        shape.node_cpu_seconds,
        shape.node_peak_memory_bytes as f64 / f64::from(1 << 20)
    )
}

#[cfg(test)]
mod tests {
    use overlap_records::{Hints, Identifier, Kind};

    use super::*;

    #[test]
    fn made_up_numbers_pass_their_checks() {
        for n in [0, 1, 9, 10, 12_345, 999_999] {
            for (kind, text) in [(Kind::Iban, iban(n)), (Kind::Bsn, bsn(n))] {
                assert!(
                    Identifier::normalise(kind, &text, &Hints::default()).is_ok(),
                    "{kind} {text}"
                );
            }
        }
    }
}
