//! Approving queries of others, checked.

use crate::{WireError, check, pb::operator as op};

/// A user approves or refuses a query of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecideApproval {
    /// The first digits of its id, at least 8: lower-case hexadecimal.
    pub approval: String,
    /// Whether it is refused.
    pub refuses: bool,
    /// Reason in words.
    pub reason: String,
}

impl TryFrom<op::DecideApprovalRequest> for DecideApproval {
    type Error = WireError;

    fn try_from(request: op::DecideApprovalRequest) -> Result<Self, WireError> {
        Ok(Self {
            approval: check::digits("approval", &request.approval)?,
            refuses: request.refuses,
            reason: check::reason("reason", request.reason)?,
        })
    }
}
