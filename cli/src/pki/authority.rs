//! A certificate authority that lives in a directory.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SerialNumber,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use time::{Duration, OffsetDateTime};

use super::certificate::{self, Details, rfc3339};
use super::crl::{self, Revocations};
use super::request::{CLOCK_SKEW, Issue};
use crate::files::{self, NewFile};

/// The authority's certificate, which the relying side trusts.
const CERTIFICATE: &str = "ca.pem";
/// The authority's private key. Its file also carries the lock that keeps two writers of the CRL apart.
const KEY: &str = "ca.key";
/// The signed list of revoked certificates, and the only record of them.
const CRL: &str = "ca.crl";
/// Copies of the certificates that were issued, one per serial number, so that a lost one can still be revoked.
const ISSUED: &str = "issued";

/// How long the first CRL is valid.
pub(super) const CRL_DAYS: u32 = 30;
/// RFC 5280 `ub-common-name`.
const COMMON_NAME_MAX: usize = 64;

/// A certificate authority in a directory: `ca.pem`, `ca.key` (0600), `ca.crl`, and `issued/` with a copy of every certificate.
pub(crate) struct Authority {
    dir: PathBuf,
    details: Details,
    issuer: Issuer<'static, KeyPair>,
}

/// The files of a certificate that was just issued.
#[derive(Debug)]
pub(crate) struct Issued {
    /// The certificate, PEM, the leaf alone: the relying side has the authority's own certificate.
    pub(crate) certificate: PathBuf,
    /// Its private key: a new file, or the existing one that was asked for.
    pub(crate) key: PathBuf,
    /// Hex SHA-256 of the SubjectPublicKeyInfo, which agreements pin.
    pub(crate) thumbprint: String,
}

impl Authority {
    /// Makes a new authority with an empty CRL that is valid for 30 days.
    ///
    /// # Errors
    ///
    /// If the name or the number of days is out of range, or `dir` already holds an authority.
    pub(crate) fn create(dir: &Path, name: &str, days: u32) -> Result<Self> {
        ensure!(
            !name.trim().is_empty() && name.chars().count() <= COMMON_NAME_MAX && !name.chars().any(char::is_control),
            "the name of an authority is 1 to {COMMON_NAME_MAX} printable characters"
        );
        let now = now()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(serial()?);
        params.not_before = now - CLOCK_SKEW;
        params.not_after = after(now, days)?;
        // the authority signs leaves, never another authority
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];

        let key = KeyPair::generate().context("cannot generate a key")?;
        let certificate = params
            .self_signed(&key)
            .context("cannot sign the authority's own certificate")?;
        let key_pem = files::key_pem(&key);
        let issuer = Issuer::new(params, key);
        let first = crl::sign(&Revocations::default(), now, after(now, CRL_DAYS)?, &issuer)?;

        files::create_dir(dir)?;
        files::write_new(&[
            NewFile::secret(dir.join(KEY), key_pem.as_bytes()),
            NewFile::public(dir.join(CERTIFICATE), certificate.pem().as_bytes()),
            NewFile::public(dir.join(CRL), first.as_bytes()),
        ])?;
        Self::open(dir)
    }

    /// Opens an authority that [`Authority::create`] made.
    ///
    /// # Errors
    ///
    /// If a file is missing or damaged, others than its owner can use the key, or key and certificate do not belong together.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let (certificate, key) = (dir.join(CERTIFICATE), dir.join(KEY));
        if !certificate.exists() {
            bail!(
                "{} holds no certificate authority: make one with `overlap pki ca --dir {} --name NAME`",
                dir.display(),
                dir.display()
            );
        }
        let der = certificate::read(&certificate)?;
        let details = Details::of(&der).with_context(|| certificate.display().to_string())?;
        let pair = files::read_key(&key)?;
        ensure!(
            pair.subject_public_key_info() == details.public_key,
            "{} is not the key of {}",
            key.display(),
            certificate.display()
        );
        let issuer = Issuer::from_ca_cert_der(&der, pair)
            .with_context(|| format!("cannot use {} as an authority", certificate.display()))?;
        ensure!(
            issuer.key_usages().contains(&KeyUsagePurpose::KeyCertSign),
            "{} is not the certificate of an authority",
            certificate.display()
        );
        Ok(Self {
            dir: dir.to_owned(),
            details,
            issuer,
        })
    }

    /// Issues a certificate as `<stem>.pem` in `out`, with a new key as `<stem>.key` (0600) unless the request brings one.
    ///
    /// # Errors
    ///
    /// If the request is not valid, the certificate would outlive the authority, or a file exists already.
    pub(crate) fn issue(&self, request: &Issue, out: &Path, stem: &str) -> Result<Issued> {
        ensure!(
            !stem.is_empty() && !stem.starts_with('.') && !stem.contains(['/', '\\', '\0']),
            "`{stem}` is not a file name to put `.pem` and `.key` behind"
        );
        let mut params = request.parameters()?;
        if request.not_after > self.details.not_after {
            bail!(
                "a certificate until {} would outlive its authority {}, which ends {}: shorten it, or make a new authority",
                rfc3339(request.not_after),
                self.dir.display(),
                rfc3339(self.details.not_after)
            );
        }
        let serial = serial()?;
        let copy = format!("{}.pem", hex::encode(serial.as_ref()));
        params.serial_number = Some(serial);

        let key = match &request.renew_key {
            Some(path) => files::read_key(path)?,
            None => KeyPair::generate().context("cannot generate a key")?,
        };
        let leaf = params
            .signed_by(&key, &self.issuer)
            .context("cannot sign the certificate")?;
        let (leaf_pem, key_pem) = (leaf.pem(), files::key_pem(&key));

        let certificate = out.join(format!("{stem}.pem"));
        let new_key = out.join(format!("{stem}.key"));
        let copies = self.dir.join(ISSUED);
        files::create_dir(out)?;
        files::create_dir(&copies)?;
        let mut written = vec![
            NewFile::public(certificate.clone(), leaf_pem.as_bytes()),
            NewFile::public(copies.join(copy), leaf_pem.as_bytes()),
        ];
        let key_file = if let Some(path) = &request.renew_key {
            path.clone()
        } else {
            written.insert(0, NewFile::secret(new_key.clone(), key_pem.as_bytes()));
            new_key
        };
        files::write_new(&written)?;
        let thumbprint = Details::of(leaf.der())?.thumbprint;
        Ok(Issued {
            certificate,
            key: key_file,
            thumbprint,
        })
    }

    /// Adds a certificate to the CRL, which stays valid for as long from now as it was before. Doing it twice changes nothing.
    ///
    /// # Errors
    ///
    /// If another authority issued the certificate, or the CRL cannot be read or replaced.
    pub(crate) fn revoke(&self, certificate: &Path) -> Result<()> {
        let der = certificate::read(certificate)?;
        let serial = certificate::serial_issued_by(&der, &self.certificate())
            .with_context(|| format!("cannot revoke {}", certificate.display()))?;
        let now = now()?;
        self.rewrite_crl(|revocations| {
            revocations.add(serial, now);
            Ok((now, now + revocations.lifetime))
        })
    }

    /// Signs the CRL anew, valid for `days` from now. Nodes refuse everyone once it has expired.
    ///
    /// # Errors
    ///
    /// If the number of days is out of range, or the CRL cannot be read or replaced.
    pub(crate) fn refresh_crl(&self, days: u32) -> Result<()> {
        let now = now()?;
        self.refresh_crl_between(now, after(now, days)?)
    }

    /// Signs the CRL anew with a validity of choice, which makes expired ones for tests.
    ///
    /// # Errors
    ///
    /// If the dates are reversed, or the CRL cannot be read or replaced.
    pub(crate) fn refresh_crl_between(&self, this_update: OffsetDateTime, next_update: OffsetDateTime) -> Result<()> {
        ensure!(
            this_update < next_update,
            "a CRL's next update comes after {}",
            rfc3339(this_update)
        );
        self.rewrite_crl(|_| Ok((this_update, next_update)))
    }

    /// Where the authority's certificate is.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.join(CERTIFICATE)
    }

    /// Where the CRL is.
    pub(crate) fn crl(&self) -> PathBuf {
        self.dir.join(CRL)
    }

    /// What the CRL says now: how many certificates it revokes, and until when it is valid.
    ///
    /// # Errors
    ///
    /// If the CRL cannot be read or is not this authority's.
    pub(crate) fn crl_state(&self) -> Result<(usize, OffsetDateTime)> {
        let revocations = crl::read(&self.crl(), &self.certificate())?;
        Ok((revocations.entries.len(), revocations.next_update))
    }

    /// Changes the CRL under a lock; `change` returns the new validity. Readers see the old list or the new one, never a part.
    fn rewrite_crl(
        &self,
        change: impl FnOnce(&mut Revocations) -> Result<(OffsetDateTime, OffsetDateTime)>,
    ) -> Result<()> {
        let path = self.dir.join(KEY);
        let lock = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        let mut revocations = crl::read(&self.crl(), &self.certificate())?;
        let (this_update, next_update) = change(&mut revocations)?;
        let signed = crl::sign(&revocations, this_update, next_update, &self.issuer)?;
        files::replace(&self.crl(), signed.as_bytes())
    }
}

/// A random serial number of 16 bytes, positive and never shorter (RFC 5280 4.1.2.2).
fn serial() -> Result<SerialNumber> {
    let mut bytes = [0; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .ok()
        .context("the system gave no randomness")?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// The present, in the whole seconds that certificates know.
fn now() -> Result<OffsetDateTime> {
    Ok(OffsetDateTime::from_unix_timestamp(
        OffsetDateTime::now_utc().unix_timestamp(),
    )?)
}

/// `start` plus a number of days that is more than none.
pub(super) fn after(start: OffsetDateTime, days: u32) -> Result<OffsetDateTime> {
    ensure!(days > 0, "a validity of 0 days is none");
    start
        .checked_add(Duration::days(days.into()))
        .with_context(|| format!("{days} days from now is beyond the calendar"))
}
