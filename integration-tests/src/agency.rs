//! One agency: its files and its node.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::process::{Ran, program, text};

/// One agency.
pub struct Agency {
    /// Its name.
    pub name: String,
    /// Its files.
    pub directory: PathBuf,
    /// Where its node listens for peers.
    pub peer: SocketAddr,
    /// Where its node listens for its own users.
    pub operator: SocketAddr,
    /// More lines for its configuration, such as limits.
    pub configuration: String,
    /// Its country.
    pub country: String,
    /// Where other nodes call it, where that is not [`Self::peer`].
    pub called_at: Option<SocketAddr>,
    pub(crate) node: Option<Child>,
}

impl Agency {
    /// Path of one of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The pin of its node's key.
    pub fn thumbprint(&self) -> String {
        Ran::of(program("overlap").args(["pki", "thumbprint", text(&self.file("node.pem"))]))
            .stdout
            .trim()
            .to_owned()
    }

    /// The pin of the key that its node signs with.
    pub fn signing_thumbprint(&self) -> String {
        Ran::of(program("overlap").args(["pki", "thumbprint", text(&self.file("signing.key"))]))
            .stdout
            .trim()
            .to_owned()
    }

    /// Whether its node was started, and has not been stopped since.
    pub fn is_running(&self) -> bool {
        self.node.is_some()
    }

    /// Starts the node and waits until it listens.
    pub fn start(&mut self) {
        let mut command = program("overlap-node");
        command.args(["--config", text(&self.file("node.toml"))]);
        self.start_as(command);
    }

    /// Starts the node to be killed at a fault point, such as `asker.opened`.
    pub fn start_to_fail_at(&mut self, point: &str) {
        let mut command = program("overlap-node");
        command
            .args(["--config", text(&self.file("node.toml"))])
            .env("OVERLAP_FAULT", point);
        self.start_as(command);
    }

    /// Starts the node with a clock that is so many seconds ahead.
    pub fn start_with_clock(&mut self, seconds: i64) {
        let mut command = program("overlap-node");
        command
            .args(["--config", text(&self.file("node.toml"))])
            .env("OVERLAP_CLOCK", seconds.to_string());
        self.start_as(command);
    }

    /// Waits until the node has ended by itself, with a signal.
    pub fn wait_for_death(&mut self) {
        use std::os::unix::process::ExitStatusExt as _;
        let status = self.node.take().unwrap().wait().unwrap();
        assert_eq!(status.signal(), Some(9), "{}", self.log());
    }

    fn start_as(&mut self, mut command: Command) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.file("node.log"))
            .unwrap();
        let mut node = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(node.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        self.node = Some(node);
        assert!(line.starts_with("ready "), "{}: {}", self.name, self.log());
    }

    /// Process id of the node.
    pub fn pid(&self) -> u32 {
        self.node.as_ref().unwrap().id()
    }

    /// What the node wrote to standard error, over all of its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.file("node.log")).unwrap_or_default()
    }

    /// Sends a signal to the node.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid().try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Kills the node at once.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.node.take().unwrap().wait().unwrap();
    }

    /// Stops the node as an operator would; it has to end well.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.node.take().unwrap().wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }

    pub(crate) fn write_configuration(&self, all: &[Self]) {
        let Self {
            name,
            peer,
            operator,
            configuration,
            country,
            ..
        } = self;
        let mut toml = format!(
            r#"name = "{name}"
id = "spiffe://overlap.example/agency/{name}"
country = "{country}"
state = "state"
data_key = "data.key"
signing_key = "signing.key"
policy = "policy.cedar"
[peer]
listen = "{peer}"
certificate = "node.pem"
key = "node.key"
ca = "federation-ca.pem"
crl = "federation-ca.crl"
[operator]
listen = "{operator}"
certificate = "operator.pem"
key = "operator.key"
ca = "users/ca.pem"
crl = "users/ca.crl"
[guard]
enumeration_most = 1000000
repeats_per_day = 1000000
[log]
format = "json"
filter = "debug"
{configuration}
"#
        );
        for user in ["analyst", "operator", "coordinator", "functionary", "auditor"] {
            toml.push_str(&format!(
                "[[users]]\nid = \"spiffe://{name}.example/user/{user}\"\nroles = [\"{user}\"]\n"
            ));
        }
        for other in all.iter().filter(|other| other.name != *name) {
            let address = other.called_at.unwrap_or(other.peer);
            toml.push_str(&format!(
                "[[peers]]\nname = \"{0}\"\nid = \"spiffe://overlap.example/agency/{0}\"\naddress = \"{address}\"\n",
                other.name
            ));
        }
        fs::write(self.file("node.toml"), toml).unwrap();
    }
}

impl Drop for Agency {
    fn drop(&mut self) {
        if let Some(mut node) = self.node.take() {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}
