//! What agencies agree on.

use overlap_records::Profile;

use crate::World;

/// What an agreement between two agencies says; every field but the parties has a sensible value.
pub struct Agreement<'a> {
    /// Id.
    pub id: &'a str,
    /// Who asks.
    pub asker: &'a str,
    /// Who is asked.
    pub holder: &'a str,
    /// Purposes.
    pub purposes: &'a str,
    /// Modes.
    pub modes: &'a str,
    /// Kinds.
    pub kinds: &'a str,
    /// Dataset of the holder.
    pub dataset: &'a str,
    /// Items per query, at least.
    pub min_set_size: u64,
    /// Items per query, at most.
    pub max_set_size: u64,
    /// Items per day.
    pub items_per_day: u64,
    /// Begin.
    pub valid_from: &'a str,
    /// End.
    pub valid_until: &'a str,
    /// Key of the asker that it pins, where that is not the asker's own.
    pub asker_key: Option<String>,
    /// More lines of the grant.
    pub grant: &'a str,
    /// More lines before the parties, and sections after them.
    pub head: &'a str,
    /// More sections, such as authorities.
    pub more: String,
    /// The profile.
    pub profile: Profile,
}

impl Agreement<'_> {
    /// An agreement that covers everything between two agencies.
    pub fn between<'a>(asker: &'a str, holder: &'a str) -> Agreement<'a> {
        Agreement {
            id: "thb-2026",
            asker,
            holder,
            purposes: r#""thb-investigation""#,
            modes: r#""hits", "count""#,
            kinds: r#""phone", "email", "iban", "plate", "document", "bsn", "person""#,
            dataset: "cases",
            min_set_size: 1,
            max_set_size: 1_000_000,
            items_per_day: 100_000_000,
            valid_from: "2026-01-01T00:00:00Z",
            valid_until: "2099-01-01T00:00:00Z",
            asker_key: None,
            grant: "",
            head: "",
            more: String::new(),
            profile: Profile::eu_thb_1(),
        }
    }

    /// The draft of an self.
    pub fn draft(&self, world: &World) -> String {
        let Agreement {
            id,
            asker,
            holder,
            purposes,
            modes,
            kinds,
            dataset,
            ..
        } = self;
        let asker_key = self
            .asker_key
            .clone()
            .unwrap_or_else(|| world.agency(asker).thumbprint());
        let holder_key = world.agency(holder).thumbprint();
        let profile = &self.profile;
        let [asker_signs, holder_signs] = [asker, holder].map(|name| world.agency(name).signing_thumbprint());
        let [asker_country, holder_country] = [asker, holder].map(|name| world.agency(name).country.clone());
        format!(
            r#"id = "{id}"
purposes = [{purposes}]
regime = "wpg"
article = "20"
profile = "{}"
profile_hash = "{}"
valid_from = "{}"
valid_until = "{}"
{}
[[party]]
name = "{asker}"
id = "spiffe://overlap.example/agency/{asker}"
country = "{asker_country}"
key = "{asker_key}"
signing_key = "{asker_signs}"
[[party]]
name = "{holder}"
id = "spiffe://overlap.example/agency/{holder}"
country = "{holder_country}"
key = "{holder_key}"
signing_key = "{holder_signs}"
{}
[[grant]]
asker = "{asker}"
holder = "{holder}"
dataset = "{dataset}"
modes = [{modes}]
kinds = [{kinds}]
min_set_size = {}
max_set_size = {}
items_per_day = {}
queries_per_hour = 100000
{}
"#,
            profile.name(),
            hex::encode(profile.hash()),
            self.valid_from,
            self.valid_until,
            self.head,
            self.more,
            self.min_set_size,
            self.max_set_size,
            self.items_per_day,
            self.grant,
        )
    }
}
