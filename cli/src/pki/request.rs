//! What a certificate is asked to say, and the checks on it.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};
use rustls::pki_types::ServerName;
use time::{Duration, OffsetDateTime};

use super::authority::after;
use super::certificate::rfc3339;

/// New certificates are valid from a little before now, for peers whose clocks run behind.
pub(super) const CLOCK_SKEW: Duration = Duration::minutes(5);
/// RFC 5280 `ub-common-name`.
const COMMON_NAME_MAX: usize = 64;
/// The SPIFFE-ID standard, sections 2.1 and 2.3.
const TRUST_DOMAIN_MAX: usize = 255;
const SPIFFE_ID_MAX: usize = 2048;

/// A certificate that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Issue {
    /// Whom it is for, which decides what it may be used for.
    pub(crate) subject: Subject,
    /// The SPIFFE ID that names the holder: `spiffe://trust-domain/path`.
    pub(crate) uri: String,
    /// First second of validity.
    pub(crate) not_before: OffsetDateTime,
    /// Last second of validity.
    pub(crate) not_after: OffsetDateTime,
    /// An existing key to use instead of a new one, so that pins on it stay right.
    pub(crate) renew_key: Option<PathBuf>,
}

/// Whom a certificate is for.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// A node, or a node's operator port: server and client.
    Node {
        /// The DNS names and IP addresses that others reach it by; at least one.
        hosts: Vec<String>,
    },
    /// A person or a program that calls a node: client only.
    User,
}

impl Issue {
    /// A certificate with a new key that is valid from now.
    ///
    /// # Errors
    ///
    /// If the number of days is 0 or beyond the calendar.
    pub(crate) fn for_days(subject: Subject, uri: impl Into<String>, days: u32) -> Result<Self> {
        let now = OffsetDateTime::now_utc();
        Ok(Self {
            subject,
            uri: uri.into(),
            not_before: now - CLOCK_SKEW,
            not_after: after(now, days)?,
            renew_key: None,
        })
    }

    /// The certificate's content, all but its serial number.
    ///
    /// # Errors
    ///
    /// If the URI, a host or the dates are not valid.
    pub(super) fn parameters(&self) -> Result<CertificateParams> {
        check_spiffe_id(&self.uri)?;
        if self.not_before >= self.not_after {
            bail!(
                "the certificate would end {}, before it begins {}",
                rfc3339(self.not_after),
                rfc3339(self.not_before)
            );
        }
        let mut params = match &self.subject {
            Subject::Node { hosts } => {
                ensure!(!hosts.is_empty(), "a node needs at least one host name or IP address");
                for host in hosts {
                    check_host(host)?;
                }
                let mut params =
                    CertificateParams::new(hosts.clone()).context("cannot put the hosts in a certificate")?;
                params.extended_key_usages =
                    vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
                params
            }
            Subject::User => {
                let mut params = CertificateParams::default();
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                params
            }
        };
        let uri = self
            .uri
            .as_str()
            .try_into()
            .context("cannot put the URI in a certificate")?;
        params.subject_alt_names.push(SanType::URI(uri));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.not_before = self.not_before;
        params.not_after = self.not_after;
        // for people who list certificates; nodes go by the URI
        let common_name: String = self
            .uri
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .chars()
            .take(COMMON_NAME_MAX)
            .collect();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        Ok(params)
    }
}

/// Checks a SPIFFE ID by the SPIFFE-ID standard, section 2, with the path that X.509-SVIDs of workloads must have.
fn check_spiffe_id(uri: &str) -> Result<()> {
    let bad = |why: &str| format!("`{uri}` is not a SPIFFE URI like spiffe://overlap.example/agency/politie: {why}");
    let Some(rest) = uri.strip_prefix("spiffe://") else {
        bail!(bad("it does not start with spiffe://"))
    };
    ensure!(uri.len() <= SPIFFE_ID_MAX, bad("it is longer than 2048 bytes"));
    let Some((domain, path)) = rest.split_once('/') else {
        bail!(bad("it has no path"))
    };
    let mark = |c: char| matches!(c, '.' | '-' | '_');
    ensure!(
        (1..=TRUST_DOMAIN_MAX).contains(&domain.len())
            && domain
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || mark(c)),
        bad("its trust domain is 1 to 255 lower case letters, digits, dots, hyphens and underscores")
    );
    for segment in path.split('/') {
        ensure!(
            !matches!(segment, "" | "." | ".."),
            bad("a part of its path is empty or made of dots")
        );
        ensure!(
            segment.chars().all(|c| c.is_ascii_alphanumeric() || mark(c)),
            bad("its path has something else than letters, digits, dots, hyphens and underscores")
        );
    }
    Ok(())
}

/// Checks a host with the parser that TLS clients use for the name they connect to.
fn check_host(host: &str) -> Result<()> {
    ensure!(
        ServerName::try_from(host).is_ok() && !host.ends_with('.'),
        "`{host}` is not a host: give a DNS name or an IP address, without port or wildcard"
    );
    Ok(())
}
