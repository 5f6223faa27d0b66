//! Receipts: what a node signs for the other side of a query, so that neither can later leave the query out of its log.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use signed_note::{Note, Signature};
use uuid::Uuid;

use crate::{CheckpointError, Digest, Side, SigningKey, TreeError, VerifyingKey, check_inclusion};

/// The first line of a receipt's text. It begins no checkpoint: no log has this name.
const LABEL: &str = "overlap/receipt/v1";

/// Longest receipt that is read, in bytes.
const MAX_RECEIPT: usize = 4096;

/// That a log has both events of an entry, under a head that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Name of the log.
    pub origin: String,
    /// Id of the query.
    pub transaction: Uuid,
    /// The part that the log's node played.
    pub side: Side,
    /// Index and leaf hash of the entry's opening.
    pub opened: (u64, Digest),
    /// Index and leaf hash of its end.
    pub closed: (u64, Digest),
    /// Size and root of the log when the receipt was given.
    pub head: (u64, Digest),
}

/// A receipt with its signature and the two paths that lead from the leaves to the head; nothing of it is checked yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedReceipt {
    /// A signed note (C2SP signed-note).
    pub note: String,
    /// Path of the opening's leaf (RFC 6962 section 2.1.1).
    pub opened_path: Vec<Digest>,
    /// Path of the end's leaf.
    pub closed_path: Vec<Digest>,
}

/// A receipt as the other side of a query keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptReceipt {
    /// Who gave it.
    pub agency: String,
    /// The key of its log at that time.
    pub key: VerifyingKey,
    /// The receipt.
    pub receipt: SignedReceipt,
}

/// Why a receipt cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Not the text of a receipt.
    #[error("not a receipt")]
    Form,
    /// The signature is missing, wrong or of another log.
    #[error("the receipt's signature: {0}")]
    Signature(#[from] CheckpointError),
    /// The leaves are not in the head that it names.
    #[error("the receipt's head does not have the entry")]
    Path(#[from] TreeError),
}

impl Receipt {
    /// Signs.
    ///
    /// # Errors
    /// [`ReceiptError::Signature`]: the key's name cannot stand in a note.
    pub fn sign(
        &self,
        key: &SigningKey,
        opened_path: Vec<Digest>,
        closed_path: Vec<Digest>,
    ) -> Result<SignedReceipt, ReceiptError> {
        let text = self.to_string();
        let line = key.sign_text(&text)?;
        let note = Note::new(text.as_bytes(), &[line]).map_err(|_| ReceiptError::Form)?;
        Ok(SignedReceipt {
            note: String::from_utf8(note.to_bytes()).map_err(|_| ReceiptError::Form)?,
            opened_path,
            closed_path,
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut next = || lines.next();
        if next()? != LABEL {
            return None;
        }
        let origin = next()?.to_owned();
        let transaction = next()?.parse().ok()?;
        let side = next()?.parse().ok()?;
        let mut numbered = || {
            let (number, hash) = next()?.split_once(' ')?;
            let hash = BASE64_STANDARD.decode(hash).ok()?;
            Some((number.parse().ok()?, Digest(hash.try_into().ok()?)))
        };
        let receipt = Self {
            origin,
            transaction,
            side,
            opened: numbered()?,
            closed: numbered()?,
            head: numbered()?,
        };
        // one spelling, and nothing else that is signed along
        (receipt.to_string() == text).then_some(receipt)
    }
}

/// The note's text.
impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{LABEL}\n{}\n{}\n{}\n", self.origin, self.transaction, self.side)?;
        for (number, hash) in [&self.opened, &self.closed, &self.head] {
            writeln!(f, "{number} {}", BASE64_STANDARD.encode(hash.0))?;
        }
        Ok(())
    }
}

impl SignedReceipt {
    /// What it says; nobody has checked who said it.
    ///
    /// # Errors
    /// [`ReceiptError::Form`].
    pub fn unverified(&self) -> Result<Receipt, ReceiptError> {
        Ok(self.read()?.1)
    }

    /// What the log of `key` said: its signature is good, and the head that it signed has both leaves.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<Receipt, ReceiptError> {
        let (note, receipt, signatures) = self.read()?;
        if receipt.origin != key.name() {
            return Err(ReceiptError::Signature(CheckpointError::Origin {
                found: receipt.origin,
                expected: key.name().to_owned(),
            }));
        }
        key.verify(&note, &signatures)?;
        let (size, root) = &receipt.head;
        check_inclusion(&self.opened_path, *size, root, receipt.opened.0, &receipt.opened.1)?;
        check_inclusion(&self.closed_path, *size, root, receipt.closed.0, &receipt.closed.1)?;
        Ok(receipt)
    }

    fn read(&self) -> Result<(Note, Receipt, Vec<Signature>), ReceiptError> {
        let form = || ReceiptError::Form;
        if self.note.len() > MAX_RECEIPT {
            return Err(form());
        }
        let note = Note::from_bytes(self.note.as_bytes()).map_err(|_| form())?;
        let text = std::str::from_utf8(note.text()).map_err(|_| form())?;
        let receipt = Receipt::parse(text).ok_or_else(form)?;
        let lines = self.note.get(text.len() + 1..).unwrap_or_default();
        let signatures = lines.lines().map(|line| Signature::from_bytes(line.as_bytes()));
        let signatures = signatures.collect::<Result<_, _>>().map_err(|_| form())?;
        Ok((note, receipt, signatures))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{HeldTiles, Tree, View, leaf_hash};

    fn key(name: &str) -> SigningKey {
        SigningKey::from_pkcs8(name, &SigningKey::generate().unwrap()).unwrap()
    }

    fn given(key: &SigningKey) -> SignedReceipt {
        let leaves: Vec<Digest> = (0..5).map(|n| leaf_hash(&Digest([n; 32]))).collect();
        let mut tree = Tree::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf, &mut Vec::new()));
        let tiles = HeldTiles::default();
        let view = View::new(&tree, &tiles);
        let receipt = Receipt {
            origin: "kmar.example/log".into(),
            transaction: Uuid::from_u128(7),
            side: Side::Holder,
            opened: (1, leaves[1]),
            closed: (3, leaves[3]),
            head: (5, tree.root()),
        };
        let path = |index| view.inclusion(index, 5).unwrap();
        receipt.sign(key, path(1), path(3)).unwrap()
    }

    #[test]
    fn a_receipt_says_what_was_signed() {
        let log = key("kmar.example/log");
        let signed = given(&log);
        let receipt = signed.verify(&log.verifying_key()).unwrap();
        assert_eq!((receipt.transaction, receipt.side), (Uuid::from_u128(7), Side::Holder));
        let json = serde_json::to_string(&signed).unwrap();
        assert_eq!(serde_json::from_str::<SignedReceipt>(&json).unwrap(), signed);
    }

    #[test]
    fn forged_receipts_are_refused() {
        let log = key("kmar.example/log");
        let (signed, vkey) = (given(&log), log.verifying_key());
        let other = key("kmar.example/log").verifying_key();
        assert!(matches!(signed.verify(&other), Err(ReceiptError::Signature(_))));
        let named = key("iszw.example/log").verifying_key();
        assert!(matches!(
            signed.verify(&named),
            Err(ReceiptError::Signature(CheckpointError::Origin { .. }))
        ));
        let forged = |from: &str, to: &str| {
            let mut forged = signed.clone();
            forged.note = forged.note.replace(from, to);
            assert_ne!(forged, signed);
            forged.verify(&vkey)
        };
        assert!(matches!(
            forged("\nholder\n", "\nasker\n"),
            Err(ReceiptError::Signature(_))
        ));
        assert_eq!(forged("\nholder\n", "\nnobody\n"), Err(ReceiptError::Form));
        assert_eq!(forged("receipt/v1", "receipt/v2"), Err(ReceiptError::Form));
        let mut moved = signed.clone();
        moved.opened_path = moved.closed_path.clone();
        assert!(matches!(moved.verify(&vkey), Err(ReceiptError::Path(_))));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_without_panic(note in "(overlap/receipt/v1\n)?[\\n\\PC]{0,200}", path in prop::collection::vec(any::<[u8; 32]>(), 0..70)) {
            let path: Vec<Digest> = path.into_iter().map(Digest).collect();
            let receipt = SignedReceipt { note, opened_path: path.clone(), closed_path: path };
            prop_assert!(receipt.verify(&key("a").verifying_key()).is_err());
        }
    }
}
