//! Several agencies under one agreement: what pictures are made of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use overlap_records::Profile;
use serde_json::Value;

use crate::{PURPOSE, Ran, World, process::text, text_of};

/// Several agencies, of which the first may lead pictures of all others, under an order of the prosecutor.
pub struct Gathering {
    /// The agencies; nodes run once they are started.
    pub world: World,
    names: Vec<String>,
    order: std::path::PathBuf,
}

/// Id of the order.
pub const ORDER: &str = "OM-2026-7";
/// Case that it is given for.
pub const CASE: &str = "EMM-2026-7";

impl Gathering {
    /// Makes the agencies, their agreement and the order; `grant` has more lines for each grant. Nodes are not started.
    pub fn new(names: &[&str], grant: &str) -> Self {
        let mut world = World::new(names);
        let key = world.path("om.key");
        world.pki(&["signing-key", text(&key)]);
        let thumbprint = Ran::overlap(&["pki", "thumbprint", text(&key)]).stdout;
        let agreement = world.path("agreement.toml");
        fs::write(&agreement, draft(&world, names, thumbprint.trim(), grant)).unwrap();
        world.agree_all("picture", &agreement, names);
        let draft = world.path("order.toml");
        fs::write(&draft, order(names)).unwrap();
        let signed = world.path("order.json");
        let arguments = [
            "order",
            "sign",
            text(&draft),
            "--key",
            text(&key),
            "--out",
            text(&signed),
        ];
        let ran = Ran::overlap(&arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        // logs grow without a query between two of them; among many, each word is one to all others
        let every = names.len().div_ceil(4);
        for name in names {
            world.agency_mut(name).configuration =
                format!("[limits]\nwitness_every = \"{every}s\"\nhandshakes_per_address = 256\n");
        }
        world.configure();
        Self {
            world,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            order: signed,
        }
    }

    /// Starts every node, and gives the first the order.
    pub fn start(&mut self) {
        for name in self.names.clone() {
            self.world.start(&name);
        }
        self.add_order();
    }

    /// Gives the node of the first the order.
    pub fn add_order(&self) {
        let arguments = ["order", "add", text(&self.order), "--reason", "a test"];
        let ran = self.world.run(&self.names[0], "operator", &arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    /// Imports a CSV text with the columns `ref;phone;role;seen` (any subset) into dataset `cases`.
    pub fn import(&self, agency: &str, csv: &str) {
        import(&self.world, agency, csv, &[]);
    }

    /// Leads a picture as an analyst of the first.
    pub fn picture(&self, with: &str, form: &str, more: &[&str]) -> Ran {
        let arguments = [
            "--json",
            "picture",
            "run",
            "--with",
            with,
            "--form",
            form,
            "--purpose",
            PURPOSE,
            "--case",
            CASE,
            "--order",
            ORDER,
            "--reason",
            "a test",
        ];
        self.world
            .run(&self.names[0], "analyst", &[&arguments[..], more].concat())
    }
}

/// Imports a CSV text whose columns may also be `role`, `seen` and `class`; `more` are flags.
pub(crate) fn import(world: &World, agency: &str, csv: &str, more: &[&str]) {
    let (file, mapping) = world.write_export(agency, csv);
    let mut record = "[record]\n".to_owned();
    let head = csv.lines().next().unwrap();
    if head.contains("role") {
        record.push_str("role = \"role\"\nroles = { suspect = \"suspect\", convicted = \"convicted\", victim = \"victim\", witness = \"witness\" }\n");
    }
    if head.contains("seen") {
        record.push_str("observed = \"seen\"\n");
    }
    if head.contains("class") {
        record.push_str("visibility_column = \"class\"\n");
    }
    let toml = fs::read_to_string(&mapping).unwrap();
    fs::write(&mapping, toml.replace("[record]\n", &record)).unwrap();
    let flags = [&["--json"], more].concat();
    let ran = world.import_file(agency, "operator", &file, &mapping, &flags);
    assert_eq!(ran.code, 0, "{ran:?}");
}

fn draft(world: &World, names: &[&str], authority: &str, grant: &str) -> String {
    let profile = Profile::eu_thb_1();
    let mut toml = format!(
        "id = \"digw\"\npurposes = [\"{PURPOSE}\"]\nregime = \"wpg\"\narticle = \"11\"\nprofile = \"{}\"\nprofile_hash = \"{}\"\n\
         valid_from = \"2026-01-01T00:00:00Z\"\nvalid_until = \"2099-01-01T00:00:00Z\"\n",
        profile.name(),
        hex::encode(profile.hash())
    );
    for name in names {
        let agency = world.agency(name);
        toml.push_str(&format!(
            "[[party]]\nname = \"{name}\"\nid = \"spiffe://overlap.example/agency/{name}\"\ncountry = \"{}\"\nkey = \"{}\"\nsigning_key = \"{}\"\n",
            agency.country,
            agency.thumbprint(),
            agency.signing_thumbprint()
        ));
    }
    toml.push_str(&format!(
        "[[authority]]\nname = \"Openbaar Ministerie\"\ncountry = \"NL\"\nsigning_key = \"{authority}\"\n"
    ));
    for name in &names[1..] {
        toml.push_str(&format!(
            "[[grant]]\nasker = \"{}\"\nholder = \"{name}\"\ndataset = \"cases\"\nmodes = [\"picture\"]\nkinds = [\"phone\", \"email\", \"person\"]\n\
             max_set_size = 1000000\nitems_per_day = 100000000\nqueries_per_hour = 100000\ncounts_per_day = 100000\n{grant}\n",
            names[0]
        ));
    }
    toml
}

fn order(names: &[&str]) -> String {
    let holders: Vec<String> = names[1..]
        .iter()
        .map(|name| format!("\"spiffe://overlap.example/agency/{name}\""))
        .collect();
    format!(
        "id = \"{ORDER}\"\nauthority = \"Openbaar Ministerie\"\npurpose = \"{PURPOSE}\"\ncase_reference = \"{CASE}\"\n\
         asker = \"spiffe://overlap.example/agency/{}\"\nholders = [{}]\nmodes = [\"picture\"]\nkinds = [\"phone\", \"email\", \"person\"]\n\
         max_set_size = 1000000\nuses = 100000\nvalid_from = \"2026-01-01T00:00:00Z\"\nvalid_until = \"2099-01-01T00:00:00Z\"\n\
         [weighing]\nnecessity = \"weighed\"\nproportionality = \"weighed\"\nsubsidiarity = \"weighed\"\n",
        names[0],
        holders.join(", ")
    )
}

/// What each agency holds, by number of the phone.
pub fn phones(numbers: impl IntoIterator<Item = u32>, role: &str) -> String {
    let rows = numbers.into_iter().map(|n| format!("r{n};06-1{n:07};{role}\n"));
    format!("ref;phone;role\n{}", rows.collect::<String>())
}

/// How often each combination of agencies occurs in a picture of one kind.
pub fn combinations(picture: &Value, kind: &str) -> BTreeMap<String, u64> {
    let kinds = picture["kinds"].as_array().unwrap();
    let found = kinds.iter().find(|one| one["kind"] == kind).unwrap();
    let told = found["combinations"].as_array().unwrap().iter();
    told.map(|one| {
        let names = one["agencies"].as_array().unwrap().iter().map(text_of);
        (names.collect::<Vec<_>>().join("+"), one["count"].as_u64().unwrap())
    })
    .collect()
}

/// The same, computed in the plain.
pub fn plain(held: &[(&str, BTreeSet<u32>)]) -> BTreeMap<String, u64> {
    let mut holders: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for (name, numbers) in held {
        for number in numbers {
            holders.entry(*number).or_default().push(name);
        }
    }
    let mut combinations = BTreeMap::new();
    for mut names in holders.into_values() {
        names.sort_unstable();
        *combinations.entry(names.join("+")).or_default() += 1;
    }
    combinations
}
