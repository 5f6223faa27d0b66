//! A picture for other programs. Everything comes from what the picture tells, so small cells are withheld here as they are there.

mod graphml;
mod tables;

pub use graphml::graphml;
pub use tables::{csv, i2, xlsx};

use crate::picture::Picture;

/// Why an export could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Of the CSV writer.
    #[error("the CSV could not be written: {0}")]
    Csv(#[from] ::csv::Error),
    /// Of the XLSX writer.
    #[error("the workbook could not be written: {0}")]
    Xlsx(#[from] rust_xlsxwriter::XlsxError),
    /// Of the XML writer.
    #[error("the GraphML could not be written: {0}")]
    Xml(#[from] std::io::Error),
    /// Of the JSON writer.
    #[error("the JSON could not be written: {0}")]
    Json(#[from] serde_json::Error),
    /// What the format is for is not in a picture of statistics.
    #[error("there is nothing to draw links of: only an operational picture has pseudonyms")]
    NothingShared,
}

/// The picture as it is, for people and machines: indented JSON.
///
/// # Errors
/// [`ExportError::Json`].
pub fn json(picture: &Picture) -> Result<Vec<u8>, ExportError> {
    let mut text = serde_json::to_vec_pretty(picture)?;
    text.push(b'\n');
    Ok(text)
}
