//! Which node to talk to, and as whom: flags, environment, or one file, in that order.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::client::Failure;

/// How to reach your own node
#[derive(Clone, clap::Args, Default)]
#[command(next_help_heading = "Your node (also in ~/.config/overlap/cli.toml: node, ca, certificate, key)")]
pub(crate) struct Connection {
    /// File with node, ca, certificate and key, so that daily commands are short
    #[arg(long, global = true, env = "OVERLAP_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Operator address of your node, such as node.politie.example:7444
    #[arg(long, global = true, env = "OVERLAP_NODE", value_name = "HOST:PORT")]
    node: Option<String>,
    /// Certificate of the authority that your node's operator port is certified by
    #[arg(long, global = true, env = "OVERLAP_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Your certificate
    #[arg(long, global = true, env = "OVERLAP_CERTIFICATE", value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Your key
    #[arg(long, global = true, env = "OVERLAP_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
}

/// A checked connection.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) node: String,
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    node: Option<String>,
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Connection {
    /// Fills what is not given from the file.
    pub(crate) fn check(self) -> Result<Settings, Failure> {
        let file = match &self.config {
            Some(path) => read(path)?,
            None => match default_path() {
                Some(path) if path.exists() => read(&path)?,
                _ => File::default(),
            },
        };
        let need = |flag: &str| {
            let name = flag.to_uppercase();
            Failure::usage(anyhow::anyhow!(
                "--{flag} is not given; give it, set OVERLAP_{name}, or write `{flag} = \"...\"` to ~/.config/overlap/cli.toml"
            ))
        };
        Ok(Settings {
            node: self.node.or(file.node).ok_or_else(|| need("node"))?,
            ca: self.ca.or(file.ca).ok_or_else(|| need("ca"))?,
            certificate: self
                .certificate
                .or(file.certificate)
                .ok_or_else(|| need("certificate"))?,
            key: self.key.or(file.key).ok_or_else(|| need("key"))?,
        })
    }
}

fn default_path() -> Option<PathBuf> {
    let base = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let base = base.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")))?;
    Some(base.join("overlap/cli.toml"))
}

/// Reads the file; its paths are relative to it.
fn read(path: &Path) -> Result<File, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(anyhow::anyhow!("{}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let file: File = toml::from_str(&text).map_err(|error| wrong(&error))?;
    let base = path.parent().unwrap_or(Path::new("."));
    let at = |path: Option<PathBuf>| path.map(|path| base.join(path));
    Ok(File {
        node: file.node,
        ca: at(file.ca),
        certificate: at(file.certificate),
        key: at(file.key),
    })
}
