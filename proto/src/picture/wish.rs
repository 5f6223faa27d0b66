//! What an agency's own users want of pictures.

use overlap_records::{Kind, Role};

use super::MOST_PARTICIPANTS;
use crate::{
    WireError, check,
    pb::operator as op,
    peer::{self, Mode},
};

/// A user asks for a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Names of the peers that are asked to take part, ascending.
    pub peers: Vec<String>,
    /// Own dataset; none: this agency only leads.
    pub dataset: Option<String>,
    /// What is learnt: counts are statistics, hits an operational picture.
    pub mode: Mode,
    /// Kinds to compare; none: all that every grant covers.
    pub kinds: Option<Vec<Kind>>,
    /// Roles of the subjects; none: all that every grant covers.
    pub roles: Option<Vec<Role>>,
    /// First month of records that take part; 0: all.
    pub since: u16,
    /// Purpose.
    pub purpose: String,
    /// Case reference.
    pub case_reference: String,
    /// Reason in words.
    pub reason: String,
    /// Agreement; none: the one that covers it.
    pub agreement: Option<String>,
    /// Id of the order.
    pub order: Option<String>,
    /// Fewest that may take part; none: all.
    pub min_participants: Option<usize>,
    /// Seconds after which one that says nothing has failed; none: the node's limit.
    pub patience: Option<u64>,
    /// Days that it is kept.
    pub keep_days: u32,
}

/// A user names a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AboutPicture {
    /// The first digits of its id, at least 8: lower-case hexadecimal.
    pub picture: String,
    /// Reason in words.
    pub reason: String,
}

/// A user follows up what is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowUpPicture {
    /// The picture.
    pub about: AboutPicture,
    /// The first digits of the pseudonym, at least 8: lower-case hexadecimal.
    pub pseudonym: String,
}

impl TryFrom<op::ShowPictureRequest> for AboutPicture {
    type Error = WireError;

    fn try_from(request: op::ShowPictureRequest) -> Result<Self, WireError> {
        Ok(Self {
            picture: check::digits("picture", &request.picture)?,
            reason: check::reason("reason", request.reason)?,
        })
    }
}

impl TryFrom<op::FollowUpPictureRequest> for FollowUpPicture {
    type Error = WireError;

    fn try_from(request: op::FollowUpPictureRequest) -> Result<Self, WireError> {
        Ok(Self {
            about: AboutPicture {
                picture: check::digits("picture", &request.picture)?,
                reason: check::reason("reason", request.reason)?,
            },
            pseudonym: check::digits("pseudonym", &request.pseudonym)?,
        })
    }
}

impl TryFrom<op::RunPictureRequest> for Run {
    type Error = WireError;

    fn try_from(request: op::RunPictureRequest) -> Result<Self, WireError> {
        const PEERS: &str = "must be 1 to 64 names, each once";
        let mut peers = request.peers;
        peers.sort_unstable();
        let fits = (1..=MOST_PARTICIPANTS).contains(&peers.len());
        if !fits || peers.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(WireError::new("peers", PEERS));
        }
        let number = |value: u32| (value > 0).then_some(value);
        Ok(Self {
            peers: peers
                .into_iter()
                .map(|name| check::name("peers", name))
                .collect::<Result<_, _>>()?,
            dataset: check::optional(request.dataset, |name| check::name("dataset", name))?,
            mode: match request.form.as_str() {
                "statistics" => Mode::Count,
                "operational" => Mode::Hits,
                _ => return Err(WireError::new("form", "must be statistics or operational")),
            },
            kinds: match request.kinds.as_slice() {
                [] => None,
                names => Some(peer::kinds("kinds", names)?),
            },
            roles: match request.roles.as_slice() {
                [] => None,
                names => Some(peer::roles("roles", names)?),
            },
            since: check::optional(request.since, |text| since(&text))?.unwrap_or_default(),
            purpose: check::name("purpose", request.purpose)?,
            case_reference: check::case_reference("case_reference", request.case_reference)?,
            reason: check::reason("reason", request.reason)?,
            agreement: check::optional(request.agreement, |id| check::name("agreement", id))?,
            order: check::optional(request.order, |id| check::name("order", id))?,
            min_participants: number(request.min_participants)
                .map(|least| usize::try_from(least.max(2)).unwrap_or(usize::MAX)),
            patience: number(request.patience).map(u64::from),
            keep_days: match request.keep_days {
                0 => 30,
                days @ 1..=366 => days,
                _ => return Err(WireError::new("keep_days", "must be 1 to 366, or 0 for 30")),
            },
        })
    }
}

/// A month such as `2026-03`, as its number.
fn since(text: &str) -> Result<u16, WireError> {
    const MUST: WireError = WireError::new("since", "must be a month such as 2026-03");
    let day: jiff::civil::Date = format!("{text}-01").parse().map_err(|_| MUST)?;
    match (u16::try_from(day.year()), u16::try_from(day.month())) {
        (Ok(year @ 1..=5000), Ok(month)) if text.len() == 7 => Ok(year * 12 + month - 1),
        _ => Err(MUST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_a_year_and_a_month() {
        assert_eq!(since("2026-03"), Ok(2026 * 12 + 2));
        for bad in ["2026-13", "2026-3", "2026", "26-03", "2026-03-01", ""] {
            assert_eq!(since(bad).unwrap_err().field, "since", "{bad}");
        }
    }

    #[test]
    fn each_bad_field_of_a_wish_is_named() {
        let good = op::RunPictureRequest {
            peers: vec!["kmar".into(), "iszw".into()],
            form: "statistics".into(),
            purpose: "thb".into(),
            case_reference: "EMM-1".into(),
            reason: "the integral picture".into(),
            ..op::RunPictureRequest::default()
        };
        let run = Run::try_from(good.clone()).unwrap();
        assert_eq!((run.peers.len(), run.mode, run.keep_days), (2, Mode::Count, 30));
        type Spoil = fn(&mut op::RunPictureRequest);
        let cases: [(&str, Spoil); 7] = [
            ("peers", |one| one.peers.clear()),
            ("peers", |one| one.peers.push("kmar".into())),
            ("form", |one| one.form = "CANARY".into()),
            ("since", |one| one.since = "CANARY".into()),
            ("kinds", |one| one.kinds = vec!["CANARY".into()]),
            ("keep_days", |one| one.keep_days = 367),
            ("purpose", |one| one.purpose = String::new()),
        ];
        for (field, spoil) in cases {
            let mut bad = good.clone();
            spoil(&mut bad);
            let error = Run::try_from(bad).unwrap_err();
            assert_eq!(error.field, field);
            assert!(!error.to_string().contains("CANARY"));
        }
    }
}
