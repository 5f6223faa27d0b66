//! What of a picture is told: made of the counts once, and kept as that.

use jiff::Timestamp;
use overlap_proto::peer::Mode;
use overlap_psi::joint::Pseudonym;
use overlap_report::{Agency, Dropped, Form, KindPicture, Month, Picture, Shared, Subject};
use overlap_store::KeptPicture;

use crate::{
    policy::{LeadTerms, Permit},
    session::picture::Made,
};

/// What the report says beside the counts.
pub(super) struct About {
    pub(super) row: KeptPicture,
    picture: Picture,
    kinds: Vec<String>,
}

impl About {
    pub(super) fn of(permit: &Permit<LeadTerms>, now: Timestamp) -> Self {
        let (terms, entry) = (permit.terms(), permit.entry());
        let query = &terms.open.query;
        let since = Month::from_number(terms.open.since).unwrap_or_default();
        Self {
            row: KeptPicture {
                id: entry.transaction,
                as_holder: false,
                agreement: terms.agreement.hash(),
                dataset: entry.dataset.clone().unwrap_or_default(),
                made: now,
                expires: terms.open.expires,
                told: None,
            },
            picture: Picture {
                id: entry.transaction.to_string(),
                made: now.to_string(),
                expires: terms.open.expires.to_string(),
                form: match query.mode {
                    Mode::Count => Form::Statistics,
                    Mode::Hits => Form::Operational,
                },
                agreement: query.agreement.clone(),
                purpose: query.purpose.clone(),
                case_reference: query.case_reference.clone(),
                roles: entry.roles.clone(),
                since: (since != Month::UNKNOWN).then(|| since.to_string()),
                min_count: terms.min_count,
                agencies: Vec::new(),
                dropped: Vec::new(),
                kinds: Vec::new(),
                shared: Vec::new(),
            },
            kinds: entry.kinds.clone(),
        }
    }

    /// The picture that is told: small cells are withheld here, and nothing else is kept.
    pub(super) fn picture(&self, made: &Made) -> Picture {
        let names: Vec<String> = made.agencies.iter().map(|(name, _)| name.clone()).collect();
        let least = self.picture.min_count;
        Picture {
            agencies: made
                .agencies
                .iter()
                .map(|(name, items)| Agency {
                    name: name.clone(),
                    items: (least <= 1).then_some(*items),
                })
                .collect(),
            dropped: made
                .dropped
                .iter()
                .map(|(name, why)| Dropped {
                    name: name.clone(),
                    why: why.clone(),
                })
                .collect(),
            kinds: self.kinds(made, &names),
            shared: made.shared.iter().map(|one| self.shared(one, &names)).collect(),
            ..self.picture.clone()
        }
    }

    fn kinds(&self, made: &Made, names: &[String]) -> Vec<KindPicture> {
        let mut kinds = made.tally.told(&self.kinds, names, self.picture.min_count);
        if self.picture.form == Form::Operational {
            // participants say nothing of months then
            for kind in &mut kinds {
                let of_each = kind.combinations.iter_mut().flat_map(|one| &mut one.roles);
                let roles = kind.roles.iter_mut().chain(of_each);
                roles.for_each(|role| role.months.clear());
            }
        }
        kinds
    }

    fn shared(&self, (pseudonym, subject): &(Pseudonym, Subject), names: &[String]) -> Shared {
        let held = names.iter().enumerate();
        let held = held.filter(|(at, _)| subject.agencies >> at & 1 == 1);
        Shared {
            pseudonym: hex::encode(pseudonym),
            kind: self.kinds.get(usize::from(subject.kind)).cloned().unwrap_or_default(),
            agencies: held.map(|(_, name)| name.clone()).collect(),
            roles: subject.roles.names(),
        }
    }
}
