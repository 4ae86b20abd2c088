//! Names to addresses before the probing, addresses to names beside it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use netproto::icmp::Version;
use rustix::net::{AddressFamily, SocketType};

/// How long an address's name may keep a line of output waiting.
pub const NAME_PATIENCE: Duration = Duration::from_secs(2);
/// How many look-ups may run at once; further addresses go without a name.
const MOST_LOOKUPS: usize = 64;

/// A name that leads to no address.
#[derive(Debug, thiserror::Error)]
#[error("{host}: {why}")]
pub struct ResolveError {
    host: String,
    why: String,
}

impl ResolveError {
    /// The name.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// The first address of `host`, of `version` if one is asked for.
pub fn resolve(host: &str, version: Option<Version>) -> Result<SocketAddr, ResolveError> {
    resolve_all(host, version).map(|found| found[0])
}

/// All addresses of `host`, of `version` if one is asked for, in the resolver's order; at least
/// one.
pub fn resolve_all(host: &str, version: Option<Version>) -> Result<Vec<SocketAddr>, ResolveError> {
    let refuse = |why: &str| ResolveError {
        host: host.to_owned(),
        why: why.to_owned(),
    };
    let found = addresses(host).map_err(|error| {
        // std says first what it did, then, after a colon, what the resolver said.
        let text = error.to_string();
        refuse(text.rsplit_once(": ").map_or(&*text, |(_, why)| why))
    })?;
    let wanted = |address: &SocketAddr| version.is_none_or(|v| Version::of(address.ip()) == v);
    let mut addresses: Vec<SocketAddr> = Vec::new();
    // The resolver names an address once for each kind of socket.
    for address in found.into_iter().filter(wanted) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(refuse("Address family for hostname not supported"));
    }
    Ok(addresses)
}

fn addresses(host: &str) -> io::Result<Vec<SocketAddr>> {
    // Lets "fe80::1%eth0" keep its zone, which `(host, port)` does too.
    Ok((host, 0).to_socket_addrs()?.collect())
}

/// The interface that a scoped address is on (RFC 4007 §11), by its name.
pub fn zone(address: SocketAddr) -> Option<String> {
    let SocketAddr::V6(scoped) = address else {
        return None;
    };
    let index = (scoped.scope_id() != 0).then_some(scoped.scope_id())?;
    let any = rustix::net::socket(AddressFamily::INET6, SocketType::DGRAM, None).ok()?;
    rustix::net::netdevice::index_to_name(any, index).ok()
}

/// Looks names up in threads of their own, and remembers them.
#[derive(Debug)]
pub struct Names {
    known: HashMap<IpAddr, Entry>,
    answers: Receiver<(IpAddr, Option<String>)>,
    answer: Sender<(IpAddr, Option<String>)>,
    running: usize,
}

#[derive(Debug)]
enum Entry {
    Asked { since: Instant },
    Known(Option<String>),
}

impl Default for Names {
    fn default() -> Names {
        let (answer, answers) = channel();
        Names {
            known: HashMap::new(),
            answers,
            answer,
            running: 0,
        }
    }
}

impl Names {
    /// Starts to look `address` up, unless that was done before.
    pub fn ask(&mut self, address: IpAddr) {
        self.take_answers();
        if self.known.contains_key(&address) {
            return;
        }
        let answer = self.answer.clone();
        let look_up = move || {
            // The other end is gone when the program no longer cares.
            let _ = answer.send((address, name_of(address)));
        };
        let started = self.running < MOST_LOOKUPS
            && std::thread::Builder::new()
                .name("names".to_owned())
                .spawn(look_up)
                .is_ok();
        let entry = if started {
            self.running += 1;
            let since = Instant::now();
            Entry::Asked { since }
        } else {
            Entry::Known(None)
        };
        self.known.insert(address, entry);
    }

    /// The name of `address`; waits for it at most [`NAME_PATIENCE`] after it was asked for.
    pub fn name(&mut self, address: IpAddr) -> Option<&str> {
        self.ask(address);
        while let Some(Entry::Asked { since }) = self.known.get(&address) {
            let left = NAME_PATIENCE.saturating_sub(since.elapsed());
            match self.answers.recv_timeout(left) {
                Ok((address, name)) => self.learn(address, name),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    self.known.insert(address, Entry::Known(None));
                }
            }
        }
        match self.known.get(&address) {
            Some(Entry::Known(Some(name))) => Some(name),
            _ => None,
        }
    }

    fn take_answers(&mut self) {
        while let Ok((address, name)) = self.answers.try_recv() {
            self.learn(address, name);
        }
    }

    fn learn(&mut self, address: IpAddr, name: Option<String>) {
        self.running -= 1;
        self.known.insert(address, Entry::Known(name));
    }
}

/// The name that the host's resolver has for `address`, if it is more than the address itself.
fn name_of(address: IpAddr) -> Option<String> {
    let name = dns_lookup::lookup_addr(&address).ok()?;
    (name != address.to_string()).then_some(name)
}
