//! Giving up what only the opening of sockets takes.
//!
//! A program that is installed with a file capability or set-user-ID root has more than its user.
//! It [sets that aside](Privileges::set_aside) first of all, so that names are resolved and files
//! read with the user's rights, [takes it up](Privileges::take_up) to open its sockets, and
//! [gives it up](Privileges::give_up) for good. Open sockets go on working.

use std::io;

use rustix::process::{Uid, geteuid, getuid};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_thread_res_uid};

/// What the calling thread may do, and the threads that it starts from here on. Threads that run
/// already keep what they have.
#[derive(Debug)]
pub struct Privileges {
    /// The user whose program this is, where that is not who runs it.
    owner: Option<Uid>,
}

impl Privileges {
    /// Goes on as the user who runs the program, for the time being.
    pub fn set_aside() -> io::Result<Privileges> {
        let (user, owner) = (getuid(), geteuid());
        if user == owner {
            return Ok(Privileges { owner: None });
        }
        set_thread_res_uid(user, user, owner)?;
        Ok(Privileges { owner: Some(owner) })
    }

    /// Goes on as the program's owner.
    pub fn take_up(&self) -> io::Result<()> {
        match self.owner {
            Some(owner) => Ok(set_thread_res_uid(getuid(), owner, owner)?),
            None => Ok(()),
        }
    }

    /// Goes on as the user who runs the program, without any capability, for good.
    pub fn give_up(self) -> io::Result<()> {
        if self.owner.is_some() {
            let user = getuid();
            set_thread_res_uid(user, user, user)?;
        }
        drop_capabilities()
    }
}

fn drop_capabilities() -> io::Result<()> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, none)?)
}
