//! What cargo knows of the workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The workspace as `cargo metadata` tells it.
pub(crate) struct Metadata {
    pub(crate) root: PathBuf,
    target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest: PathBuf,
    /// Names of its dependencies: normal, build and dev.
    pub(crate) dependencies: Vec<String>,
}

impl Metadata {
    /// Asks cargo; needs no network.
    pub(crate) fn load() -> Result<Self> {
        let output = crate::cargo(Path::new("."))
            .args(["metadata", "--no-deps", "--format-version", "1", "--locked"])
            .output()
            .context("cannot run cargo metadata")?;
        if !output.status.success() {
            bail!(
                "cargo metadata failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Self::parse(&serde_json::from_slice(&output.stdout)?)
    }

    pub(crate) fn parse(json: &Value) -> Result<Self> {
        Ok(Self {
            root: text(json, "workspace_root")?.into(),
            target: text(json, "target_directory")?.into(),
            packages: list(json, "packages")?
                .iter()
                .map(Package::parse)
                .collect::<Result<_>>()?,
        })
    }

    /// Where the binaries of the daily profile are.
    pub(crate) fn bin_dir(&self) -> PathBuf {
        self.target.join("debug")
    }

    /// Where cargo puts what it builds.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }
}

impl Package {
    fn parse(json: &Value) -> Result<Self> {
        let dependencies = list(json, "dependencies")?;
        Ok(Self {
            name: text(json, "name")?,
            manifest: text(json, "manifest_path")?.into(),
            dependencies: dependencies
                .iter()
                .map(|dependency| text(dependency, "name"))
                .collect::<Result<_>>()?,
        })
    }
}

fn text(json: &Value, field: &str) -> Result<String> {
    let text = json.get(field).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("cargo metadata has no {field}"))?
        .to_owned())
}

fn list<'a>(json: &'a Value, field: &str) -> Result<&'a Vec<Value>> {
    json.get(field)
        .and_then(Value::as_array)
        .with_context(|| format!("cargo metadata has no {field}"))
}
