//! What was signed of a log, met by the tree as it grows.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Anchors, Report, Witnessed};
use crate::{Digest, Header, SignedCheckpoint, Tree, VerifyingKey};

const NEWEST: &str = "the newest checkpoint";
const SEEN: &str = "the newest head that the other countersigned";

/// Signed heads, to be met at their sizes.
#[derive(Default)]
pub(super) struct Heads {
    by_size: BTreeMap<u64, Vec<(Digest, &'static str)>>,
    /// Size of the newest checkpoint.
    pub(super) newest: Option<u64>,
}

impl Heads {
    pub(super) fn read(header: &Header, anchors: &Anchors, key: &VerifyingKey, report: &mut Report) -> Self {
        let mut heads = Self::default();
        let texts = &header.checkpoints;
        for (size, root) in &anchors.heads {
            heads
                .by_size
                .entry(*size)
                .or_default()
                .push((*root, "a receipt that it gave"));
        }
        if let Some((size, root)) = anchors.seen {
            heads.by_size.entry(size).or_default().push((root, SEEN));
        }
        let named = || {
            header
                .peers
                .iter()
                .map(|peer| (peer.agency.clone(), peer.cosigner.clone()))
        };
        let cosigners: BTreeMap<String, VerifyingKey> = match anchors.cosigners.is_empty() {
            true => named().collect(),
            false => anchors.cosigners.clone(),
        };
        let given = anchors.checkpoint.iter().map(|text| (text, "the checkpoint given"));
        let first = texts.iter().take(1).map(|text| (text, NEWEST));
        let others = texts.iter().skip(1).map(|text| (text, "a countersigned checkpoint"));
        if texts.is_empty() {
            report.problem(None, "the file has no checkpoint");
        }
        for (text, what) in first.chain(others).chain(given) {
            let signed = SignedCheckpoint::parse(text).and_then(|signed| {
                let checkpoint = signed.verify(key)?.clone();
                Ok((signed, checkpoint))
            });
            let (signed, checkpoint) = match signed {
                Ok(signed) => signed,
                Err(error) => {
                    report.problem(None, format!("{what}: {error}"));
                    continue;
                }
            };
            for (by, cosigner) in &cosigners {
                let at = match signed.cosigned_at(cosigner) {
                    Ok(at) => Timestamp::from_second(i64::try_from(at).unwrap_or(i64::MAX)),
                    Err(crate::CheckpointError::NotSigned(_)) => continue,
                    Err(error) => {
                        report.problem(None, format!("{what}: {error}"));
                        continue;
                    }
                };
                if let Ok(at) = at {
                    report.witnessed.push(Witnessed {
                        by: by.clone(),
                        events: checkpoint.size,
                        at,
                    });
                }
            }
            if what == NEWEST {
                heads.newest = Some(checkpoint.size);
            }
            let of_size = heads.by_size.entry(checkpoint.size).or_default();
            of_size.push((checkpoint.root, what));
        }
        let signed: Vec<&String> = report.witnessed.iter().map(|witness| &witness.by).collect();
        let missing = cosigners
            .keys()
            .filter(|by| anchors.cosigners_must && !signed.contains(by));
        let missing: Vec<String> = missing.cloned().collect();
        for by in missing {
            report.problem(
                None,
                format!("{by}, who was named as a witness, has countersigned nothing of it"),
            );
        }
        heads
    }

    /// The tree has grown to its size.
    pub(super) fn reach(&mut self, tree: &Tree, report: &mut Report) {
        let is_next = self
            .by_size
            .first_key_value()
            .is_some_and(|(size, _)| *size == tree.size());
        let Some((size, heads)) = is_next.then(|| self.by_size.pop_first()).flatten() else {
            return;
        };
        let root = tree.root();
        for (signed, what) in heads {
            if signed != root {
                let within = match size {
                    0 => "no events".to_owned(),
                    size => format!("events 0 to {}", size - 1),
                };
                report.problem(
                    None,
                    format!(
                        "{what}, of {size} events, was signed for other events: one or more of {within} were changed, left out or added"
                    ),
                );
            }
        }
    }

    pub(super) fn unreached(self, report: &mut Report) {
        for (size, heads) in self.by_size {
            for (_, what) in heads {
                if what == SEEN {
                    report.remarks.push(format!(
                        "the other has countersigned {size} events of this log, and the file has fewer: take a newer one away"
                    ));
                    continue;
                }
                report.problem(None, format!("{what}, of {size} events, has more events than the file"));
            }
        }
    }
}
