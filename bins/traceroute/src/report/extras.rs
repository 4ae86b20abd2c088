//! What is told of an address besides itself: names and autonomous systems, looked up beside the
//! probing.

use std::io::{self, Write};
use std::net::IpAddr;

use netio::icmp::names::Names;

use crate::networks::Origins;

/// What is told besides addresses and times.
#[derive(Debug, Default)]
pub struct Extras {
    /// Names, unless nobody asks for them.
    pub names: Option<Names>,
    /// Autonomous systems, if somebody asks for them.
    pub origins: Option<Origins>,
    /// Whether the length of the way back is told where it differs.
    pub back: bool,
    /// Whether what routers append is told.
    pub extensions: bool,
}

impl Extras {
    /// Whether there is anything to wait for.
    pub fn may_wait(&self) -> bool {
        self.names.is_some() || self.origins.is_some()
    }

    /// Begins to look up what will be asked for.
    pub fn ask(&mut self, address: IpAddr) {
        if let Some(names) = &mut self.names {
            names.ask(address);
        }
        if let Some(origins) = &mut self.origins {
            origins.ask(address);
        }
    }

    /// Name and systems of an address, as far as they are asked for and known.
    pub fn known(&mut self, address: IpAddr) -> (Option<String>, Option<String>) {
        let name = self.names.as_mut().and_then(|names| names.name(address));
        let name = name.map(str::to_owned);
        let origins = self.origins.as_mut();
        let origins = origins.and_then(|origins| origins.of(address));
        (name, origins.map(str::to_owned))
    }

    /// The same as far as it is known by now, without waiting.
    pub fn known_by_now(&mut self, address: IpAddr) -> (Option<String>, Option<String>) {
        let name = self.names.as_mut().and_then(|names| names.peek(address));
        let name = name.cloned();
        let origins = self.origins.as_mut();
        let origins = origins.and_then(|origins| origins.by_now(address));
        (name, origins.map(str::to_owned))
    }

    /// Writes an address as it is shown: with a name and its systems as far as they are asked for.
    pub(super) fn address(&mut self, out: &mut impl Write, address: IpAddr) -> io::Result<()> {
        match &mut self.names {
            None => write!(out, " {address}")?,
            Some(names) => match names.name(address) {
                Some(name) => write!(out, " {name} ({address})")?,
                None => write!(out, " {address} ({address})")?,
            },
        }
        match &mut self.origins {
            None => Ok(()),
            Some(origins) => match origins.of(address) {
                Some(numbers) => write!(out, " [{numbers}]"),
                None => write!(out, " [*]"),
            },
        }
    }
}
