//! What travels of agreements and orders, checked.

use bytes::Bytes;
use overlap_agreement::{Agreement, Document, Order, Signed, Statement};
use overlap_audit::Digest;

use overlap_records::Kind;

use crate::{
    WireError, check,
    pb::{operator as op, peer as pb},
    peer::{self, Mode},
};

/// Most statements about one document, or in one message.
pub const MOST_STATEMENTS: usize = 64;

/// What one side has of an agreement, or has heard of orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// With the signatures on it; none: the statements are about orders.
    pub agreement: Option<Box<Signed<Agreement>>>,
    /// What parties or authorities have stated.
    pub statements: Vec<Signed<Statement>>,
}

/// Who a node says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// Its short name.
    pub name: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Thumbprint of the key that it signs documents with.
    pub signing_key: Digest,
}

/// A user decides on an agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decide {
    /// Its id or hash.
    pub agreement: String,
    /// What is decided.
    pub verb: Verb,
    /// Reason in words.
    pub reason: String,
}

/// What may be decided on an agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// To sign it.
    Accept,
    /// Not to sign it.
    Reject,
    /// To end it.
    Revoke,
}

/// A user takes in an order, or a statement about one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddOrder {
    /// JWS.
    pub document: OrderDocument,
    /// Reason in words.
    pub reason: String,
}

/// What an authority has signed, unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderDocument {
    /// An order.
    Order(Bytes),
    /// A statement.
    Statement(Bytes),
}

impl Verb {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Revoke => "revoke",
        }
    }
}

fn signed<D: Document>(field: &'static str, bytes: &[u8], must: &'static str) -> Result<Signed<D>, WireError> {
    Signed::parse(bytes).map_err(|_| WireError::new(field, must))
}

fn settle(agreement: &[u8], statements: &[Bytes]) -> Result<Settle, WireError> {
    if statements.len() > MOST_STATEMENTS {
        return Err(WireError::new("statements", "must be 64 at most"));
    }
    let statements = statements
        .iter()
        .map(|one| signed("statements", one, "must be statements whose signatures hold"))
        .collect::<Result<_, _>>()?;
    let agreement = match agreement {
        [] => None,
        bytes => Some(Box::new(signed(
            "agreement",
            bytes,
            "must be an agreement in canonical form whose signatures hold",
        )?)),
    };
    Ok(Settle { agreement, statements })
}

/// The order in a message; none where it is empty.
pub(crate) fn order(field: &'static str, bytes: &[u8]) -> Result<Option<Box<Signed<Order>>>, WireError> {
    match bytes {
        [] => Ok(None),
        bytes => Ok(Some(Box::new(signed(
            field,
            bytes,
            "must be an order in canonical form whose signatures hold",
        )?))),
    }
}

impl TryFrom<pb::SettleRequest> for Settle {
    type Error = WireError;

    fn try_from(message: pb::SettleRequest) -> Result<Self, WireError> {
        settle(&message.agreement, &message.statements)
    }
}

impl TryFrom<pb::SettleResponse> for Settle {
    type Error = WireError;

    fn try_from(message: pb::SettleResponse) -> Result<Self, WireError> {
        settle(&message.agreement, &message.statements)
    }
}

impl Settle {
    fn parts(&self) -> (Bytes, Vec<Bytes>) {
        let agreement = self.agreement.as_ref().map(|agreement| agreement.to_json());
        let statements = self.statements.iter().map(|one| one.to_json().into());
        (agreement.unwrap_or_default().into(), statements.collect())
    }
}

impl From<&Settle> for pb::SettleRequest {
    fn from(settle: &Settle) -> Self {
        let (agreement, statements) = settle.parts();
        Self { agreement, statements }
    }
}

impl From<&Settle> for pb::SettleResponse {
    fn from(settle: &Settle) -> Self {
        let (agreement, statements) = settle.parts();
        Self { agreement, statements }
    }
}

impl TryFrom<pb::IntroduceResponse> for Introduction {
    type Error = WireError;

    fn try_from(message: pb::IntroduceResponse) -> Result<Self, WireError> {
        Ok(Self {
            name: check::name("name", message.name)?,
            country: check::country("country", message.country)?,
            signing_key: check::digest("signing_key", &message.signing_key)?,
        })
    }
}

impl From<Introduction> for pb::IntroduceResponse {
    fn from(introduction: Introduction) -> Self {
        Self {
            name: introduction.name,
            country: introduction.country,
            signing_key: Bytes::copy_from_slice(&introduction.signing_key.0),
        }
    }
}

impl TryFrom<op::DecideAgreementRequest> for Decide {
    type Error = WireError;

    fn try_from(request: op::DecideAgreementRequest) -> Result<Self, WireError> {
        let verbs = [Verb::Accept, Verb::Reject, Verb::Revoke];
        let verb = verbs.into_iter().find(|verb| verb.name() == request.verb);
        Ok(Self {
            agreement: check::name("agreement", request.agreement)?,
            verb: verb.ok_or(WireError::new("verb", "must be accept, reject or revoke"))?,
            reason: check::reason("reason", request.reason)?,
        })
    }
}

impl TryFrom<op::AddOrderRequest> for AddOrder {
    type Error = WireError;

    fn try_from(request: op::AddOrderRequest) -> Result<Self, WireError> {
        use op::add_order_request::Document as Given;
        Ok(Self {
            document: match check::present("document", request.document)? {
                Given::Order(bytes) => OrderDocument::Order(bytes),
                Given::Statement(bytes) => OrderDocument::Statement(bytes),
            },
            reason: check::reason("reason", request.reason)?,
        })
    }
}

/// A user commits to a set, for an order to name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitInput {
    /// Own dataset.
    pub dataset: String,
    /// Mode that it would be asked in.
    pub mode: Mode,
    /// Kinds that would be compared.
    pub kinds: Vec<Kind>,
    /// Reason in words.
    pub reason: String,
}

impl TryFrom<op::CommitInputRequest> for CommitInput {
    type Error = WireError;

    fn try_from(request: op::CommitInputRequest) -> Result<Self, WireError> {
        Ok(Self {
            dataset: check::name("dataset", request.dataset)?,
            mode: check::listed("mode", &request.mode, "must be hits or count")?,
            kinds: peer::kinds("kinds", &request.kinds)?,
            reason: check::reason("reason", request.reason)?,
        })
    }
}

/// The signed document and the reason of what is taken in.
///
/// # Errors
/// [`WireError`] unless the reason is in words; the document is not read here.
pub fn taken(request: op::TakeAgreementRequest) -> Result<(Bytes, String), WireError> {
    Ok((request.document, check::reason("reason", request.reason)?))
}

/// The unsigned document and the reason of a proposal.
///
/// # Errors
/// [`WireError`] unless the reason is in words; the document is not read here.
pub fn proposal(request: op::ProposeAgreementRequest) -> Result<(Bytes, String), WireError> {
    Ok((request.document, check::reason("reason", request.reason)?))
}
