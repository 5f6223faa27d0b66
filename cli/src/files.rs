//! Files with and without secrets. A secret's file has mode 0600 from the moment it exists.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use rcgen::KeyPair;
use ring::rand::{SecureRandom as _, SystemRandom};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;
const DIRECTORY: u32 = 0o700;

/// Length of a node's data key.
const DATA_KEY_BYTES: usize = 32;

/// A file to create.
pub(crate) struct NewFile<'a> {
    path: PathBuf,
    content: &'a [u8],
    mode: u32,
}

impl<'a> NewFile<'a> {
    /// A file that its owner alone reads.
    pub(crate) fn secret(path: PathBuf, content: &'a [u8]) -> Self {
        Self {
            path,
            content,
            mode: SECRET,
        }
    }

    /// A file that anyone may read.
    pub(crate) fn public(path: PathBuf, content: &'a [u8]) -> Self {
        Self {
            path,
            content,
            mode: PUBLIC,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn write(&self) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(self.mode)
            .open(&self.path)?;
        let written = file.write_all(self.content).and_then(|()| file.sync_all());
        if written.is_err() {
            // what is left of it is of no use; the first error is the one to report
            let _ = fs::remove_file(&self.path);
        }
        written
    }
}

/// Creates all files or none. An existing file is never overwritten.
pub(crate) fn write_new(files: &[NewFile<'_>]) -> Result<()> {
    for (done, file) in files.iter().enumerate() {
        if let Err(error) = file.write() {
            for earlier in files.iter().take(done) {
                let _ = fs::remove_file(&earlier.path);
            }
            let path = file.path.display();
            return Err(match error.kind() {
                ErrorKind::AlreadyExists => anyhow::anyhow!("{path} exists already and is not overwritten"),
                _ => anyhow::Error::new(error).context(format!("cannot write {path}")),
            });
        }
    }
    Ok(())
}

/// Writes all files in full beside those that they replace, and then puts each in its place in one step.
pub(crate) fn write_over(files: &[NewFile<'_>]) -> Result<()> {
    let mut ready = Vec::with_capacity(files.len());
    for file in files {
        let written = beside(&file.path, file.content, file.mode);
        ready.push((
            written.with_context(|| format!("cannot write {}", file.path.display()))?,
            &file.path,
        ));
    }
    for (file, path) in ready {
        let placed = file.persist(path).map_err(io::Error::from);
        placed
            .and_then(|_| File::open(parent(path))?.sync_all())
            .with_context(|| format!("cannot replace {}", path.display()))?;
    }
    Ok(())
}

/// A file's content in the same directory, on disk, under a name of its own that goes with it if it is not kept.
fn beside(path: &Path, content: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(parent(path))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Replaces a public file in one step: readers see the old content or the new, also after a crash. What is no file, such as `/dev/null`,
/// is written to.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    replace_as(path, content, PUBLIC)
}

/// The same of a file that its owner alone reads.
pub(crate) fn replace_secret(path: &Path, content: &[u8]) -> Result<()> {
    replace_as(path, content, SECRET)
}

fn replace_as(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    // a device or a pipe is written to: what takes its place would no longer be one
    if fs::metadata(path).is_ok_and(|known| !known.is_file()) {
        let written = OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(content));
        return written.with_context(|| format!("cannot write {}", path.display()));
    }
    let steps = || {
        beside(path, content, mode)?.persist(path)?;
        File::open(parent(path))?.sync_all()
    };
    steps().with_context(|| format!("cannot replace {}", path.display()))
}

/// Makes a directory, and those above it, for their owner alone; one that exists stays as it is.
pub(crate) fn create_dir(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY)
        .create(path)
        .with_context(|| format!("cannot make the directory {}", path.display()))
}

/// Reads a private key (PKCS #8, PEM) from a file that others than its owner cannot open.
pub(crate) fn read_key(path: &Path) -> Result<KeyPair> {
    let mode = fs::metadata(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .permissions()
        .mode();
    ensure!(
        mode & 0o077 == 0,
        "others than its owner can use {}: `chmod 600 {}`, and replace the key if they may have",
        path.display(),
        path.display()
    );
    let pem = Zeroizing::new(fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?);
    // the parser's own error adds nothing but could name what it read
    KeyPair::from_pem(&pem)
        .ok()
        .with_context(|| format!("{} holds no PKCS #8 private key in PEM form", path.display()))
}

/// A private key as PEM, wiped after use.
pub(crate) fn key_pem(key: &KeyPair) -> Zeroizing<String> {
    Zeroizing::new(key.serialize_pem())
}

/// Makes a node's data key: 32 random bytes as 64 hex digits and a newline, in a new file with mode 0600.
///
/// # Errors
///
/// If the file exists already or cannot be written.
pub(crate) fn write_data_key(path: &Path) -> Result<()> {
    let mut key = Zeroizing::new([0; DATA_KEY_BYTES]);
    SystemRandom::new()
        .fill(key.as_mut())
        .ok()
        .context("the system gave no randomness")?;
    let mut line = Zeroizing::new([b'\n'; 2 * DATA_KEY_BYTES + 1]);
    hex::encode_to_slice(key.as_slice(), &mut line[..2 * DATA_KEY_BYTES])?;
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        create_dir(dir)?;
    }
    write_new(&[NewFile::secret(path.to_owned(), line.as_ref())])
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::FileTypeExt as _, net::UnixListener};

    use super::*;

    #[test]
    fn what_is_no_file_is_not_replaced_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let _socket = UnixListener::bind(&path).unwrap();
        assert!(replace(&path, b"text").is_err());
        assert!(fs::metadata(&path).unwrap().file_type().is_socket());
        replace(&directory.path().join("file"), b"old").unwrap();
        replace(&directory.path().join("file"), b"new").unwrap();
        assert_eq!(fs::read(directory.path().join("file")).unwrap(), b"new");
    }
}
