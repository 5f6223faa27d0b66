//! Several real nodes on this machine, with keys, certificates and agreements of their own: for the demo and for benchmarks.

mod acting;
mod convened;

pub(crate) use acting::{ACTION, Acting, ready, step};
pub(crate) use convened::{CASE, Convened, ORDER};

use std::{
    env, fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use jiff::{Timestamp, ToSpan as _};
use overlap_agreement::{Agreement, Signed, from_toml};
use overlap_proto::pb::operator as pb;
use overlap_records::Profile;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{
    client::{self, Failure},
    pki::{Authority, Issue, Subject, signing},
    settings::Settings,
};

/// Purpose that the agreements of a fleet cover.
pub(crate) const PURPOSE: &str = "thb-investigation";
/// Name of every agency's dataset.
pub(crate) const DATASET: &str = "cases";

const HOST: &str = "127.0.0.1";
const DAYS: u32 = 30;
const AUTHORITY_DAYS: u32 = 365;
const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(40);

/// Running nodes; killed when dropped, stopped in order by [`Fleet::stop`].
pub(crate) struct Fleet {
    agencies: Vec<Agency>,
    /// Of each agency, in their order.
    keys: Vec<Keys>,
}

/// One agency with its node.
pub(crate) struct Agency {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) peer: SocketAddr,
    pub(crate) operator: SocketAddr,
    directory: PathBuf,
    /// Keep the ports from others until the node takes them.
    held: Vec<TcpListener>,
    node: Option<Child>,
}

/// What one agency may ask another.
pub(crate) struct Grant {
    pub(crate) asker: &'static str,
    pub(crate) holder: &'static str,
    pub(crate) modes: &'static [&'static str],
    pub(crate) kinds: &'static [&'static str],
    pub(crate) max_set_size: u64,
}

impl Fleet {
    /// Makes everything in `directory` and starts the nodes.
    pub(crate) async fn start(directory: &Path, names: &[&str], grants: &[Grant]) -> Result<Self> {
        let program = node_program()?;
        let federation = Authority::create(
            &directory.join("federation"),
            "Overlap federation (demo)",
            AUTHORITY_DAYS,
        )?;
        let mut agencies = Vec::new();
        let mut keys = Vec::new();
        for name in names {
            let (agency, key) = prepare(directory, name, &federation)?;
            agencies.push(agency);
            keys.push(key);
        }
        for agency in &agencies {
            fs::write(agency.directory.join("node.toml"), configuration(agency, &agencies))?;
        }
        let mut fleet = Self { agencies, keys };
        for agency in &mut fleet.agencies {
            agency
                .start(&program)
                .await
                .with_context(|| format!("starting the node of {}", agency.name))?;
        }
        for grant in grants {
            fleet.agree(grant).await?;
        }
        Ok(fleet)
    }

    /// One proposes, the other accepts: both nodes sign.
    async fn agree(&self, grant: &Grant) -> Result<()> {
        let draft: Signed<Agreement> = from_toml(&agreement(grant, &self.agencies, &self.keys))?;
        let document = serde_json::to_vec(draft.document())?;
        let refused = |failure: Failure| failure.error;
        let (asker, holder) = (self.agency(grant.asker)?, self.agency(grant.holder)?);
        let mut client = client::connect(&asker.settings("operator")).await.map_err(refused)?;
        let wish = pb::ProposeAgreementRequest {
            document: document.into(),
            reason: "made for this run".to_owned(),
        };
        client.propose_agreement(wish).await?;
        let mut client = client::connect(&holder.settings("operator")).await.map_err(refused)?;
        let wish = pb::DecideAgreementRequest {
            agreement: draft.hash().to_string(),
            verb: "accept".to_owned(),
            reason: "made for this run".to_owned(),
        };
        client.decide_agreement(wish).await?;
        Ok(())
    }

    pub(crate) fn agencies(&self) -> &[Agency] {
        &self.agencies
    }

    pub(crate) fn agency(&self, name: &str) -> Result<&Agency> {
        self.agencies
            .iter()
            .find(|agency| agency.name == name)
            .with_context(|| format!("no agency {name}"))
    }

    /// Stops every node in order, as an operator would.
    pub(crate) async fn stop(mut self) -> Result<()> {
        for agency in &mut self.agencies {
            agency
                .stop()
                .await
                .with_context(|| format!("stopping the node of {}", agency.name))?;
        }
        Ok(())
    }
}

impl Agency {
    /// How a user of this agency reaches the node.
    pub(crate) fn settings(&self, user: &str) -> Settings {
        Settings {
            node: self.operator.to_string(),
            ca: self.directory.join("users/ca.pem"),
            certificate: self.directory.join(format!("people/{user}.pem")),
            key: self.directory.join(format!("people/{user}.key")),
        }
    }

    /// The agency's own files.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Process id of the node.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.node.as_ref().and_then(Child::id).context("the node has ended")
    }

    async fn start(&mut self, program: &Path) -> Result<()> {
        self.held.clear();
        let log = fs::File::create(self.directory.join("node.log"))?;
        let mut node = Command::new(program)
            .arg("--config")
            .arg(self.directory.join("node.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let stdout = node.stdout.take().context("the node has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(START, lines.next_line())
            .await
            .context("it did not get ready in time")??;
        self.node = Some(node);
        if line.is_some_and(|line| line.starts_with("ready ")) {
            return Ok(());
        }
        let log = fs::read_to_string(self.directory.join("node.log")).unwrap_or_default();
        bail!("{}", log.lines().last().unwrap_or("it ended without a word"))
    }

    async fn stop(&mut self) -> Result<()> {
        let Some(mut node) = self.node.take() else {
            return Ok(());
        };
        let pid = node.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).map_err(io::Error::from)?;
        }
        let status = timeout(STOP, node.wait()).await.context("it did not stop in time")??;
        if !status.success() {
            bail!("it ended with {status}");
        }
        Ok(())
    }
}

/// What agreements pin of an agency.
struct Keys {
    key: String,
    signing_key: String,
}

impl Keys {
    /// What an agreement says of the agency.
    fn party(&self, agency: &Agency) -> String {
        format!(
            "\n[[party]]\nname = \"{}\"\nid = \"{}\"\ncountry = \"NL\"\nkey = \"{}\"\nsigning_key = \"{}\"\n",
            agency.name, agency.id, self.key, self.signing_key
        )
    }
}

/// Names as a list in TOML.
fn quoted(names: &[&str]) -> String {
    let names = names.iter().map(|name| format!("{name:?}"));
    names.collect::<Vec<_>>().join(", ")
}

/// Keys and certificates of one agency.
fn prepare(directory: &Path, name: &str, federation: &Authority) -> Result<(Agency, Keys)> {
    let id = format!("spiffe://overlap.example/agency/{name}");
    let directory = directory.join(name);
    fs::create_dir_all(&directory)?;
    let hosts = || Subject::Node {
        hosts: vec![HOST.to_owned(), "localhost".to_owned()],
    };
    let node = federation.issue(&Issue::for_days(hosts(), &id, DAYS)?, &directory, "node")?;
    fs::copy(federation.certificate(), directory.join("federation-ca.pem"))?;
    fs::copy(federation.crl(), directory.join("federation-ca.crl"))?;
    let users = Authority::create(
        &directory.join("users"),
        &format!("Users of {name} (demo)"),
        AUTHORITY_DAYS,
    )?;
    users.issue(
        &Issue::for_days(hosts(), format!("spiffe://{name}.example/operator"), DAYS)?,
        &directory,
        "operator",
    )?;
    for user in ["analyst", "operator", "functionary", "coordinator"] {
        let uri = format!("spiffe://{name}.example/user/{user}");
        users.issue(
            &Issue::for_days(Subject::User, uri, DAYS)?,
            &directory.join("people"),
            user,
        )?;
    }
    crate::files::write_data_key(&directory.join("data.key"))?;
    let keys = Keys {
        key: node.thumbprint,
        signing_key: signing::write(&directory.join("signing.key"))?,
    };
    let (peer, operator) = (free_port()?, free_port()?);
    let agency = Agency {
        name: name.to_owned(),
        id,
        peer: peer.local_addr()?,
        operator: operator.local_addr()?,
        directory,
        held: vec![peer, operator],
        node: None,
    };
    Ok((agency, keys))
}

/// A port below those that the system gives to outgoing connections.
fn free_port() -> io::Result<TcpListener> {
    const TRIES: usize = 100;
    let candidates = std::iter::repeat_with(|| SocketAddr::from(([127, 0, 0, 1], rand::random_range(22_000..32_000))));
    let free = candidates
        .take(TRIES)
        .find_map(|address| TcpListener::bind(address).ok());
    free.ok_or_else(|| io::Error::new(io::ErrorKind::AddrInUse, "no free port on 127.0.0.1"))
}

fn configuration(own: &Agency, all: &[Agency]) -> String {
    let Agency {
        name,
        id,
        peer,
        operator,
        ..
    } = own;
    let mut text = format!(
        r#"name = "{name}"
id = "{id}"
country = "NL"
state = "state"
data_key = "data.key"
signing_key = "signing.key"

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

# all nodes call from one address
[limits]
handshakes_per_address = 256

# made-up values stand closer together than real ones
[guard]
enumeration_most = 100000000
repeats_per_day = 1000000

[[users]]
id = "spiffe://{name}.example/user/analyst"
roles = ["analyst"]

[[users]]
id = "spiffe://{name}.example/user/operator"
roles = ["operator"]

[[users]]
id = "spiffe://{name}.example/user/functionary"
roles = ["functionary"]

[[users]]
id = "spiffe://{name}.example/user/coordinator"
roles = ["coordinator"]
"#
    );
    for peer in all.iter().filter(|peer| peer.name != *name) {
        text.push_str(&format!(
            "\n[[peers]]\nname = \"{}\"\nid = \"{}\"\naddress = \"{}\"\n",
            peer.name, peer.id, peer.peer
        ));
    }
    text
}

fn agreement(grant: &Grant, agencies: &[Agency], keys: &[Keys]) -> String {
    let now = Timestamp::now();
    let (from, until) = (now - 1.hour(), now + (24 * i64::from(DAYS)).hours());
    let profile = Profile::eu_thb_1();
    let mut text = format!(
        r#"id = "{asker}-{holder}-2026"
purposes = ["{PURPOSE}"]
regime = "wpg"
article = "20"
profile = "{profile}"
profile_hash = "{profile_hash}"
valid_from = "{from}"
valid_until = "{until}"

[[grant]]
asker = "{asker}"
holder = "{holder}"
dataset = "{DATASET}"
modes = [{modes}]
kinds = [{kinds}]
max_set_size = {max}
items_per_day = {per_day}
disclose = ["reference", "role", "phone"]
"#,
        profile = profile.name(),
        profile_hash = hex::encode(profile.hash()),
        asker = grant.asker,
        holder = grant.holder,
        modes = quoted(grant.modes),
        kinds = quoted(grant.kinds),
        max = grant.max_set_size,
        per_day = 100 * grant.max_set_size,
    );
    for (agency, key) in agencies.iter().zip(keys) {
        if agency.name == grant.asker || agency.name == grant.holder {
            text.push_str(&key.party(agency));
        }
    }
    text
}

/// `overlap-node`, beside this program or where the environment says.
pub(crate) fn node_program() -> Result<PathBuf> {
    if let Some(path) = env::var_os("OVERLAP_NODE_PROGRAM") {
        return Ok(path.into());
    }
    let beside = env::current_exe()?.with_file_name("overlap-node");
    if !beside.exists() {
        bail!(
            "{} is not there; build it with `cargo build -p overlap-node`, or set OVERLAP_NODE_PROGRAM",
            beside.display()
        );
    }
    Ok(beside)
}
