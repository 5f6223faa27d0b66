//! Several agencies under one agreement by which each may check at every other: what actions are made of.

use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::{AtomicU32, Ordering},
};

use overlap_records::Profile;
use overlap_store::{DataKey, LogSettings, Store};
use serde_json::Value;

use crate::{PURPOSE, Ran, World, gathering, process::text, text_of, wait_for};

/// Several agencies of which the first coordinates an action, and takes part.
pub struct ActionDay {
    /// The agencies; nodes run once they are started.
    pub world: World,
    /// Their names.
    pub names: Vec<String>,
    files: AtomicU32,
}

impl ActionDay {
    /// Makes the agencies and their agreement; `grant` has more lines for each grant. Nodes are not started.
    pub fn new(names: &[&str], grant: &str) -> Self {
        Self::with(names, grant, |_| {})
    }

    /// The same; `prepare` may change agencies before they are configured.
    pub fn with(names: &[&str], grant: &str, prepare: impl FnOnce(&mut World)) -> Self {
        let mut world = World::new(names);
        for name in names {
            world.agency_mut(name).configuration =
                "[limits]\nhandshakes_per_address = 256\nsessions_per_peer = 16\n".to_owned();
        }
        prepare(&mut world);
        let agreement = world.path("agreement.toml");
        fs::write(&agreement, draft(&world, names, grant)).unwrap();
        world.agree_all("action", &agreement, names);
        world.configure();
        Self {
            world,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            files: AtomicU32::new(0),
        }
    }

    /// Starts every node.
    pub fn start(&mut self) {
        for name in self.names.clone() {
            self.world.start(&name);
        }
    }

    /// Imports a CSV text into dataset `cases`, in the place of what was there.
    pub fn import(&self, agency: &str, csv: &str) {
        gathering::import(&self.world, agency, csv, &[]);
    }

    /// Adds the records of a CSV text to dataset `cases`.
    pub fn append(&self, agency: &str, csv: &str) {
        gathering::import(&self.world, agency, csv, &["--append"]);
    }

    /// Runs `overlap action` as the coordinator of an agency.
    pub fn action(&self, agency: &str, arguments: &[&str]) -> Ran {
        let arguments = [&["--json", "action"], arguments].concat();
        self.world.run(agency, "coordinator", &arguments)
    }

    /// Gives an agency a prosecutor's order to check at all others in actions.
    pub fn give_order(&self, agency: &str, id: &str) {
        let others = self.names.iter().filter(|name| *name != agency);
        let holders: Vec<String> = others
            .map(|name| format!("\"spiffe://overlap.example/agency/{name}\""))
            .collect();
        let (draft, signed) = (self.world.path("order.toml"), self.world.path(&format!("{id}.json")));
        let order = format!(
            "id = \"{id}\"\nauthority = \"Openbaar Ministerie\"\npurpose = \"{PURPOSE}\"\ncase_reference = \"JAD-1\"\n\
             asker = \"spiffe://overlap.example/agency/{agency}\"\nholders = [{}]\nmodes = [\"action\"]\n\
             kinds = [\"phone\", \"email\", \"document\", \"person\"]\nmax_set_size = 256\nuses = 1\n\
             valid_from = \"2026-01-01T00:00:00Z\"\nvalid_until = \"2099-01-01T00:00:00Z\"\n\
             [weighing]\nnecessity = \"weighed\"\nproportionality = \"weighed\"\nsubsidiarity = \"weighed\"\n",
            holders.join(", ")
        );
        fs::write(&draft, order).unwrap();
        let key = self.world.path("om.key");
        let sign = [
            "order",
            "sign",
            text(&draft),
            "--key",
            text(&key),
            "--out",
            text(&signed),
        ];
        let ran = Ran::overlap(&sign);
        assert_eq!(ran.code, 0, "{ran:?}");
        let add = ["order", "add", text(&signed), "--reason", "a test"];
        let ran = self.world.run(agency, "operator", &add);
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    /// Plans an action of all agencies, from an hour ago until an hour from now, which has to succeed.
    pub fn create(&self, id: &str, more: &[&str]) -> Value {
        self.plan(id, more).json()
    }

    /// Plans an action of all agencies, from an hour ago until an hour from now.
    pub fn plan(&self, id: &str, more: &[&str]) -> Ran {
        let now = jiff::Timestamp::now();
        let hour = jiff::SignedDuration::from_hours(1);
        let (from, until) = ((now - hour).to_string(), (now + hour).to_string());
        let with = self.names.join(",");
        let usual = [
            "create",
            "--id",
            id,
            "--with",
            &with,
            "--purpose",
            PURPOSE,
            "--case",
            "JAD-1",
            "--reason",
            "a test",
        ];
        let window = ["--from", &from, "--until", &until];
        let window: &[&str] = if more.contains(&"--until") { &[] } else { &window };
        self.action(&self.names[0], &[&usual[..], window, more].concat())
    }

    /// Makes a step; it has to succeed.
    pub fn step(&self, agency: &str, verb: &str, id: &str) -> Value {
        self.action(agency, &[verb, id, "--reason", "a test"]).json()
    }

    /// Plans an action, invites, lets all join, starts it, and waits until each can check at all others.
    pub fn begin(&self, id: &str, more: &[&str]) {
        self.create(id, more);
        self.step(&self.names[0], "invite", id);
        for name in &self.names {
            self.step(name, "join", id);
        }
        self.step(&self.names[0], "start", id);
        self.wait_until_ready(id);
    }

    /// Waits until each can check at all others.
    pub fn wait_until_ready(&self, id: &str) {
        for name in &self.names {
            for other in self.names.iter().filter(|other| *other != name) {
                self.wait_for_link(name, other, id, "ready");
            }
        }
    }

    /// Waits until an agency's link with another is so.
    pub fn wait_for_link(&self, agency: &str, other: &str, id: &str, link: &str) {
        wait_for(&format!("{agency} has {other} {link}"), || {
            self.link(agency, other, id).contains(link)
        });
    }

    /// How an agency's link with another stands.
    pub fn link(&self, agency: &str, other: &str, id: &str) -> String {
        let status = self.action(agency, &["status", id]).json();
        let partners = status[0]["partners"].as_array().unwrap();
        let partner = partners.iter().find(|one| one["name"] == *other).unwrap();
        text_of(&partner["link"]).to_owned()
    }

    /// Checks lines as the coordinator of an agency.
    pub fn check(&self, agency: &str, id: &str, lines: &str, more: &[&str]) -> Ran {
        let file = self
            .world
            .path(&format!("checks-{}", self.files.fetch_add(1, Ordering::Relaxed)));
        fs::write(&file, lines).unwrap();
        let usual = ["check", id, "--file", text(&file), "--reason", "a test"];
        let case: &[&str] = if more.contains(&"--case") {
            &[]
        } else {
            &["--case", "JAD-1"]
        };
        self.action(agency, &[&usual[..], case, more].concat())
    }

    /// Checks lines, which has to succeed; gives what was printed.
    pub fn checked(&self, agency: &str, id: &str, lines: &str, more: &[&str]) -> Vec<Value> {
        self.checked_with_code(0, agency, id, lines, more)
    }

    /// Checks lines, which has to end with an exit code; gives what was printed.
    pub fn checked_with_code(&self, code: i32, agency: &str, id: &str, lines: &str, more: &[&str]) -> Vec<Value> {
        let ran = self.check(agency, id, lines, more);
        assert_eq!(ran.code, code, "{ran:?}");
        ran.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The alerts of an agency.
    pub fn alerts(&self, agency: &str, id: &str) -> Vec<Value> {
        let ran = self.action(agency, &["feed", id, "--once"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Waits until an agency has so many alerts, and gives them.
    pub fn wait_for_alerts(&self, agency: &str, id: &str, count: usize) -> Vec<Value> {
        wait_for(&format!("{agency} has {count} alerts"), || {
            self.alerts(agency, id).len() == count
        });
        self.alerts(agency, id)
    }

    /// Ends an action as the first agency, and holds the logs of two against each other: both are whole, and tell the same.
    pub fn end_and_reconcile(&self, id: &str, of: [&str; 2]) {
        self.step(&self.names[0], "end", id);
        for name in &self.names {
            wait_for(&format!("it ends at {name}"), || {
                self.action(name, &["report", id]).json()["ended"].is_string()
            });
        }
        let exports = of.map(|name| {
            wait_for(&format!("{name} has all receipts, and nothing open"), || {
                let status = self.world.status(name);
                let witnesses = status["log"]["witnesses"].as_array().unwrap();
                status["open_entries"] == 0 && witnesses.iter().all(|one| one["receipts_due"] == 0)
            });
            self.world.export_log(name, &format!("{name}.exported"))
        });
        let ran = Ran::overlap(&["log", "reconcile", text(&exports[0]), text(&exports[1])]);
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    /// The store of an agency whose node does not run.
    pub fn store(&self, agency: &str) -> Store {
        let own = self.world.agency(agency);
        let key = DataKey::from_hex(fs::read_to_string(own.file("data.key")).unwrap().trim()).unwrap();
        let log = LogSettings {
            name: overlap_audit::log_name(&format!("spiffe://overlap.example/agency/{agency}")),
            hands_on: false,
        };
        Store::open(&own.file("state/db"), &key, &log).unwrap()
    }

    /// Does something about an alert.
    pub fn handle(&self, agency: &str, verb: &str, id: &str, alert: &Value) -> Value {
        self.action(agency, &[verb, id, text_of(&alert["id"]), "--reason", "a test"])
            .json()
    }
}

/// What each partner answered to one check.
pub fn by_partner(printed: &[Value], check: u64) -> BTreeMap<String, String> {
    let answers = printed
        .iter()
        .filter(|one| one["check"] == check && one["partner"].is_string());
    answers
        .map(|one| (text_of(&one["partner"]).to_owned(), text_of(&one["outcome"]).to_owned()))
        .collect()
}

/// The whole answer of one partner to one check.
pub fn answer<'a>(printed: &'a [Value], check: u64, partner: &str) -> &'a Value {
    let mut answers = printed
        .iter()
        .filter(|one| one["check"] == check && one["partner"] == partner);
    answers
        .next()
        .unwrap_or_else(|| panic!("{partner} did not answer {check}: {printed:?}"))
}

/// The first alert that a partner answered one check with.
pub fn alert<'a>(printed: &'a [Value], check: u64, partner: &str) -> &'a Value {
    &answer(printed, check, partner)["alerts"][0]
}

fn draft(world: &World, names: &[&str], grant: &str) -> String {
    let profile = Profile::eu_thb_1();
    let mut toml = format!(
        "id = \"jad\"\npurposes = [\"{PURPOSE}\"]\nregime = \"wpg\"\narticle = \"20\"\nprofile = \"{}\"\nprofile_hash = \"{}\"\n\
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
    // where a test has made a prosecutor's key, orders count
    if world.path("om.key").exists() {
        let thumbprint = Ran::overlap(&["pki", "thumbprint", text(&world.path("om.key"))]).stdout;
        toml.push_str(&format!(
            "[[authority]]\nname = \"Openbaar Ministerie\"\ncountry = \"NL\"\nsigning_key = \"{}\"\n",
            thumbprint.trim()
        ));
    }
    let amount = match grant.contains("items_per_day") {
        true => "",
        false => "items_per_day = 1000000\n",
    };
    for asker in names {
        for holder in names.iter().filter(|holder| *holder != asker) {
            toml.push_str(&format!(
                "[[grant]]\nasker = \"{asker}\"\nholder = \"{holder}\"\ndataset = \"cases\"\nmodes = [\"action\"]\nkinds = [\"phone\", \"email\", \"document\", \"person\"]\n\
                 max_set_size = 256\n{amount}disclose = [\"reference\", \"role\", \"phone\"]\n{grant}\n"
            ));
        }
    }
    toml
}
