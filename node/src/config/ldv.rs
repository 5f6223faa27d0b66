//! Where ended entries are handed on to, in the form of the standard Logboek Dataverwerkingen.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use overlap_audit::Activities;
use serde::Deserialize;
use tonic::transport::Uri;

/// A receiver of log lines over OTLP.
pub(crate) struct Ldv {
    /// `http` on this machine, or `https`.
    pub(crate) endpoint: Uri,
    /// PEM: authorities that the receiver needs a certificate of.
    pub(crate) ca: Option<PathBuf>,
    pub(crate) activities: Activities,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    endpoint: String,
    ca: Option<PathBuf>,
    activity: String,
    #[serde(default)]
    activities: BTreeMap<String, String>,
}

impl Raw {
    pub(super) fn check(self, base: &Path) -> Result<Ldv, (&'static str, &'static str)> {
        let endpoint: Uri = self.endpoint.parse().map_err(|_| ("ldv.endpoint", "must be a URL"))?;
        let is_here = matches!(endpoint.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match endpoint.scheme_str() {
            Some("http") if is_here && self.ca.is_none() => {}
            Some("http") if is_here => {
                return Err((
                    "ldv.ca",
                    "must be left out with an http endpoint, which has no certificate",
                ));
            }
            Some("https") if self.ca.is_some() => {}
            Some("https") => return Err(("ldv.ca", "must be given with an https endpoint")),
            _ => return Err(("ldv.endpoint", "must be an https URL, or http on this machine")),
        }
        let ca = self.ca.map(|ca| base.join(ca));
        if ca.as_ref().is_some_and(|ca| !ca.is_file()) {
            return Err(("ldv.ca", "must name a file"));
        }
        let is_url = |text: &String| text.starts_with("https://") || text.starts_with("urn:");
        const MUST: &str = "must be an https URL or a urn in the register of processing activities";
        if !is_url(&self.activity) {
            return Err(("ldv.activity", MUST));
        }
        if !self.activities.values().all(is_url) {
            return Err(("ldv.activities", MUST));
        }
        Ok(Ldv {
            endpoint,
            ca,
            activities: Activities {
                default: self.activity,
                by_purpose: self.activities,
            },
        })
    }
}
