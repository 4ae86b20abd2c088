//! A file of users as htpasswd writes it: `name:hash` lines, with hashes by bcrypt or Argon2.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use argon2::{Argon2, Params, PasswordHash, PasswordVerifier};

/// What bcrypt's cost may be: a step more doubles the time, and this takes about a second.
const BCRYPT_COST: std::ops::RangeInclusive<u32> = 4..=14;
/// What Argon2 may take for one password: memory in KiB, passes, lanes.
const ARGON2_MEMORY_KIB: u32 = 256 * 1024;
const ARGON2_PASSES: u32 = 16;
const ARGON2_LANES: u32 = 16;

/// Names and the hashes of their passwords.
#[derive(Debug)]
pub struct Users {
    by_name: HashMap<Vec<u8>, usize>,
    hashes: Vec<Hash>,
    generation: u64,
    /// Chooses whose hash a password of nobody is held against.
    decoys: RandomState,
}

/// A password's hash, checked.
#[derive(Debug, PartialEq, Eq)]
enum Hash {
    Bcrypt(String),
    Argon2(String),
}

impl Users {
    /// The users in `text`, the state `generation` of the file.
    ///
    /// # Errors
    /// Which line is wrong, and how it would be right. No hash is repeated in it.
    pub fn parse(text: &str, generation: u64) -> Result<Users, String> {
        let mut by_name = HashMap::new();
        let mut hashes = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |cause: &str| format!("line {}: {cause}", at + 1);
            let (name, hash) = line
                .split_once(':')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| wrong("it is no name:hash"))?;
            let hash = Hash::parse(hash).map_err(|cause| wrong(&cause))?;
            if by_name
                .insert(name.as_bytes().to_vec(), hashes.len())
                .is_some()
            {
                return Err(wrong("the name stands there twice"));
            }
            hashes.push(hash);
        }
        Ok(Users {
            by_name,
            hashes,
            generation,
            decoys: RandomState::new(),
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there are none: nobody may ask.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Which state of the file this is.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether this is the password of `name`. It takes as long for a name that nobody has: that
    /// is held against somebody's hash, always the same one's, and is wrong whatever comes out.
    pub fn verify(&self, name: &[u8], password: &[u8]) -> bool {
        let known = self.by_name.get(name).copied();
        let decoy = || {
            let chosen = self.decoys.hash_one(name) as usize;
            chosen.checked_rem(self.hashes.len())
        };
        let Some(hash) = known.or_else(decoy).and_then(|at| self.hashes.get(at)) else {
            return false;
        };
        hash.verify(password) && known.is_some()
    }
}

impl Hash {
    fn parse(text: &str) -> Result<Hash, String> {
        if text.starts_with("$argon2") {
            let hash = PasswordHash::new(text).map_err(|error| error.to_string())?;
            if hash.salt.is_none() || hash.hash.is_none() {
                return Err("this hash is not whole".to_owned());
            }
            let params = Params::try_from(&hash).map_err(|error| error.to_string())?;
            let is_bearable = params.m_cost() <= ARGON2_MEMORY_KIB
                && params.t_cost() <= ARGON2_PASSES
                && params.p_cost() <= ARGON2_LANES;
            if !is_bearable {
                return Err(format!(
                    "this hash takes too much: at most {ARGON2_MEMORY_KIB} KiB, \
                     {ARGON2_PASSES} passes, {ARGON2_LANES} lanes"
                ));
            }
            return Ok(Hash::Argon2(text.to_owned()));
        }
        let is_bcrypt = ["$2a$", "$2b$", "$2y$"]
            .iter()
            .any(|kind| text.starts_with(kind));
        if !is_bcrypt {
            return Err(
                "the hash is neither bcrypt ($2y$) nor Argon2 ($argon2id$); make one with \
                 htpasswd -nB NAME"
                    .to_owned(),
            );
        }
        text.parse::<bcrypt::HashParts>()
            .map_err(|error| error.to_string())?;
        let cost = text.get(4..6).and_then(|digits| digits.parse().ok());
        if !cost.is_some_and(|cost| BCRYPT_COST.contains(&cost)) {
            let (least, most) = (BCRYPT_COST.start(), BCRYPT_COST.end());
            return Err(format!(
                "the cost of this hash is not from {least} to {most}"
            ));
        }
        Ok(Hash::Bcrypt(text.to_owned()))
    }

    /// Whether it is that of `password`; compared in constant time by both crates.
    fn verify(&self, password: &[u8]) -> bool {
        match self {
            Hash::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Hash::Argon2(hash) => PasswordHash::new(hash)
                .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Of crypt_blowfish's own tests.
    const BCRYPT: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    /// Of the tests of Argon2's reference code: version 1.3, 2 passes, 64 MiB, "password",
    /// "somesalt".
    const ARGON2: &str = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ\
                          $CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

    #[test]
    fn only_the_right_password_of_a_known_name_is_right() {
        let text = format!("# users\n\nann:{BCRYPT}\n bob:{ARGON2} \n");
        let users = Users::parse(&text, 3).unwrap();
        assert_eq!((users.len(), users.generation()), (2, 3));
        for (name, password, is_right) in [
            ("ann", "U*U", true),
            ("ann", "U*U*", false),
            ("ann", "", false),
            ("bob", "password", true),
            ("bob", "Password", false),
            ("bob", "U*U", false),
            // Held against one of the two, and wrong with either's password.
            ("eve", "U*U", false),
            ("eve", "password", false),
            ("", "U*U", false),
            ("# users", "", false),
        ] {
            let seen = users.verify(name.as_bytes(), password.as_bytes());
            assert_eq!(seen, is_right, "{name} {password}");
        }
        let nobody = Users::parse("", 0).unwrap();
        assert!(nobody.is_empty() && !nobody.verify(b"ann", b"U*U"));
    }

    #[test]
    fn a_name_that_nobody_has_takes_as_much_work_as_one_that_somebody_has() {
        use rustix::time::{ClockId, clock_gettime};

        let slower = BCRYPT.replace("$05$", "$09$");
        let users = Users::parse(&format!("ann:{slower}"), 0).unwrap();
        // Of this thread alone: others do not count.
        let work = |name: &[u8]| {
            let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
            let started = now();
            assert!(!users.verify(name, b"wrong"));
            now().saturating_sub(started)
        };
        let (known, unknown) = (work(b"ann"), work(b"eve"));
        assert!(
            unknown > known / 2 && unknown < known * 2,
            "{known:?} {unknown:?}"
        );
    }

    #[test]
    fn a_line_that_is_wrong_is_told_with_its_number_and_without_its_hash() {
        for (text, part) in [
            ("ann", "name:hash"),
            (":x", "name:hash"),
            ("ann:$apr1$abc$secret", "htpasswd -nB"),
            ("ann:{SHA}secret", "htpasswd -nB"),
            ("ann:plain secret", "htpasswd -nB"),
            ("ann:$2y$05$secret", "line 1"),
            (
                "ann:$2y$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
                "cost",
            ),
            ("ann:$argon2id$secret", "line 1"),
            (
                "ann:$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ\
                 $CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
                "KiB",
            ),
        ] {
            let refused = Users::parse(text, 0).unwrap_err();
            assert!(refused.contains(part), "{refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
        let twice = format!("ann:{BCRYPT}\nann:{BCRYPT}");
        assert!(Users::parse(&twice, 0).unwrap_err().starts_with("line 2"));
    }
}
