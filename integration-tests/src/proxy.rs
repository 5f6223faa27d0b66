//! A link that can be cut or held.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// Forwards connections; what comes back from the callee can be cut or held.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    fate: Fate,
    links: Vec<TcpStream>,
}

/// What happens to the callee's bytes after so many.
#[derive(Clone, Copy, Default)]
enum Fate {
    #[default]
    Whole,
    Cut(u64),
    Held(u64),
}

impl Proxy {
    /// Starts forwarding.
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::default(),
        };
        let shared = Arc::clone(&proxy.shared);
        thread::spawn(move || {
            for caller in listener.incoming() {
                let caller = caller.unwrap();
                let Ok(callee) = TcpStream::connect(target) else {
                    continue;
                };
                let (to_callee, to_caller) = (callee.try_clone().unwrap(), caller.try_clone().unwrap());
                let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                shared
                    .links
                    .extend([callee.try_clone().unwrap(), caller.try_clone().unwrap()]);
                let fate = shared.fate;
                drop(shared);
                thread::spawn(move || forward(caller, to_callee, Fate::Whole));
                thread::spawn(move || forward(callee, to_caller, fate));
            }
        });
        proxy
    }

    /// Cuts each connection from now on once so many bytes came back.
    pub fn cut_after(&self, bytes: u64) {
        self.set(Fate::Cut(bytes));
    }

    /// Holds each connection from now on once so many bytes came back: it stays up and nothing more passes.
    pub fn hold_after(&self, bytes: u64) {
        self.set(Fate::Held(bytes));
    }

    /// Cuts what is up.
    pub fn cut_all(&self) {
        let links = std::mem::take(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner).links);
        for link in links {
            let _ = link.shutdown(Shutdown::Both);
        }
    }

    /// Lets connections from now on alone.
    pub fn heal(&self) {
        self.set(Fate::Whole);
    }

    fn set(&self, fate: Fate) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).fate = fate;
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, fate: Fate) {
    let mut left = match fate {
        Fate::Whole => u64::MAX,
        Fate::Cut(bytes) | Fate::Held(bytes) => bytes,
    };
    let mut buffer = [0; 4096];
    while left > 0 {
        let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match from.read(&mut buffer[..want]) {
            Ok(read) if read > 0 && to.write_all(&buffer[..read]).is_ok() => left -= read as u64,
            _ => break,
        }
    }
    if left == 0 && matches!(fate, Fate::Held(_)) {
        // longer than any test; the streams stay open meanwhile
        thread::sleep(Duration::from_secs(600));
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
