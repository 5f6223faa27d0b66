//! What the policy judges.

/// What is judged: every action but those of queries (`ask`, `lead`, `check`, `follow_up`, `answer`, `disclose`) is of an own user, on a dataset or on the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    ImportDataset,
    EraseDataset,
    PurgeDataset,
    DecideHit,
    CommitInput,
    ReadHits,
    ReadPictures,
    ReadLog,
    ExportLog,
    OpenInput,
    AcknowledgeAlarm,
    DraftAgreement,
    ProposeAgreement,
    AcceptAgreement,
    RejectAgreement,
    RevokeAgreement,
    ReadAgreements,
    AddOrder,
    ReadOrders,
    Approve,
    ReadApprovals,
    ExplainPolicy,
    Reflect,
    Coordinate,
    Join,
    ReadActions,
    ReadAlerts,
    HandleAlert,
}

impl Action {
    pub(super) const ALL: [Self; 28] = [
        Self::ImportDataset,
        Self::EraseDataset,
        Self::PurgeDataset,
        Self::DecideHit,
        Self::CommitInput,
        Self::ReadHits,
        Self::ReadPictures,
        Self::ReadLog,
        Self::ExportLog,
        Self::OpenInput,
        Self::AcknowledgeAlarm,
        Self::DraftAgreement,
        Self::ProposeAgreement,
        Self::AcceptAgreement,
        Self::RejectAgreement,
        Self::RevokeAgreement,
        Self::ReadAgreements,
        Self::AddOrder,
        Self::ReadOrders,
        Self::Approve,
        Self::ReadApprovals,
        Self::ExplainPolicy,
        Self::Reflect,
        Self::Coordinate,
        Self::Join,
        Self::ReadActions,
        Self::ReadAlerts,
        Self::HandleAlert,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ImportDataset => "import_dataset",
            Self::EraseDataset => "erase_dataset",
            Self::PurgeDataset => "purge_dataset",
            Self::DecideHit => "decide_hit",
            Self::CommitInput => "commit_input",
            Self::ReadHits => "read_hits",
            Self::ReadPictures => "read_pictures",
            Self::ReadLog => "read_log",
            Self::ExportLog => "export_log",
            Self::OpenInput => "open_input",
            Self::AcknowledgeAlarm => "acknowledge_alarm",
            Self::DraftAgreement => "draft_agreement",
            Self::ProposeAgreement => "propose_agreement",
            Self::AcceptAgreement => "accept_agreement",
            Self::RejectAgreement => "reject_agreement",
            Self::RevokeAgreement => "revoke_agreement",
            Self::ReadAgreements => "read_agreements",
            Self::AddOrder => "add_order",
            Self::ReadOrders => "read_orders",
            Self::Approve => "approve",
            Self::ReadApprovals => "read_approvals",
            Self::ExplainPolicy => "explain_policy",
            Self::Reflect => "reflect",
            Self::Coordinate => "lead_action",
            Self::Join => "join_action",
            Self::ReadActions => "read_actions",
            Self::ReadAlerts => "read_alerts",
            Self::HandleAlert => "handle_alert",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    pub(crate) fn is_on_dataset(self) -> bool {
        matches!(
            self,
            Self::ImportDataset | Self::EraseDataset | Self::PurgeDataset | Self::DecideHit | Self::CommitInput
        )
    }
}
