//! `overlap pki`: the commands, and what they print.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use jiff::Timestamp;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::authority::{CRL_DAYS, after};
use super::certificate::rfc3339;
use super::{Authority, Details, Issue, Issued, Subject, signing, thumbprint};
use crate::files::write_data_key;

/// Longest validity of a certificate, and of an authority.
const DAYS_MAX: i64 = 7300;
/// Longest validity of a CRL.
const CRL_DAYS_MAX: i64 = 366;

/// Make the keys and certificates that nodes and users know each other by
///
/// For trials and small federations. An agency with a certificate authority of its own uses that: a node asks for TLS certificates
/// with a SPIFFE URI and for a CRL that has not expired, and does not care who made them. Keys are written to files that only their
/// owner can read, and are never printed.
#[derive(clap::Subcommand)]
pub(crate) enum PkiCommand {
    /// Make a certificate authority
    ///
    /// Once per federation, for the nodes, and once per agency, for its users and its operator port. The directory gets ca.pem
    /// (hand it to whoever must trust the authority), ca.key (keep it off the nodes), ca.crl (hand it to the same parties, and renew
    /// it before it expires in 30 days) and issued/ (a copy of every certificate).
    #[command(after_help = "Example:\n  overlap pki ca --dir federation --name \"Overlap example federation\"")]
    Ca {
        /// The directory to make it in
        #[arg(long)]
        dir: PathBuf,
        /// Its name, as people will see it; no two authorities that one node trusts may share it
        #[arg(long)]
        name: String,
        /// How many days it lasts; no certificate outlives it
        #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
        days: u32,
    },
    /// Make a certificate for a node, or for a node's operator port
    ///
    /// A node needs one from the federation's authority, for other nodes, and one from its own users authority, for its operator
    /// port. To renew before it expires, make one under a new name with --key and the old key: the thumbprint, which agreements
    /// pin, stays. Without --key the key is new, and every agreement with the agency must pin it.
    #[command(after_help = "Examples:\n  \
        overlap pki node --ca federation --uri spiffe://overlap.example/agency/politie --host node.politie.example --out politie --name node\n  \
        overlap pki node --ca federation --uri spiffe://overlap.example/agency/politie --host node.politie.example --out politie --name node-2 --key politie/node.key")]
    Node {
        /// A DNS name or IP address that others reach it by; may be repeated
        #[arg(long = "host", value_name = "HOST", required = true)]
        hosts: Vec<String>,
        #[command(flatten)]
        request: Request,
    },
    /// Make a certificate for a person or a program that uses a node
    ///
    /// From the agency's users authority. What its holder may do is decided by the roles that the node's configuration gives to the
    /// URI. One person, one certificate: the log names the URI.
    #[command(
        after_help = "Example:\n  overlap pki user --ca politie/users --uri spiffe://politie.example/user/a.visser --out politie/people --name a.visser"
    )]
    User {
        #[command(flatten)]
        request: Request,
    },
    /// Revoke a certificate: put it on its authority's CRL
    ///
    /// When a key may be known to others, or a person or node leaves. It takes effect on a node when the node reads the new ca.crl,
    /// so hand that out at once. A lost certificate is still in the authority's issued/ directory.
    #[command(after_help = "Example:\n  overlap pki revoke --ca politie/users politie/people/a.visser.pem")]
    Revoke {
        /// The directory of the authority that issued it
        #[arg(long, value_name = "DIR")]
        ca: PathBuf,
        /// The certificate, PEM
        certificate: PathBuf,
    },
    /// Sign the CRL anew before it expires
    ///
    /// A node that holds an expired CRL refuses everyone the authority vouches for. Run this regularly, well within the number of
    /// days, and hand out the new ca.crl. What is revoked stays revoked.
    #[command(after_help = "Example:\n  overlap pki crl --ca federation --days 30")]
    Crl {
        /// The directory of the authority
        #[arg(long, value_name = "DIR")]
        ca: PathBuf,
        /// How many days it is valid from now
        #[arg(long, default_value_t = CRL_DAYS, value_parser = clap::value_parser!(u32).range(1..=CRL_DAYS_MAX))]
        days: u32,
        /// When it begins instead of now (RFC 3339)
        #[arg(long, value_name = "TIME")]
        this_update: Option<Timestamp>,
        /// When it expires instead of after --days (RFC 3339)
        #[arg(long, value_name = "TIME", conflicts_with = "days")]
        next_update: Option<Timestamp>,
    },
    /// Make the key that a node encrypts its store with
    ///
    /// Once per node, before its first start. Without this file the store cannot be read: back it up apart from the data.
    #[command(after_help = "Example:\n  overlap pki data-key politie/data.key")]
    DataKey {
        /// The file to make
        path: PathBuf,
    },
    /// Make the key that a node, or an authority, signs documents with
    ///
    /// Once per node, before its first start: it signs the agreements that the node proposes and accepts, and agreements pin its
    /// thumbprint, which this prints. A public prosecutor makes one to sign orders. Back it up: with another key every agreement has to
    /// be made anew.
    #[command(after_help = "Example:\n  overlap pki signing-key politie/signing.key")]
    SigningKey {
        /// The file to make
        path: PathBuf,
    },
    /// Print the thumbprint of a certificate's public key, or of a signing key, which agreements pin
    ///
    /// Of a certificate it is the hex SHA-256 of the SubjectPublicKeyInfo, of a signing key that of its JSON Web Key (RFC 7638). Two
    /// agencies that make an agreement compare both over another channel first.
    #[command(after_help = "Example:\n  overlap pki thumbprint politie/node.pem")]
    Thumbprint {
        /// The certificate or signing key, PEM
        certificate: PathBuf,
    },
}

/// What every new certificate is asked with.
#[derive(clap::Args)]
pub(crate) struct Request {
    /// The directory of the authority that issues it
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// The SPIFFE URI that names the holder, like spiffe://overlap.example/agency/politie
    #[arg(long)]
    uri: String,
    /// The directory to write to; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The name of the files, before .pem and .key
    #[arg(long, value_name = "STEM")]
    name: String,
    /// How many days it is valid
    #[arg(long, default_value_t = 397, value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
    days: u32,
    /// When it begins instead of now (RFC 3339, like 2026-01-31T00:00:00Z)
    #[arg(long, value_name = "TIME")]
    not_before: Option<Timestamp>,
    /// When it ends instead of after --days (RFC 3339)
    #[arg(long, value_name = "TIME", conflicts_with = "days")]
    not_after: Option<Timestamp>,
    /// An existing key to use instead of a new one, so that the thumbprint stays
    #[arg(long, value_name = "EXISTING")]
    key: Option<PathBuf>,
}

/// Runs one command and prints what it made: paths, validity and thumbprints, as a table or as JSON; never a secret.
///
/// # Errors
///
/// Whatever the command failed on, or the output.
pub(crate) fn run(command: PkiCommand, json: bool, out: &mut dyn Write) -> Result<()> {
    let rows = match command {
        PkiCommand::Ca { dir, name, days } => {
            let authority = Authority::create(&dir, &name, days)?;
            let certificate = authority.certificate();
            let mut rows = vec![row("directory", path(&dir)), row("certificate", path(&certificate))];
            rows.extend(certificate_rows(&certificate)?);
            rows.extend(crl_rows(&authority)?);
            rows
        }
        PkiCommand::Node { hosts, request } => request.issue(Subject::Node { hosts })?,
        PkiCommand::User { request } => request.issue(Subject::User)?,
        PkiCommand::Revoke { ca, certificate } => {
            let authority = Authority::open(&ca)?;
            authority.revoke(&certificate)?;
            let mut rows = vec![row("revoked", path(&certificate))];
            rows.extend(crl_rows(&authority)?);
            rows
        }
        PkiCommand::Crl {
            ca,
            days,
            this_update,
            next_update,
        } => {
            let authority = Authority::open(&ca)?;
            if this_update.is_none() && next_update.is_none() {
                authority.refresh_crl(days)?;
            } else {
                let (start, end) = period(this_update, next_update, days, OffsetDateTime::now_utc())?;
                authority.refresh_crl_between(start, end)?;
            }
            crl_rows(&authority)?
        }
        PkiCommand::DataKey { path: file } => {
            write_data_key(&file)?;
            vec![row("data_key", path(&file))]
        }
        PkiCommand::SigningKey { path: file } => {
            let thumbprint = signing::write(&file)?;
            vec![row("signing_key", path(&file)), row("thumbprint", thumbprint.into())]
        }
        PkiCommand::Thumbprint { certificate } => {
            let thumbprint = signing::thumbprint(&certificate)
                .map_or_else(|| thumbprint(&certificate), |of_key| Ok(of_key.to_string()))?;
            if !json {
                // alone on its line, for scripts
                return writeln!(out, "{thumbprint}").context("cannot print");
            }
            vec![
                row("certificate", path(&certificate)),
                row("thumbprint", thumbprint.into()),
            ]
        }
    };
    print(rows, json, out)
}

impl Request {
    /// Issues the certificate and says what was made.
    fn issue(self, subject: Subject) -> Result<Vec<Row>> {
        let authority = Authority::open(&self.ca)?;
        let mut request = Issue::for_days(subject, self.uri, self.days)?;
        (request.not_before, request.not_after) =
            period(self.not_before, self.not_after, self.days, request.not_before)?;
        request.renew_key = self.key;
        let Issued {
            certificate,
            key,
            thumbprint,
        } = authority.issue(&request, &self.out, &self.name)?;
        let mut rows = vec![row("certificate", path(&certificate)), row("key", path(&key))];
        rows.extend(certificate_rows(&certificate)?);
        rows.push(row("thumbprint", thumbprint.into()));
        Ok(rows)
    }
}

/// A validity from what was given: from `start` or else `default`, until `end` or else for `days`, counted from now unless a start
/// was given.
fn period(
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    days: u32,
    default: OffsetDateTime,
) -> Result<(OffsetDateTime, OffsetDateTime)> {
    let given = start.map(calendar).transpose()?;
    let end = match end {
        Some(end) => calendar(end)?,
        None => after(given.unwrap_or_else(OffsetDateTime::now_utc), days)?,
    };
    Ok((given.unwrap_or(default), end))
}

/// The same time, in whole seconds, as certificates have it.
fn calendar(time: Timestamp) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(time.as_second()).with_context(|| format!("{time} is beyond the calendar"))
}

/// A field of the output.
type Row = (&'static str, Value);

fn row(name: &'static str, value: Value) -> Row {
    (name, value)
}

fn path(path: &Path) -> Value {
    Value::from(path.display().to_string())
}

/// Who a certificate names and when it is valid.
fn certificate_rows(file: &Path) -> Result<Vec<Row>> {
    let details = Details::read(file)?;
    let mut rows = Vec::from_iter(details.uri.map(|uri| row("uri", uri.into())));
    rows.push(row("not_before", rfc3339(details.not_before).into()));
    rows.push(row("not_after", rfc3339(details.not_after).into()));
    Ok(rows)
}

/// What an authority's CRL says.
fn crl_rows(authority: &Authority) -> Result<Vec<Row>> {
    let (count, next_update) = authority.crl_state()?;
    Ok(vec![
        row("crl", path(&authority.crl())),
        row("crl_revokes", json!(count)),
        row("crl_expires", rfc3339(next_update).into()),
    ])
}

/// Prints the fields as JSON on one line, or as a table with a field per line.
fn print(rows: Vec<Row>, json: bool, out: &mut dyn Write) -> Result<()> {
    let text = if json {
        Value::from_iter(rows.into_iter().map(|(name, value)| (name.to_owned(), value))).to_string()
    } else {
        let mut table = Table::new();
        table.load_style(NOTHING);
        for (name, value) in rows {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            table.add_row([name.replace('_', " "), value]);
        }
        table.trim_fmt()
    };
    writeln!(out, "{text}").context("cannot print")
}
