//! Giving up what only the opening of sockets took.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

/// Drops all capabilities of the calling thread and of the threads that it starts from here on;
/// threads that run already keep theirs. Open sockets go on working.
pub fn drop_capabilities() -> io::Result<()> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, none)?)
}
