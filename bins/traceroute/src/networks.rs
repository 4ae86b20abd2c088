//! To which autonomous systems addresses belong: from a file, or from a DNS service.

mod service;
mod table;

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use netio::icmp::lookups::Lookups;

use crate::config::Networks;
use service::Service;
use table::Table;

/// Answers which autonomous systems announce an address.
#[derive(Debug)]
pub struct Origins(Lookups<String>);

impl Origins {
    /// As `networks` says.
    pub fn open(networks: &Networks) -> Result<Origins> {
        Ok(Origins(match networks {
            Networks::Table(path) => {
                let table = Arc::new(Table::read(path)?);
                Lookups::of(move |address| table.origins(address))
            }
            Networks::Service { zone_v4, zone_v6 } => {
                let service = Service::of_this_host(zone_v4, zone_v6)
                    .context("autonomous systems cannot be looked up")?;
                Lookups::of(move |address| service.origins(address))
            }
        }))
    }

    /// Begins to look an address up.
    pub fn ask(&mut self, address: IpAddr) {
        self.0.ask(address);
    }

    /// The systems, such as "AS64496" or "AS64496/AS64497"; waits as long as patience lasts.
    pub fn of(&mut self, address: IpAddr) -> Option<&str> {
        self.0.wait_for(address).map(String::as_str)
    }

    /// The systems, if they are known by now.
    pub fn by_now(&mut self, address: IpAddr) -> Option<&str> {
        self.0.peek(address).map(String::as_str)
    }
}

/// Numbers with slashes between them, as the Linux traceroute prints them; nothing without any.
fn written<'a>(numbers: impl Iterator<Item = &'a str>) -> Option<String> {
    let known = numbers.filter(|number| number.parse::<u32>().is_ok());
    let systems: Vec<String> = known.map(|number| format!("AS{number}")).collect();
    (!systems.is_empty()).then(|| systems.join("/"))
}
