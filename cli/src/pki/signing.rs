//! Keys that sign documents.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use overlap_agreement::SigningKey;
use overlap_audit::Digest;
use rcgen::{KeyPair, PKCS_ED25519};
use zeroize::Zeroizing;

use crate::files::{NewFile, create_dir, write_new};

/// Makes a key in a file of its own, and returns its thumbprint.
pub(crate) fn write(path: &Path) -> Result<String> {
    let key = KeyPair::generate_for(&PKCS_ED25519).context("cannot generate a key")?;
    let pem = Zeroizing::new(key.serialize_pem());
    let thumbprint = SigningKey::from_pem(&pem)?.public().thumbprint();
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        create_dir(dir)?;
    }
    write_new(&[NewFile::secret(path.to_owned(), pem.as_bytes())])?;
    Ok(thumbprint.to_string())
}

/// Reads a key.
pub(crate) fn read(path: &Path) -> Result<SigningKey> {
    let pem = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    SigningKey::from_pem(&Zeroizing::new(pem)).with_context(|| format!("cannot use {}", path.display()))
}

/// The thumbprint of a file that holds such a key.
pub(crate) fn thumbprint(path: &Path) -> Option<Digest> {
    Some(read(path).ok()?.public().thumbprint())
}
