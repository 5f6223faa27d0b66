//! Files that logs are taken away in, and what is believed of them.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use indicatif::{ProgressBar, ProgressBarIter};
use overlap_audit::{Anchors, ExportReader, SignedCheckpoint, VerifyingKey, Vouched, log_name};

use crate::{client::Failure, output::Output};

pub(super) type Export = ExportReader<BufReader<ProgressBarIter<File>>>;

const BUFFER: usize = 1 << 20;

/// Opens an export.
pub(super) fn open(path: &Path, bar: &ProgressBar) -> Result<Export, overlap_audit::ExportError> {
    let file = File::open(path)?;
    bar.set_length(file.metadata()?.len());
    bar.set_position(0);
    ExportReader::open(BufReader::with_capacity(BUFFER, bar.wrap_read(file)))
}

/// The bar for reading one.
pub(super) fn bar(output: &Output) -> ProgressBar {
    output.bar("{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left")
}

/// A file that is no export, or cannot be read.
pub(super) fn unreadable(path: &Path) -> impl Fn(overlap_audit::ExportError) -> Failure + '_ {
    |error| Failure::usage(anyhow!("{}: {error}", path.display()))
}

/// Keys to believe.
#[derive(clap::Args)]
pub(super) struct Keys {
    /// The log's verifier key, or a file with it, as its agency or a peer gave it; without it the file vouches for itself
    #[arg(long, value_name = "KEY|FILE")]
    log_key: Option<String>,
    /// A witness's verifier key: AGENCY=KEY; without any, those that the file names
    #[arg(long = "witness", value_name = "AGENCY=KEY")]
    witnesses: Vec<String>,
    /// A checkpoint of this log that you kept, as a file: the log must still begin with it
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

impl Keys {
    pub(super) fn believed(&self) -> Result<Option<VerifyingKey>, Failure> {
        self.log_key.as_deref().map(key).transpose()
    }

    pub(super) fn anchors(&self) -> Result<Anchors, Failure> {
        let given = self.witnesses.iter().map(|pair| {
            let (agency, text) = pair
                .split_once('=')
                .ok_or_else(|| Failure::usage(anyhow!("--witness must be AGENCY=KEY")))?;
            let key = key(text)?;
            if key.name() != log_name(agency) || !key.is_cosigner() {
                return Err(Failure::usage(anyhow!(
                    "--witness {agency} needs the cosigner key of {}: `overlap status --json` of that agency has it as log.cosigner_key",
                    log_name(agency)
                )));
            }
            Ok((agency.to_owned(), key))
        });
        Ok(Anchors {
            key: self.believed()?.map(|key| (key, Vouched::Given)),
            cosigners: given.collect::<Result<_, Failure>>()?,
            cosigners_must: !self.witnesses.is_empty(),
            checkpoint: self.checkpoint.as_deref().map(checkpoint).transpose()?,
            ..Anchors::default()
        })
    }
}

/// A verifier key, as it stands or in a file.
pub(super) fn key(text: &str) -> Result<VerifyingKey, Failure> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let path = Path::new(text);
    let read = std::fs::read_to_string(path)
        .with_context(|| "a key is neither a verifier key NAME+ID+KEY nor a file with one")
        .map_err(Failure::usage)?;
    read.trim()
        .parse()
        .map_err(|error| Failure::usage(anyhow!("{}: {error}", path.display())))
}

/// A checkpoint in a file; a line end more than it has does no harm.
pub(super) fn checkpoint(path: &Path) -> Result<String, Failure> {
    let text = format!("{}\n", text(path)?.trim_end());
    SignedCheckpoint::parse(&text).map_err(|error| Failure::usage(anyhow!("{}: {error}", path.display())))?;
    Ok(text)
}

pub(super) fn text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .with_context(|| format!("cannot read {}", path.display()))
        .map_err(Failure::usage)
}
