//! Who a certificate says its holder is.

use overlap_audit::Digest;
use ring::digest;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::*;

/// What this node needs to know of a certificate that TLS has verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Its one URI.
    pub(crate) id: String,
    /// SHA-256 of its public key (SubjectPublicKeyInfo, DER): what agreements pin. Stays when the certificate is renewed with the same key.
    pub(crate) key: Digest,
    /// SHA-256 of the certificate.
    pub(crate) thumbprint: Digest,
}

/// Why a certificate identifies nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// There is none.
    #[error("no certificate was shown")]
    Missing,
    /// It is not X.509.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// It has no URI, or several.
    #[error("the certificate must carry exactly one SPIFFE URI as subject alternative name")]
    NotOneUri,
}

impl Certificate {
    pub(crate) fn parse(der: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| IdentityError::Unreadable)?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| IdentityError::Unreadable)?;
        let mut uris = names
            .iter()
            .flat_map(|names| &names.value.general_names)
            .filter_map(|name| match name {
                GeneralName::URI(uri) => Some(*uri),
                _ => None,
            });
        let (Some(id), None) = (uris.next(), uris.next()) else {
            return Err(IdentityError::NotOneUri);
        };
        if !crate::config::is_spiffe(id) {
            return Err(IdentityError::NotOneUri);
        }
        Ok(Self {
            id: id.to_owned(),
            key: sha256(certificate.public_key().raw),
            thumbprint: sha256(der),
        })
    }

    /// The leaf of a verified connection.
    pub(crate) fn of(chain: Option<&[CertificateDer<'_>]>) -> Result<Self, IdentityError> {
        Self::parse(chain.and_then(<[_]>::first).ok_or(IdentityError::Missing)?)
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    Digest(hash)
}
