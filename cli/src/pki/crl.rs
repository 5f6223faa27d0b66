//! The certificate revocation list (RFC 5280, section 5): the signed file is the record, there is no other.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rcgen::{CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber};
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject as _;
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::certificate;

/// The content of a CRL, to be changed and signed again.
pub(super) struct Revocations {
    /// The number that the next list gets: one more than the list this was read from.
    next_number: Vec<u8>,
    /// What is revoked.
    pub(super) entries: Vec<RevokedCertParams>,
    /// How long the list was valid.
    pub(super) lifetime: Duration,
    /// When the list expires.
    pub(super) next_update: OffsetDateTime,
}

/// What comes before an authority's first list.
impl Default for Revocations {
    fn default() -> Self {
        Self {
            next_number: vec![1],
            entries: Vec::new(),
            lifetime: Duration::ZERO,
            next_update: OffsetDateTime::UNIX_EPOCH,
        }
    }
}

impl Revocations {
    /// Revokes a serial number, once.
    pub(super) fn add(&mut self, serial: Vec<u8>, time: OffsetDateTime) {
        if self.entries.iter().all(|entry| entry.serial_number.as_ref() != serial) {
            self.entries.push(RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: time,
                reason_code: None,
                invalidity_date: None,
            });
        }
    }
}

/// Reads the CRL at `path`, signed by the authority at `authority`: nothing unsigned is ever signed again.
pub(super) fn read(path: &Path, authority: &Path) -> Result<Revocations> {
    let pem = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let der = CertificateRevocationListDer::from_pem_slice(&pem)
        .ok()
        .with_context(|| format!("{} holds no PEM certificate revocation list", path.display()))?;
    let (_, list) = CertificateRevocationList::from_der(&der)
        .ok()
        .with_context(|| format!("{} is damaged", path.display()))?;
    let issuer = certificate::read(authority)?;
    let issuer = certificate::parse(&issuer)?;
    ensure!(
        list.verify_signature(issuer.public_key()).is_ok(),
        "{} was not signed by {}",
        path.display(),
        authority.display()
    );
    let number = list
        .crl_number()
        .with_context(|| format!("{} has no number", path.display()))?;
    let next = list
        .next_update()
        .with_context(|| format!("{} has no next update", path.display()))?
        .to_datetime();
    let entries = list.iter_revoked_certificates().map(|entry| RevokedCertParams {
        serial_number: SerialNumber::from(entry.serial().to_bytes_be()),
        revocation_time: entry.revocation_date.to_datetime(),
        reason_code: None,
        invalidity_date: None,
    });
    Ok(Revocations {
        next_number: (number + 1u32).to_bytes_be(),
        entries: entries.collect(),
        lifetime: next - list.last_update().to_datetime(),
        next_update: next,
    })
}

/// Signs a CRL and returns it as PEM.
pub(super) fn sign(
    revocations: &Revocations,
    this_update: OffsetDateTime,
    next_update: OffsetDateTime,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<String> {
    let list = CertificateRevocationListParams {
        this_update,
        next_update,
        crl_number: SerialNumber::from_slice(&revocations.next_number),
        issuing_distribution_point: None,
        revoked_certs: revocations.entries.clone(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let signed = list
        .signed_by(issuer)
        .context("cannot sign the certificate revocation list")?;
    signed.pem().context("cannot encode the certificate revocation list")
}
