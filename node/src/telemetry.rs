//! Tracing to standard error, as text or JSON. No field holds personal data, an item or a secret.

use std::io;

use tracing_subscriber::{EnvFilter, fmt, prelude::*, util::TryInitError};

use crate::config::{LogConfig, LogFormat};

/// Why tracing could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("log.filter is no filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Tracing was started before.
    #[error(transparent)]
    Init(#[from] TryInitError),
}

/// Starts tracing.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = match config.filter.as_str() {
        "" => EnvFilter::try_new("info")?,
        filter => EnvFilter::try_new(filter)?,
    };
    // it would print sums of counts that are withheld
    let filter = filter.add_directive("microlp=off".parse()?);
    let registry = tracing_subscriber::registry().with(filter);
    match config.format {
        LogFormat::Text => registry
            .with(fmt::layer().with_writer(io::stderr).with_ansi(false))
            .try_init()?,
        LogFormat::Json => registry.with(fmt::layer().json().with_writer(io::stderr)).try_init()?,
    }
    Ok(())
}
