//! Programs that run, and waiting for them.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use serde_json::Value;

/// A command that ran.
#[derive(Debug)]
pub struct Ran {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs `overlap` without a node.
    pub fn overlap(arguments: &[&str]) -> Self {
        Self::of(program("overlap").args(arguments))
    }

    /// Runs `overlap-node`, to its end.
    pub fn overlap_node(arguments: &[&str]) -> Self {
        Self::of(program("overlap-node").args(arguments))
    }

    /// Standard output as JSON; the command has to have succeeded.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// The failure that `--json` prints.
    pub fn failure(&self) -> Value {
        assert_ne!(self.code, 0, "{self:?}");
        serde_json::from_str(self.stderr.lines().last().unwrap_or_default()).unwrap_or_else(|_| panic!("{self:?}"))
    }
}

/// Waits until something holds; for 20 seconds at most.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An address that nobody else has: below the ports that the system gives to outgoing connections, and each given out once.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 12_000;
    const PORTS: u16 = 10_000;
    let start = (std::process::id() % u32::from(PORTS)) as u16;
    loop {
        let offset = (u32::from(start) + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % u32::from(PORTS);
        let address = SocketAddr::from(([127, 0, 0, 1], FIRST + offset as u16));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(binary(name));
    // what the developer has set for daily use must not reach a test
    for variable in [
        "OVERLAP_CONFIG",
        "OVERLAP_NODE",
        "OVERLAP_CA",
        "OVERLAP_CERTIFICATE",
        "OVERLAP_KEY",
    ] {
        command.env_remove(variable);
    }
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

/// A program of the workspace: in `OVERLAP_BIN_DIR`, or beside the tests.
pub fn binary(name: &str) -> PathBuf {
    let directory = env::var_os("OVERLAP_BIN_DIR").map_or_else(
        || {
            env::current_exe()
                .unwrap()
                .parent()
                .unwrap()
                .parent()
                .unwrap()
                .to_owned()
        },
        PathBuf::from,
    );
    let path = directory.join(name);
    assert!(
        path.exists(),
        "{} is not there: run `cargo build --workspace --bins` first, or `./x test`",
        path.display()
    );
    path
}

/// Limits the size of files that a process may write: every further write fails, as on a full disk.
pub fn fill_disk(pid: u32) {
    let limited = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), "--fsize=1:unlimited"])
        .status()
        .unwrap();
    assert!(limited.success());
}
