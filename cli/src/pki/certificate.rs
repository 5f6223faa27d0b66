//! Reading certificates.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use ring::digest;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// What a certificate says, for people and for pins.
pub(crate) struct Details {
    /// The URI in its subject alternative names, if it has one.
    pub(crate) uri: Option<String>,
    /// First second of validity.
    pub(crate) not_before: OffsetDateTime,
    /// Last second of validity.
    pub(crate) not_after: OffsetDateTime,
    /// Hex SHA-256 of the SubjectPublicKeyInfo.
    pub(crate) thumbprint: String,
    /// The SubjectPublicKeyInfo, DER.
    pub(super) public_key: Vec<u8>,
}

impl Details {
    /// Reads the first certificate of a PEM file.
    ///
    /// # Errors
    ///
    /// If there is no file, or no certificate in it.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::of(&read(path)?).with_context(|| path.display().to_string())
    }

    /// Reads a certificate.
    pub(super) fn of(der: &CertificateDer<'_>) -> Result<Self> {
        let certificate = parse(der)?;
        let names = certificate
            .subject_alternative_name()
            .context("its alternative names are damaged")?;
        let uri = names.and_then(|names| {
            names.value.general_names.iter().find_map(|name| match name {
                GeneralName::URI(uri) => Some((*uri).to_owned()),
                _ => None,
            })
        });
        let public_key = certificate.public_key().raw.to_vec();
        Ok(Self {
            uri,
            not_before: certificate.validity().not_before.to_datetime(),
            not_after: certificate.validity().not_after.to_datetime(),
            thumbprint: hex::encode(digest::digest(&digest::SHA256, &public_key)),
            public_key,
        })
    }
}

/// Hex SHA-256 of the SubjectPublicKeyInfo (DER) of the first certificate in a PEM file: what agreements pin. It changes with the
/// key and with nothing else.
///
/// # Errors
///
/// If there is no file, or no certificate in it.
pub(crate) fn thumbprint(certificate: &Path) -> Result<String> {
    Ok(Details::read(certificate)?.thumbprint)
}

/// The first certificate of a PEM file.
pub(super) fn read(path: &Path) -> Result<CertificateDer<'static>> {
    let pem = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    CertificateDer::from_pem_slice(&pem)
        .ok()
        .with_context(|| format!("{} holds no PEM certificate", path.display()))
}

/// Parses a certificate.
pub(super) fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>> {
    let (_, certificate) = X509Certificate::from_der(der)
        .ok()
        .context("the certificate is damaged")?;
    Ok(certificate)
}

/// The serial number of a certificate that the authority at `authority` signed.
pub(super) fn serial_issued_by(der: &CertificateDer<'_>, authority: &Path) -> Result<Vec<u8>> {
    let issuer = read(authority)?;
    let (certificate, issuer) = (parse(der)?, parse(&issuer)?);
    if certificate.verify_signature(Some(issuer.public_key())).is_err() {
        bail!("{} did not issue it", authority.display());
    }
    if certificate.is_ca() {
        bail!(
            "it is the authority's own certificate: stop trusting {} instead",
            authority.display()
        );
    }
    Ok(certificate.tbs_certificate.serial.to_bytes_be())
}

/// A time in the form of RFC 3339, UTC.
pub(super) fn rfc3339(time: OffsetDateTime) -> String {
    jiff::Timestamp::from_second(time.unix_timestamp()).map_or_else(|_| time.to_string(), |time| time.to_string())
}
