//! What nodes tell each other about their logs, checked.

use bytes::Bytes;
use overlap_audit::{Digest, SignedCheckpoint, SignedReceipt, VerifyingKey};
use uuid::Uuid;

use crate::{
    WireError, check,
    pb::peer::{self as pb, cosign_response},
};

/// Receipts in one message, at most.
pub const MOST_RECEIPTS: usize = 64;

/// Checkpoints of others in one message, at most.
pub const MOST_SEEN: usize = 64;

/// Hashes of a proof, at most.
const MOST_HASHES: usize = 64;

/// A node wants the head of its log countersigned.
#[derive(Debug, PartialEq)]
pub struct Cosign {
    /// What checks the caller's checkpoints.
    pub log_key: VerifyingKey,
    /// What checks its cosignatures.
    pub cosigner_key: VerifyingKey,
    /// Its newest checkpoint; the signature is still to be checked.
    pub checkpoint: SignedCheckpoint,
    /// Size that the proof begins at.
    pub old_size: u64,
    /// That the log grew from there.
    pub proof: Vec<Digest>,
    /// What it has seen of others' logs.
    pub seen: Vec<SignedCheckpoint>,
}

/// What a witness answers.
#[derive(Debug, PartialEq)]
pub struct Cosigned {
    /// What checks the witness's own checkpoints.
    pub log_key: VerifyingKey,
    /// What checks its cosignatures.
    pub cosigner_key: VerifyingKey,
    /// The answer.
    pub answer: CosignAnswer,
    /// What it has seen of others' logs.
    pub seen: Vec<SignedCheckpoint>,
}

/// Whether a witness countersigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CosignAnswer {
    /// The line to add to the note.
    Line(String),
    /// The size that it countersigned last: the proof has to begin there.
    Known(u64),
}

/// Receipts for queries that ended.
#[derive(Debug, PartialEq)]
pub struct Receipts(pub Vec<SignedReceipt>);

/// The callee's receipts for the same queries.
#[derive(Debug, PartialEq)]
pub struct ReceiptsAnswer {
    /// Of those that have ended.
    pub receipts: Vec<SignedReceipt>,
    /// Queries that its log does not have.
    pub unknown: Vec<Uuid>,
}

impl TryFrom<pb::CosignRequest> for Cosign {
    type Error = WireError;

    fn try_from(request: pb::CosignRequest) -> Result<Self, WireError> {
        Ok(Self {
            log_key: key("log_key", &request.log_key)?,
            cosigner_key: key("cosigner_key", &request.cosigner_key)?,
            checkpoint: checkpoint("checkpoint", &request.checkpoint)?,
            old_size: request.old_size,
            proof: hashes("proof", &request.proof)?,
            seen: seen(&request.seen)?,
        })
    }
}

impl From<Cosign> for pb::CosignRequest {
    fn from(cosign: Cosign) -> Self {
        Self {
            log_key: cosign.log_key.to_string(),
            cosigner_key: cosign.cosigner_key.to_string(),
            checkpoint: cosign.checkpoint.to_string(),
            old_size: cosign.old_size,
            proof: joined(&cosign.proof),
            seen: cosign.seen.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<pb::CosignResponse> for Cosigned {
    type Error = WireError;

    fn try_from(response: pb::CosignResponse) -> Result<Self, WireError> {
        Ok(Self {
            log_key: key("log_key", &response.log_key)?,
            cosigner_key: key("cosigner_key", &response.cosigner_key)?,
            answer: match check::present("answer", response.answer)? {
                cosign_response::Answer::Cosignature(line) => CosignAnswer::Line(line),
                cosign_response::Answer::KnownSize(size) => CosignAnswer::Known(size),
            },
            seen: seen(&response.seen)?,
        })
    }
}

impl From<Cosigned> for pb::CosignResponse {
    fn from(cosigned: Cosigned) -> Self {
        Self {
            log_key: cosigned.log_key.to_string(),
            cosigner_key: cosigned.cosigner_key.to_string(),
            answer: Some(match cosigned.answer {
                CosignAnswer::Line(line) => cosign_response::Answer::Cosignature(line),
                CosignAnswer::Known(size) => cosign_response::Answer::KnownSize(size),
            }),
            seen: cosigned.seen.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<pb::ExchangeReceiptsRequest> for Receipts {
    type Error = WireError;

    fn try_from(request: pb::ExchangeReceiptsRequest) -> Result<Self, WireError> {
        receipts(request.receipts).map(Self)
    }
}

impl From<Receipts> for pb::ExchangeReceiptsRequest {
    fn from(receipts: Receipts) -> Self {
        Self {
            receipts: receipts.0.into_iter().map(wire).collect(),
        }
    }
}

impl TryFrom<pb::ExchangeReceiptsResponse> for ReceiptsAnswer {
    type Error = WireError;

    fn try_from(response: pb::ExchangeReceiptsResponse) -> Result<Self, WireError> {
        if response.unknown.len() > MOST_RECEIPTS {
            return Err(WireError::new("unknown", "must be at most 64"));
        }
        let unknown = response.unknown.iter().map(|id| check::uuid("unknown", id));
        Ok(Self {
            unknown: unknown.collect::<Result<_, _>>()?,
            receipts: receipts(response.receipts)?,
        })
    }
}

impl From<ReceiptsAnswer> for pb::ExchangeReceiptsResponse {
    fn from(answer: ReceiptsAnswer) -> Self {
        Self {
            receipts: answer.receipts.into_iter().map(wire).collect(),
            unknown: answer
                .unknown
                .iter()
                .map(|id| Bytes::copy_from_slice(id.as_bytes()))
                .collect(),
        }
    }
}

/// The hashes of a consistency proof.
///
/// # Errors
/// [`WireError`]: not whole hashes, or too many.
pub fn proof(response: &pb::ProveConsistencyResponse) -> Result<Vec<Digest>, WireError> {
    hashes("proof", &response.proof)
}

/// Hashes, one after the other.
pub fn joined(hashes: &[Digest]) -> Bytes {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

fn receipts(receipts: Vec<pb::Receipt>) -> Result<Vec<SignedReceipt>, WireError> {
    if receipts.len() > MOST_RECEIPTS {
        return Err(WireError::new("receipts", "must be at most 64"));
    }
    receipts
        .into_iter()
        .map(|receipt| {
            let receipt = SignedReceipt {
                note: receipt.note,
                opened_path: hashes("receipts.opened_path", &receipt.opened_path)?,
                closed_path: hashes("receipts.closed_path", &receipt.closed_path)?,
            };
            match receipt.unverified() {
                Ok(_) => Ok(receipt),
                Err(_) => Err(WireError::new("receipts.note", "must be a receipt")),
            }
        })
        .collect()
}

fn wire(receipt: SignedReceipt) -> pb::Receipt {
    pb::Receipt {
        opened_path: joined(&receipt.opened_path),
        closed_path: joined(&receipt.closed_path),
        note: receipt.note,
    }
}

fn seen(texts: &[String]) -> Result<Vec<SignedCheckpoint>, WireError> {
    if texts.len() > MOST_SEEN {
        return Err(WireError::new("seen", "must be at most 64"));
    }
    texts.iter().map(|text| checkpoint("seen", text)).collect()
}

fn checkpoint(field: &'static str, text: &str) -> Result<SignedCheckpoint, WireError> {
    SignedCheckpoint::parse(text).map_err(|_| WireError::new(field, "must be a signed checkpoint"))
}

fn key(field: &'static str, text: &str) -> Result<VerifyingKey, WireError> {
    check::listed(field, text, "must be a verifier key")
}

fn hashes(field: &'static str, bytes: &[u8]) -> Result<Vec<Digest>, WireError> {
    match bytes.as_chunks::<32>() {
        (hashes, []) if hashes.len() <= MOST_HASHES => Ok(hashes.iter().map(|hash| Digest(*hash)).collect()),
        _ => Err(WireError::new(field, "must be at most 64 whole hashes of 32 bytes")),
    }
}

#[cfg(test)]
mod tests {
    use overlap_audit::SigningKey;
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn wish() -> Cosign {
        let key = SigningKey::from_pkcs8("a.example/log", &SigningKey::generate().unwrap()).unwrap();
        Cosign {
            log_key: key.verifying_key(),
            cosigner_key: key.cosigner_key(),
            checkpoint: key.sign(3, &Digest([3; 32])).unwrap(),
            old_size: 2,
            proof: vec![Digest([1; 32]), Digest([2; 32])],
            seen: vec![key.sign(2, &Digest([2; 32])).unwrap()],
        }
    }

    #[test]
    fn a_wish_to_be_countersigned_survives_the_wire() {
        let sent = pb::CosignRequest::from(wish());
        let read = Cosign::try_from(sent.clone()).unwrap();
        assert_eq!(pb::CosignRequest::from(read), sent);
    }

    #[test]
    fn each_bad_field_is_named() {
        type Spoil = fn(&mut pb::CosignRequest);
        let cases: [(&str, Spoil); 6] = [
            ("log_key", |r| r.log_key = "CANARY".into()),
            ("cosigner_key", |r| r.cosigner_key.truncate(20)),
            ("checkpoint", |r| r.checkpoint = "CANARY".into()),
            ("proof", |r| r.proof = vec![0; 33].into()),
            ("proof", |r| r.proof = vec![0; 32 * 65].into()),
            ("seen", |r| r.seen = vec![r.checkpoint.clone(); 65]),
        ];
        for (field, spoil) in cases {
            let mut request = pb::CosignRequest::from(wish());
            spoil(&mut request);
            let error = Cosign::try_from(request).unwrap_err();
            assert_eq!(error.field, field);
            assert!(!error.to_string().contains("CANARY"));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_panic(bytes: Vec<u8>) {
            if let Ok(message) = pb::CosignRequest::decode(bytes.as_slice()) {
                let _ = Cosign::try_from(message);
            }
            if let Ok(message) = pb::CosignResponse::decode(bytes.as_slice()) {
                let _ = Cosigned::try_from(message);
            }
            if let Ok(message) = pb::ExchangeReceiptsRequest::decode(bytes.as_slice()) {
                let _ = Receipts::try_from(message);
            }
            if let Ok(message) = pb::ExchangeReceiptsResponse::decode(bytes.as_slice()) {
                let _ = ReceiptsAnswer::try_from(message);
            }
        }
    }
}
