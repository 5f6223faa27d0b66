//! Mutual TLS 1.3 with rustls and ring: certificates on both sides, revocation enforced, no resumption.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::{Resumption, WebPkiServerVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};

use crate::files::{self, FileError};

/// The files of one port.
#[derive(Clone, Debug)]
pub(crate) struct Material {
    /// Own chain, leaf first.
    pub(crate) certificate: PathBuf,
    /// Own key.
    pub(crate) key: PathBuf,
    /// Authorities that callers and callees need a certificate of.
    pub(crate) ca: PathBuf,
    /// Their revocation lists; an expired one refuses everybody.
    pub(crate) crl: PathBuf,
}

/// Why a port's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file holds no PEM of what it should.
    #[error("{path} is not the PEM file it should be: {source}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// A file holds nothing.
    #[error("{path} holds no certificate")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not fit, or the authority cannot be used.
    #[error("{path}: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What a listening port has in force: how it shows itself, and how it checks callers.
pub(crate) struct Listener {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) verifier: Arc<dyn ClientCertVerifier>,
}

/// What a node has in force where it calls: how it shows itself, and how it checks callees.
pub(crate) struct Dialler {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) verifier: Arc<WebPkiServerVerifier>,
}

impl Material {
    /// What this side shows and demands where it listens.
    pub(crate) fn listener(&self) -> Result<Listener, TlsError> {
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots()?, provider())
            .with_crls(self.crls()?)
            .enforce_revocation_expiration()
            .build()
            .map_err(|error| self.unusable(&self.ca, &error))?;
        let config = Arc::new(self.server_config(Arc::clone(&verifier))?);
        Ok(Listener { config, verifier })
    }

    fn server_config(&self, verifier: Arc<dyn ClientCertVerifier>) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| self.unusable(&self.certificate, &error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain()?, self.private_key()?)
            .map_err(|error| self.unusable(&self.certificate, &error))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        // tickets would outlive a revocation
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// What this side shows and demands where it calls.
    pub(crate) fn dialler(&self) -> Result<Dialler, TlsError> {
        let provider = provider();
        let verifier = WebPkiServerVerifier::builder_with_provider(self.roots()?, Arc::clone(&provider))
            .with_crls(self.crls()?)
            .enforce_revocation_expiration()
            .build()
            .map_err(|error| self.unusable(&self.ca, &error))?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| self.unusable(&self.certificate, &error))?
            .with_webpki_verifier(Arc::clone(&verifier))
            .with_client_auth_cert(self.chain()?, self.private_key()?)
            .map_err(|error| self.unusable(&self.certificate, &error))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Dialler {
            config: Arc::new(config),
            verifier,
        })
    }

    pub(crate) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        self.items(&self.certificate)
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.items(&self.ca)? {
            roots
                .add(certificate)
                .map_err(|error| self.unusable(&self.ca, &error))?;
        }
        Ok(Arc::new(roots))
    }

    fn crls(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        self.items(&self.crl)
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let pem = files::read_secret(&self.key)?;
        PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|source| TlsError::Pem {
            path: self.key.clone(),
            source,
        })
    }

    fn items<T: PemObject>(&self, path: &Path) -> Result<Vec<T>, TlsError> {
        let text = files::read(path)?;
        let items = T::pem_slice_iter(text.as_bytes())
            .collect::<Result<Vec<T>, _>>()
            .map_err(|source| TlsError::Pem {
                path: path.to_owned(),
                source,
            })?;
        if items.is_empty() {
            return Err(TlsError::Empty { path: path.to_owned() });
        }
        Ok(items)
    }

    fn unusable(&self, path: &Path, error: &dyn std::error::Error) -> TlsError {
        TlsError::Unusable {
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
