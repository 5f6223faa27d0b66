//! Agencies, their files, their nodes and their users.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Agency, Agreement,
    process::{Ran, free_address, program, text, wait_for},
    text_of,
};

/// The purpose that agreements cover unless a test says otherwise.
pub const PURPOSE: &str = "thb-investigation";

/// Agencies on this machine, in a directory of their own.
pub struct World {
    directory: TempDir,
    agencies: Vec<Agency>,
    /// Signed agreements that agencies' nodes take in once they run: by agency, with the file.
    agreed: Mutex<Vec<(String, PathBuf)>>,
}

impl World {
    /// Makes agencies with keys, certificates and users; nodes are not started.
    pub fn new(names: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("overlap-test-").tempdir().unwrap();
        let world = Self {
            agencies: Vec::new(),
            directory,
            agreed: Mutex::default(),
        };
        let federation = world.path("federation");
        world.pki(&["ca", "--dir", text(&federation), "--name", "Test federation"]);
        let agencies = names.iter().map(|name| world.agency_files(name, &federation)).collect();
        Self { agencies, ..world }
    }

    /// Two agencies that agreed, with datasets loaded and nodes running.
    pub fn of_two(asker_csv: &str, holder_csv: &str) -> Self {
        let mut world = Self::new(&["politie", "kmar"]);
        world.agree(&Agreement::between("politie", "kmar"));
        world.configure();
        for (name, csv) in [("politie", asker_csv), ("kmar", holder_csv)] {
            world.start(name);
            world.import(name, csv);
        }
        world
    }

    /// A path in the world's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// An agency.
    pub fn agency(&self, name: &str) -> &Agency {
        self.agencies.iter().find(|agency| agency.name == name).unwrap()
    }

    /// An agency, to be changed before [`Self::configure`].
    pub fn agency_mut(&mut self, name: &str) -> &mut Agency {
        self.agencies.iter_mut().find(|agency| agency.name == name).unwrap()
    }

    /// Gives both parties an agreement.
    pub fn agree(&self, agreement: &Agreement<'_>) {
        for name in [agreement.asker, agreement.holder] {
            self.agree_one_sided(name, agreement);
        }
    }

    /// Gives one agency an agreement that both have signed: at once if its node runs, otherwise when it starts.
    pub fn agree_one_sided(&self, name: &str, agreement: &Agreement<'_>) {
        let file = self.sign(name, agreement, &[agreement.asker, agreement.holder]);
        self.agreed.lock().unwrap().push((name.to_owned(), file));
        self.take_agreements(name);
    }

    /// Gives all parties an agreement that all have signed, when their nodes start.
    pub(crate) fn agree_all(&mut self, id: &str, draft: &Path, parties: &[&str]) {
        let file = self.sign_draft(id, draft.to_owned(), parties);
        let all = parties.iter().map(|name| ((*name).to_owned(), file.clone()));
        self.agreed.lock().unwrap().extend(all);
    }

    /// Writes an agreement, signed by these agencies, to a file of its own.
    pub fn sign(&self, name: &str, agreement: &Agreement<'_>, signers: &[&str]) -> PathBuf {
        let number = self.agreed.lock().unwrap().len();
        let at = |what: &str| self.path(&format!("{}-{name}-{number}-{what}", agreement.id));
        let file = at("draft.toml");
        fs::write(&file, agreement.draft(self)).unwrap();
        self.sign_draft(&format!("{}-{name}-{number}", agreement.id), file, signers)
    }

    fn sign_draft(&self, name: &str, mut file: PathBuf, signers: &[&str]) -> PathBuf {
        for signer in signers {
            let key = self.agency(signer).file("signing.key");
            let out = self.path(&format!("{name}-{signer}.json"));
            let _ = fs::remove_file(&out);
            let arguments = [
                "agreement",
                "sign",
                text(&file),
                "--key",
                text(&key),
                "--out",
                text(&out),
            ];
            let ran = Ran::overlap(&arguments);
            assert_eq!(ran.code, 0, "{ran:?}");
            file = out;
        }
        file
    }

    /// Lets a running node take in what its agency agreed on.
    pub fn take_agreements(&self, name: &str) {
        if !self.agency(name).is_running() {
            return;
        }
        let all = std::mem::take(&mut *self.agreed.lock().unwrap());
        let (due, other): (Vec<_>, Vec<_>) = all.into_iter().partition(|(of, _)| of == name);
        *self.agreed.lock().unwrap() = other;
        for (_, file) in due {
            let ran = self.run(
                name,
                "operator",
                &["agreement", "take", text(&file), "--reason", "a test"],
            );
            assert_eq!(ran.code, 0, "{ran:?}");
        }
    }

    /// Writes every node's configuration.
    pub fn configure(&self) {
        for agency in &self.agencies {
            agency.write_configuration(&self.agencies);
        }
    }

    /// Starts a node and waits until it listens.
    pub fn start(&mut self, name: &str) {
        self.agency_mut(name).start();
        self.take_agreements(name);
    }

    /// Runs `overlap` as a user of an agency.
    pub fn run(&self, agency: &str, user: &str, arguments: &[&str]) -> Ran {
        let agency = self.agency(agency);
        let mut command = program("overlap");
        command
            .args(["--node", &agency.operator.to_string()])
            .args(["--ca", text(&agency.directory.join("users/ca.pem"))])
            .args([
                "--certificate",
                text(&agency.directory.join(format!("people/{user}.pem"))),
            ])
            .args(["--key", text(&agency.directory.join(format!("people/{user}.key")))])
            .args(arguments);
        Ran::of(&mut command)
    }

    /// Runs `overlap --json` and gives what it printed; it has to succeed.
    pub fn json(&self, agency: &str, user: &str, arguments: &[&str]) -> Value {
        let ran = self.run(agency, user, &[&["--json"], arguments].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// Imports a CSV text with the columns `ref;phone;email;born;given;family;document` (any subset) into dataset `cases`.
    pub fn import(&self, agency: &str, csv: &str) -> Value {
        let (file, mapping) = self.write_export(agency, csv);
        self.import_file(agency, "operator", &file, &mapping, &["--json"])
            .json()
    }

    /// Imports a file into dataset `cases`.
    pub fn import_file(&self, agency: &str, user: &str, file: &Path, mapping: &Path, more: &[&str]) -> Ran {
        let arguments = [
            "dataset",
            "import",
            text(file),
            "--dataset",
            "cases",
            "--mapping",
            text(mapping),
        ];
        self.run(agency, user, &[&arguments[..], more].concat())
    }

    /// Gives an agency's node the federation's newest revocation list, and waits until it was read.
    pub fn publish_crl(&self, agency: &str) {
        let agency = self.agency(agency);
        fs::copy(self.path("federation/ca.crl"), agency.file("federation-ca.crl")).unwrap();
        agency.signal(Signal::HUP);
        while !agency.log().contains("were read again") {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Writes a CSV text and a mapping for the columns that it has.
    pub fn write_export(&self, agency: &str, csv: &str) -> (PathBuf, PathBuf) {
        let directory = &self.agency(agency).directory;
        let (file, mapping) = (directory.join("export.csv"), directory.join("mapping.toml"));
        let mut toml = "[source]\nregion = \"NL\"\n[record]\nreference = \"ref\"\n".to_owned();
        for kind in csv.lines().next().unwrap().split(';') {
            if ["phone", "email", "document", "bsn", "iban"].contains(&kind) {
                toml.push_str(&format!("[[identifier]]\nkind = \"{kind}\"\ncolumns = [\"{kind}\"]\n"));
            }
        }
        if csv.contains("family") {
            toml.push_str(
                "[[identifier]]\nkind = \"person\"\ngiven = \"given\"\nfamily = \"family\"\nborn = \"born\"\n",
            );
        }
        fs::write(&file, csv).unwrap();
        fs::write(&mapping, toml).unwrap();
        (file, mapping)
    }

    /// Asks kmar as an analyst of politie.
    pub fn ask(&self, mode: &str, more: &[&str]) -> Ran {
        self.ask_as("analyst", mode, more)
    }

    /// Asks kmar as a user of politie.
    pub fn ask_as(&self, user: &str, mode: &str, more: &[&str]) -> Ran {
        let arguments = [
            "--json",
            "match",
            "--peer",
            "kmar",
            "--dataset",
            "cases",
            "--mode",
            mode,
            "--case",
            "2026-1",
            "--reason",
            "a test",
        ];
        let purpose: &[&str] = if more.contains(&"--purpose") {
            &[]
        } else {
            &["--purpose", PURPOSE]
        };
        self.run("politie", user, &[&arguments, purpose, more].concat())
    }

    /// How an agency's node stands.
    pub fn status(&self, agency: &str) -> Value {
        self.json(agency, "operator", &["status"])
    }

    /// Waits until an agency is owed no receipts and its log is countersigned by the others to its end.
    pub fn wait_for_witnesses(&self, agency: &str) {
        wait_for(&format!("the log of {agency} is countersigned"), || {
            let log = &self.status(agency)["log"];
            let witnesses = log["witnesses"].as_array().unwrap();
            witnesses
                .iter()
                .all(|witness| witness["receipts_due"] == 0 && witness["cosigned_events"] == log["events"])
        });
    }

    /// Waits until one other agency owes this one no receipts, and has countersigned its log to its end.
    pub fn wait_for_witness(&self, agency: &str, other: &str) {
        wait_for(&format!("the log of {agency} is countersigned by {other}"), || {
            let log = &self.status(agency)["log"];
            let mut witnesses = log["witnesses"].as_array().unwrap().iter();
            witnesses.any(|witness| {
                text_of(&witness["agency"]).ends_with(other)
                    && witness["receipts_due"] == 0
                    && witness["cosigned_events"] == log["events"]
            })
        });
    }

    /// Takes both logs away, once each is countersigned, and holds them against each other: they have to tell the same.
    pub fn reconcile(&self) {
        let exports = ["politie", "kmar"].map(|agency| {
            self.wait_for_witnesses(agency);
            agency
        });
        let exports = exports.map(|agency| self.export_log(agency, &format!("{agency}.exported")));
        let ran = Ran::overlap(&["log", "reconcile", text(&exports[0]), text(&exports[1])]);
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    /// Takes an agency's log away, as its auditor.
    pub fn export_log(&self, agency: &str, name: &str) -> PathBuf {
        let path = self.path(name);
        let ran = self.run(
            agency,
            "auditor",
            &["log", "export", "--out", text(&path), "--reason", "a test"],
        );
        assert_eq!(ran.code, 0, "{ran:?}");
        path
    }

    /// The newest log entries of an agency.
    pub fn entries(&self, agency: &str) -> Vec<Value> {
        self.json(agency, "operator", &["log", "list", "--limit", "1000"])["entries"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// The newest entry that is a match.
    pub fn newest_match(&self, agency: &str) -> Value {
        let entries = self.entries(agency);
        entries
            .into_iter()
            .find(|entry| entry["entry"]["operation"] == "combination")
            .expect("a match is logged")
    }

    /// The outcome of the newest match, once it is closed; waits a little, since the other side may hear first.
    pub fn newest_outcome(&self, agency: &str) -> (String, String) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let entry = self.newest_match(agency);
            let closing = &entry["closing"];
            if !closing.is_null() || Instant::now() > deadline {
                let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                return (word(&closing["outcome"]), word(&closing["detail"]));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes keys and certificates.
    pub fn pki(&self, arguments: &[&str]) {
        let ran = Ran::of(program("overlap").arg("pki").args(arguments));
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(!ran.stdout.contains("PRIVATE") && !ran.stderr.contains("PRIVATE"));
    }

    fn agency_files(&self, name: &str, federation: &Path) -> Agency {
        let directory = self.path(name);
        fs::create_dir_all(&directory).unwrap();
        let users = directory.join("users");
        let id = format!("spiffe://overlap.example/agency/{name}");
        self.pki(&[
            "node",
            "--ca",
            text(federation),
            "--uri",
            &id,
            "--host",
            "127.0.0.1",
            "--out",
            text(&directory),
            "--name",
            "node",
        ]);
        self.pki(&["ca", "--dir", text(&users), "--name", &format!("Users of {name}")]);
        let operator = format!("spiffe://{name}.example/operator");
        self.pki(&[
            "node",
            "--ca",
            text(&users),
            "--uri",
            &operator,
            "--host",
            "127.0.0.1",
            "--out",
            text(&directory),
            "--name",
            "operator",
        ]);
        for user in [
            "analyst",
            "operator",
            "coordinator",
            "functionary",
            "auditor",
            "stranger",
        ] {
            let uri = format!("spiffe://{name}.example/user/{user}");
            self.pki(&[
                "user",
                "--ca",
                text(&users),
                "--uri",
                &uri,
                "--out",
                text(&directory.join("people")),
                "--name",
                user,
            ]);
        }
        self.pki(&["data-key", text(&directory.join("data.key"))]);
        let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../node/policy/default.cedar");
        fs::copy(policy, directory.join("policy.cedar")).unwrap();
        self.pki(&["signing-key", text(&directory.join("signing.key"))]);
        for file in ["ca.pem", "ca.crl"] {
            fs::copy(federation.join(file), directory.join(format!("federation-{file}"))).unwrap();
        }
        Agency {
            name: name.to_owned(),
            directory,
            peer: free_address(),
            operator: free_address(),
            configuration: String::new(),
            country: "NL".to_owned(),
            called_at: None,
            node: None,
        }
    }
}
