//! Names to addresses, by the system's own resolver (`/etc/hosts`, then DNS), which blocks: it runs
//! on threads beside the worker, few at a time, and what it says is remembered for a moment.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::{SmallVec, smallvec};
use thiserror::Error;
use tokio::sync::{OnceCell, Semaphore, oneshot};

/// How many names a worker asks for at once. More wait, and their callers' deadlines run.
const LOOKUPS: usize = 16;
/// How many names are remembered.
const NAMES: usize = 1024;
/// How many addresses of a name are used.
const ADDRESSES: usize = 8;
/// How long the addresses of a name are used: the system's resolver does not tell what DNS says.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// How long a name that has none is not asked for again.
const UNKNOWN_FOR: Duration = Duration::from_secs(1);

/// The addresses of a name, in the order in which they are to be tried.
pub type Addresses = SmallVec<[IpAddr; 2]>;

/// Why a name has no address.
#[derive(Clone, Debug, Error)]
#[error("{0}")]
pub struct LookupError(Arc<str>);

/// The names that one worker has asked for.
#[derive(Debug)]
pub struct Resolver {
    names: RefCell<HashMap<Box<str>, Name>>,
    lookups: Arc<Semaphore>,
}

#[derive(Debug)]
struct Name {
    since: Instant,
    /// Empty while the system is being asked: who wants it too waits for the same answer.
    found: Rc<OnceCell<Found>>,
}

type Found = Result<Addresses, LookupError>;

impl Default for Resolver {
    fn default() -> Resolver {
        Resolver {
            names: RefCell::default(),
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
        }
    }
}

impl Resolver {
    /// The addresses of `host`, which is a name, or an address itself (an IPv6 address with its
    /// brackets). Never none. It waits as long as the system does: the deadline is the caller's.
    ///
    /// # Errors
    /// The system knows no address of that name.
    pub async fn addresses(&self, host: &str, now: Instant) -> Result<Addresses, LookupError> {
        if let Some(address) = literal(host) {
            return Ok(smallvec![address]);
        }
        let name = host.to_ascii_lowercase();
        let found = self.name(&name, now);
        let ask = || ask_system(name, Arc::clone(&self.lookups));
        found.get_or_init(ask).await.clone()
    }

    /// No address of `host` was of use: it is looked up again when it is wanted next.
    pub fn forget(&self, host: &str) {
        let name = host.to_ascii_lowercase();
        self.names.borrow_mut().remove(name.as_str());
    }

    fn name(&self, name: &str, now: Instant) -> Rc<OnceCell<Found>> {
        let mut names = self.names.borrow_mut();
        if let Some(known) = names.get(name)
            && known.is_current(now)
        {
            return Rc::clone(&known.found);
        }
        if names.len() >= NAMES {
            names.retain(|_, known| known.is_current(now));
        }
        if names.len() >= NAMES {
            // Those who wait for an answer keep their part of it.
            names.clear();
        }
        let found = Rc::default();
        let known = Name {
            since: now,
            found: Rc::clone(&found),
        };
        names.insert(name.into(), known);
        found
    }
}

impl Name {
    fn is_current(&self, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.since);
        match self.found.get() {
            None => true,
            Some(Ok(_)) => age < KNOWN_FOR,
            Some(Err(_)) => age < UNKNOWN_FOR,
        }
    }
}

/// The address that `host` is in the one spelling that every program reads alike. Other spellings
/// (`127.1`, `0x7f000001`) are names, of which the system makes what it will.
fn literal(host: &str) -> Option<IpAddr> {
    match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

async fn ask_system(name: String, lookups: Arc<Semaphore>) -> Found {
    let failed = |cause: &str| Err(LookupError(cause.into()));
    let Ok(permit) = lookups.acquire_owned().await else {
        return failed("the resolver is closed");
    };
    let (tell, told) = oneshot::channel();
    // A thread of its own, not of the runtime: that would wait at its end for the slowest lookup.
    let asking = move || {
        let _permit = permit;
        // Nobody hears it when all who asked have gone.
        let _ = tell.send((name.as_str(), 0).to_socket_addrs());
    };
    let thread = std::thread::Builder::new().name("resolve".into());
    if let Err(cause) = thread.spawn(asking) {
        return failed(&cause.to_string());
    }
    match told.await {
        Ok(Ok(found)) => {
            let addresses = in_turns(found.map(|address| address.ip()));
            if addresses.is_empty() {
                return failed("the name has no address");
            }
            Ok(addresses)
        }
        Ok(Err(cause)) => {
            let cause = cause.to_string();
            // What the standard library says before the resolver's own words.
            let words = cause.strip_prefix("failed to lookup address information: ");
            failed(words.unwrap_or(&cause))
        }
        Err(_) => failed("the lookup ended without a word"),
    }
}

/// The families in turns, each in the system's order (RFC 8305 §4): a family that leads nowhere
/// costs one attempt, not all.
fn in_turns(found: impl Iterator<Item = IpAddr>) -> Addresses {
    let mut all: SmallVec<[IpAddr; ADDRESSES]> = SmallVec::new();
    for address in found {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    let is_first = |address: &&IpAddr| Some(address.is_ipv4()) == all.first().map(IpAddr::is_ipv4);
    let mut first = all.iter().filter(is_first);
    let mut second = all.iter().filter(|address| !is_first(address));
    let mut addresses = Addresses::new();
    while addresses.len() < all.len().min(ADDRESSES) {
        addresses.extend(first.next().into_iter().chain(second.next()).copied());
    }
    addresses.truncate(ADDRESSES);
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_the_spelling_that_all_read_alike_is_an_address_by_itself() {
        let cases = [
            ("127.0.0.1", Some("127.0.0.1")),
            ("[::1]", Some("::1")),
            ("[::ffff:127.0.0.1]", Some("::ffff:127.0.0.1")),
            ("127.1", None),
            ("0177.0.0.1", None),
            ("127.0.0.01", None),
            ("2130706433", None),
            ("0x7f.1", None),
            ("::1", None),
            ("[127.0.0.1]", None),
            ("localhost", None),
        ];
        for (host, address) in cases {
            assert_eq!(literal(host), address.map(ip), "{host}");
        }
    }

    #[test]
    fn the_families_take_turns_beginning_with_the_first() {
        let found = ["::1", "::2", "::2", "::3", "10.0.0.1"].map(ip);
        let expected = ["::1", "10.0.0.1", "::2", "::3"].map(ip);
        assert_eq!(in_turns(found.into_iter()).as_slice(), expected);
        let many = (0..20).map(|n| IpAddr::from([10, 0, 0, n]));
        assert_eq!(in_turns(many).len(), ADDRESSES);
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_for_all_who_ask_and_remembered_for_a_while() {
        let resolver = Resolver::default();
        let start = Instant::now();
        let found = resolver.addresses("LocalHost", start).await.unwrap();
        assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
        let cell = resolver.name("localhost", start + KNOWN_FOR / 2);
        assert!(cell.get().is_some());
        let cell = resolver.name("localhost", start + KNOWN_FOR);
        assert!(cell.get().is_none(), "looked up anew");
        // Under way: whoever comes meanwhile waits for the same answer, however long it takes.
        let same = resolver.name("localhost", start + 9 * KNOWN_FOR);
        assert!(Rc::ptr_eq(&cell, &same));
    }

    #[tokio::test]
    async fn a_name_that_has_no_address_says_so_and_is_asked_for_again_soon() {
        let resolver = Resolver::default();
        let start = Instant::now();
        let error = resolver.addresses("no-such-host.invalid", start).await;
        assert!(!error.unwrap_err().to_string().is_empty());
        assert!(resolver.name("no-such-host.invalid", start).get().is_some());
        let later = start + UNKNOWN_FOR;
        assert!(resolver.name("no-such-host.invalid", later).get().is_none());
    }

    #[test]
    fn the_names_that_are_remembered_are_bounded() {
        let resolver = Resolver::default();
        for number in 0..3 * NAMES {
            resolver.name(&number.to_string(), Instant::now());
        }
        assert!(resolver.names.borrow().len() <= NAMES);
    }
}
