//! Who may ask: the Basic scheme (RFC 7617) against a file of names and password hashes.
//!
//! [`htpasswd`] reads the file and knows the hashes; `keeper` rereads it when it changes. To
//! verify a password is slow on purpose: it happens on threads beside the workers, few at a time,
//! and what was right once is remembered, so that a browser that sends the same credentials with
//! each request is not slowed.

pub mod htpasswd;
mod keeper;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use base64ct::{Base64, Encoding};
use blake2::{Blake2s256, Digest};
use netio::telemetry::Counter;
use netproto::http::fields::Fields;
use quick_cache::sync::Cache;

use self::htpasswd::Users;
use self::keeper::Keeper;
use crate::slow_work::{Shares, SlowWork};

/// What a browser asks its user for.
pub const CHALLENGE: &str = "Basic realm=\"webserverd\", charset=\"UTF-8\"";
/// How many credentials that were right are remembered.
const REMEMBERED: usize = 1024;
/// How many requests wait for a thread to verify them; more are told to come back.
const WAITING: usize = 64;
/// How many of those may be of one client: who guesses passwords locks out only himself.
const WAITING_OF_CLIENT: usize = 8;

/// A name and a password as a digest that tells nobody what they are.
type Secret = [u8; 32];

/// Who may ask.
pub struct Auth {
    keeper: Keeper,
    /// Drawn when the program starts: without it a digest cannot be tried out.
    key: [u8; 32],
    /// Credentials that were right, each for one state of the file.
    right: Cache<Secret, ()>,
    threads: SlowWork,
    shares: Shares,
    /// What it counts.
    pub counters: AuthCounters,
}

/// What is counted of those who ask.
#[derive(Debug, Default)]
pub struct AuthCounters {
    /// Passwords held against a hash.
    pub verified: Counter,
    /// Requests with a name or a password that is not right.
    pub wrong: Counter,
    /// Requests that were told to come back, as too many waited to be verified.
    pub busy: Counter,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is answered.
    Right,
    /// 401: it has no credentials, or wrong ones.
    Wrong,
    /// 503: too many are being verified, of all clients or of this one.
    Busy,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("keeper", &self.keeper)
            .finish_non_exhaustive()
    }
}

impl Auth {
    /// Those in the file at `path`.
    ///
    /// # Errors
    /// What is wrong with the file, and how it would be right.
    pub fn open(path: PathBuf) -> Result<Auth, String> {
        Ok(Auth {
            keeper: Keeper::open(path)?,
            key: rand::random(),
            right: Cache::new(REMEMBERED),
            threads: SlowWork::new(WAITING),
            shares: Shares::new(WAITING_OF_CLIENT),
            counters: AuthCounters::default(),
        })
    }

    /// Whether a request's credentials are known to be right, without waiting for anything.
    pub fn knows(&self, fields: &Fields<'_, '_>, now: Instant) -> bool {
        self.keeper.is_fresh(now)
            && credentials(fields).is_some_and(|sent| {
                let users = self.keeper.users();
                self.right.get(&self.secret(&users, sent)).is_some()
            })
    }

    /// Judges a request of `client`.
    pub async fn judge(&self, fields: &Fields<'_, '_>, client: IpAddr, now: Instant) -> Verdict {
        self.keeper.look(now);
        let Some(sent) = credentials(fields) else {
            return Verdict::Wrong;
        };
        let users = self.keeper.users();
        let secret = self.secret(&users, sent);
        if self.right.get(&secret).is_some() {
            return Verdict::Right;
        }
        let verdict = self.verify(users, sent, client).await;
        match verdict {
            Verdict::Right => self.right.insert(secret, ()),
            Verdict::Wrong => self.counters.wrong.add(1),
            Verdict::Busy => self.counters.busy.add(1),
        }
        verdict
    }

    async fn verify(&self, users: Arc<Users>, sent: &[u8], client: IpAddr) -> Verdict {
        let Some((name, password)) = decode(sent) else {
            return Verdict::Wrong;
        };
        let Some(_share) = self.shares.take(client) else {
            return Verdict::Busy;
        };
        let verified = self
            .threads
            .run(move || users.verify(&name, &password))
            .await;
        if verified.is_some() {
            self.counters.verified.add(1);
        }
        match verified {
            Some(true) => Verdict::Right,
            Some(false) => Verdict::Wrong,
            None => Verdict::Busy,
        }
    }

    /// What is remembered of credentials. It holds the state of the file: after a change nothing
    /// that was right before is found.
    fn secret(&self, users: &Users, sent: &[u8]) -> Secret {
        Blake2s256::new()
            .chain_update(self.key)
            .chain_update(users.generation().to_le_bytes())
            .chain_update(sent)
            .finalize()
            .into()
    }
}

/// What stands behind `Basic` in the only Authorization field.
fn credentials<'b>(fields: &Fields<'_, 'b>) -> Option<&'b [u8]> {
    let mut values = fields.all("authorization");
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, sent) = value.split_at_checked("Basic ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Basic ")
        .then(|| sent.trim_ascii_start())
}

/// The name and the password: what stands before and behind the first colon (RFC 7617 §2).
fn decode(sent: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let text = Base64::decode_vec(str::from_utf8(sent).ok()?).ok()?;
    let colon = text.iter().position(|&byte| byte == b':')?;
    Some((text[..colon].to_vec(), text[colon + 1..].to_vec()))
}
