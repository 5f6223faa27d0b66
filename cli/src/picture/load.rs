//! Where a picture comes from: the own node, or a file that was saved.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use overlap_proto::pb::operator as pb;
use overlap_report::Picture;

use crate::{
    client::{self, Failure},
    settings::Connection,
};

/// Largest file that is read as a picture.
const MOST_BYTES: u64 = 256 << 20;

/// A picture by the first digits of its id, or the path of a file.
pub(super) async fn load(connection: Connection, picture: &str, reason: Option<String>) -> Result<Picture, Failure> {
    let path = Path::new(picture);
    if path.is_file() {
        return read(path).map_err(Failure::usage);
    }
    if picture.contains(['/', '.']) {
        return Err(Failure::usage(anyhow!("there is no file {picture}")));
    }
    let reason = reason.ok_or_else(|| {
        Failure::usage(anyhow!(
            "{picture} is no file, so your node is asked for it, which goes to the log: give --reason"
        ))
    })?;
    let mut client = client::pictures(&connection.check()?).await?;
    let request = pb::ShowPictureRequest {
        picture: picture.to_owned(),
        reason,
    };
    let mut pieces = client.show(request).await?.into_inner();
    let mut json = Vec::new();
    while let Some(piece) = pieces.message().await? {
        json.extend(piece.told);
    }
    shown(&json)
}

/// What the node told of a picture.
pub(super) fn shown(json: &[u8]) -> Result<Picture, Failure> {
    serde_json::from_slice(json)
        .context("the node told a picture that cannot be read: are both of one version?")
        .map_err(Failure::internal)
}

fn read(path: &Path) -> anyhow::Result<Picture> {
    let size = std::fs::metadata(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .len();
    if size > MOST_BYTES {
        anyhow::bail!("{} is larger than {MOST_BYTES} bytes: no picture is", path.display());
    }
    let json = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let picture: Picture = serde_json::from_slice(&json).map_err(|error| {
        anyhow!(
            "{} is no picture as `overlap picture export --format json` writes it: line {}, column {}",
            path.display(),
            error.line(),
            error.column()
        )
    })?;
    picture
        .check()
        .with_context(|| format!("{} is no picture that a node made", path.display()))?;
    Ok(picture)
}
