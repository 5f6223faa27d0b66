//! What may be told of one picture: the shape of its JSON.

use serde::{Deserialize, Serialize};

/// What a picture is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Counts alone; small ones are withheld.
    Statistics,
    /// With the pseudonyms that two or more agencies have, to be followed up.
    Operational,
}

impl Form {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Statistics => "statistics",
            Self::Operational => "operational",
        }
    }
}

/// The shared picture of several agencies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// Its transaction id, the same in all logs.
    pub id: String,
    /// When it was made, RFC 3339.
    pub made: String,
    /// When it and what belongs to it is erased, RFC 3339.
    pub expires: String,
    /// What it is for.
    pub form: Form,
    /// Id of the agreement.
    pub agreement: String,
    /// Its purpose.
    pub purpose: String,
    /// The case reference.
    pub case_reference: String,
    /// Roles of the subjects that take part.
    pub roles: Vec<String>,
    /// Records observed before this month take no part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Counts below this are withheld; 1: none are.
    pub min_count: u64,
    /// Who took part.
    pub agencies: Vec<Agency>,
    /// Who was to take part and did not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Dropped>,
    /// What was found, per kind.
    pub kinds: Vec<KindPicture>,
    /// What two or more agencies have; in operational pictures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<Shared>,
}

/// An agency that took part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agency {
    /// Its name.
    pub name: String,
    /// How many items it took part with; not told where counts are withheld.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
}

/// An agency that was to take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// Its name.
    pub name: String,
    /// Why it was left out, in words.
    pub why: String,
}

/// What was found of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindPicture {
    /// The kind.
    pub kind: String,
    /// Subjects that any agency has, each once.
    pub unique: Option<u64>,
    /// By exactly which agencies have them, the most first.
    pub combinations: Vec<Combination>,
    /// By the roles in which any agency knows them.
    pub roles: Vec<RoleCount>,
}

/// Subjects that exactly these agencies have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Combination {
    /// Names of the agencies, in the order of the picture.
    pub agencies: Vec<String>,
    /// How many.
    pub count: u64,
    /// By their roles and months; empty where it is withheld.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<RoleCount>,
}

/// Subjects in exactly these roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleCount {
    /// The roles: `suspect`, `convicted`, `victim`, more than one of them, or `other`.
    pub roles: Vec<String>,
    /// How many.
    pub count: u64,
    /// By the month in which an agency observed them first, in order; one that is not here is nought, or withheld.
    pub months: Vec<MonthCount>,
}

/// Subjects first observed in a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MonthCount {
    /// Such as `2026-03`, or `unknown`.
    pub month: String,
    /// How many.
    pub count: u64,
}

/// A subject that two or more agencies have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shared {
    /// What it is called in this picture alone: 32 hexadecimal digits.
    pub pseudonym: String,
    /// The kind.
    pub kind: String,
    /// Who has it.
    pub agencies: Vec<String>,
    /// The roles in which they know it, all together.
    pub roles: Vec<String>,
}

impl Picture {
    /// Names of the agencies, in the order of the picture.
    pub fn names(&self) -> Vec<&str> {
        self.agencies.iter().map(|agency| agency.name.as_str()).collect()
    }

    /// What was found of a kind.
    pub fn kind(&self, kind: &str) -> Option<&KindPicture> {
        self.kinds.iter().find(|one| one.kind == kind)
    }

    /// Whether counts may have been withheld.
    pub fn withholds(&self) -> bool {
        self.min_count > 1
    }
}

impl KindPicture {
    /// Subjects that an agency has, as far as they are told.
    pub fn of_agency(&self, name: &str) -> u64 {
        self.sum(|agencies| agencies.iter().any(|one| one == name))
    }

    /// Subjects that two agencies have, whoever else does, as far as they are told.
    pub fn of_both(&self, one: &str, other: &str) -> u64 {
        self.sum(|agencies| {
            [one, other]
                .iter()
                .all(|name| agencies.iter().any(|agency| agency == name))
        })
    }

    /// Subjects that two or more agencies have, as far as they are told.
    pub fn shared(&self) -> u64 {
        self.sum(|agencies| agencies.len() > 1)
    }

    /// Subjects that two or more of so many agencies have, and whether these are all: what is withheld of them counts where all else is told.
    pub fn known_to_several(&self, agencies: usize) -> (u64, bool) {
        let alone = self.combinations.iter().filter(|one| one.agencies.len() == 1);
        match self.unique {
            Some(unique) if alone.clone().count() == agencies => {
                let alone: u64 = alone.map(|one| one.count).sum();
                (unique.saturating_sub(alone), true)
            }
            _ => (self.shared(), !self.is_partial()),
        }
    }

    /// How many subjects are told of, by combination.
    pub fn told(&self) -> u64 {
        self.sum(|_| true)
    }

    /// Whether some combinations are withheld, or nothing is told at all.
    pub fn is_partial(&self) -> bool {
        self.unique != Some(self.told())
    }

    /// What stands before sums of counts some of which may be withheld.
    pub(crate) fn at_least(&self) -> &'static str {
        if self.is_partial() { "≥ " } else { "" }
    }

    /// By roles: of all subjects, with no agencies, then of each combination as far as it is told.
    pub fn role_counts(&self) -> impl Iterator<Item = (&[String], &RoleCount)> {
        let of_all = self.roles.iter().map(|one| (&[][..], one));
        let of_each = self.combinations.iter();
        of_all.chain(of_each.flat_map(|each| each.roles.iter().map(|one| (&each.agencies[..], one))))
    }

    fn sum(&self, covers: impl Fn(&[String]) -> bool) -> u64 {
        let covered = self.combinations.iter().filter(|one| covers(&one.agencies));
        covered.map(|one| one.count).sum()
    }
}
