//! Reading files that the configuration names.

use std::{
    env, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// Why a file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It could not be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds a secret and others may read it.
    #[error("{path} holds a secret and others may read it; run `chmod 600 {path}`")]
    TooOpen {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|source| FileError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// Reads a text file that only its owner may read.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<String>, FileError> {
    let unreadable = |source| FileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
    // systemd hands credentials to a service's user through its group
    let is_credential = env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|directory| {
        let within = (path.canonicalize(), Path::new(&directory).canonicalize());
        matches!(within, (Ok(path), Ok(directory)) if path.starts_with(&directory))
    });
    let others = if is_credential { 0o037 } else { 0o077 };
    if mode & others != 0 {
        return Err(FileError::TooOpen { path: path.to_owned() });
    }
    Ok(Zeroizing::new(fs::read_to_string(path).map_err(unreadable)?))
}
