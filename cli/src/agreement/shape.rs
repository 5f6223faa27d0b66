//! What commands on agreements print.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::anyhow;
use overlap_agreement::{Agreement, Change, Document, Signed, Statement};
use overlap_proto::pb::operator as pb;
use serde::Serialize;
use serde_json::Value;

use crate::client::Failure;

/// An agreement, in JSON.
#[derive(Clone, Serialize)]
pub(crate) struct AgreementShape {
    pub(crate) id: String,
    pub(crate) hash: String,
    pub(crate) state: String,
    pub(crate) explanation: String,
    pub(crate) parties: Vec<String>,
    /// Names of parties that have not signed.
    pub(crate) unsigned: Vec<String>,
    pub(crate) valid_from: String,
    pub(crate) valid_until: String,
    pub(crate) received: Option<String>,
    /// What it says.
    document: Value,
    /// What parties stated about it.
    statements: Vec<Value>,
    #[serde(skip)]
    jws: Vec<u8>,
}

/// Whether a party has heard, in JSON.
#[derive(Serialize)]
pub(crate) struct DeliveryShape {
    pub(crate) party: String,
    /// Why not; null: it has.
    pub(crate) failed: Option<String>,
}

/// A field that differs, in JSON.
#[derive(Serialize)]
pub(crate) struct ChangeShape {
    pub(crate) field: String,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
}

/// A document that was signed, in JSON.
#[derive(Serialize)]
pub(crate) struct SignedShape {
    file: String,
    hash: String,
    /// Thumbprints of the keys that signed.
    signers: Vec<String>,
}

impl SignedShape {
    pub(crate) fn of<D: Document>(signed: &Signed<D>, file: &Path) -> Self {
        Self {
            file: file.display().to_string(),
            hash: signed.hash().to_string(),
            signers: signed.signers().map(|key| key.thumbprint().to_string()).collect(),
        }
    }

    pub(crate) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{} has the hash {}", self.file, self.hash)?;
        self.signers
            .iter()
            .try_for_each(|signer| writeln!(out, "signed with the key {signer}"))
    }
}

impl AgreementShape {
    /// The document itself.
    pub(crate) fn signed(&self) -> Result<Signed<Agreement>, Failure> {
        Signed::parse(&self.jws).map_err(Failure::internal)
    }

    pub(crate) fn of_file(signed: &Signed<Agreement>) -> Self {
        let agreement = signed.document();
        let missing = agreement
            .parties
            .iter()
            .filter(|party| !signed.is_signed_by(&party.signing_key));
        let unsigned: Vec<String> = missing.map(|party| party.name.clone()).collect();
        Self {
            id: agreement.id.clone(),
            hash: signed.hash().to_string(),
            state: "file".to_owned(),
            explanation: match unsigned.as_slice() {
                [] => "every party has signed".to_owned(),
                unsigned => format!("not signed by {}", unsigned.join(" and ")),
            },
            parties: agreement.parties.iter().map(|party| party.name.clone()).collect(),
            unsigned,
            valid_from: agreement.valid_from.to_string(),
            valid_until: agreement.valid_until.to_string(),
            received: None,
            document: serde_json::to_value(agreement).unwrap_or_default(),
            statements: Vec::new(),
            jws: signed.to_json(),
        }
    }

    pub(crate) fn is_living(&self) -> bool {
        matches!(self.state.as_str(), "proposed" | "future" | "in-force")
    }

    pub(crate) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let Ok(signed) = self.signed() else {
            return writeln!(out, "{}", self.explanation);
        };
        let agreement = signed.document();
        for line in agreement.explain() {
            writeln!(out, "{line}")?;
        }
        for party in &agreement.parties {
            let signed = match self.unsigned.contains(&party.name) {
                true => "has NOT signed",
                false => "has signed",
            };
            writeln!(
                out,
                "{} ({}, {}) {signed}\n  key          {}\n  signing key  {}",
                party.name, party.id, party.country, party.key, party.signing_key
            )?;
        }
        for authority in &agreement.authorities {
            writeln!(
                out,
                "orders are given by {} ({})\n  signing key  {}",
                authority.name, authority.country, authority.signing_key
            )?;
        }
        writeln!(out, "hash {}", self.hash)?;
        writeln!(out, "{}: {}", self.state, self.explanation)?;
        for statement in &self.statements {
            let word = |name: &str| statement[name].as_str().unwrap_or_default().to_owned();
            writeln!(out, "{} at {}: {}", word("verb"), word("at"), word("reason"))?;
        }
        Ok(())
    }
}

impl TryFrom<pb::SignedAgreement> for AgreementShape {
    type Error = Failure;

    fn try_from(one: pb::SignedAgreement) -> Result<Self, Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure::internal(anyhow!("the node sent no agreement: {error}"));
        let signed = Signed::<Agreement>::parse(&one.document).map_err(|error| broken(&error))?;
        let statements = one.statements.iter().map(|json| {
            let statement = Signed::<Statement>::parse(json).map_err(|error| broken(&error))?;
            serde_json::to_value(statement.document()).map_err(|error| broken(&error))
        });
        Ok(Self {
            state: one.state,
            explanation: one.explanation,
            unsigned: one.unsigned,
            received: Some(one.received),
            statements: statements.collect::<Result<_, _>>()?,
            ..Self::of_file(&signed)
        })
    }
}

impl From<pb::Delivery> for DeliveryShape {
    fn from(delivery: pb::Delivery) -> Self {
        Self {
            party: delivery.party,
            failed: (!delivery.failed.is_empty()).then_some(delivery.failed),
        }
    }
}

impl From<Change> for ChangeShape {
    fn from(Change { field, from, to }: Change) -> Self {
        Self { field, from, to }
    }
}
