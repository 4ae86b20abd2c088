//! traceroute: finds the routers between here and a host.
//!
//! Read in this order: [`config`], [`session`] (which probe is in what state; pure), [`wire`]
//! (probes and answers as bytes; pure), [`mark`] (what an answer says about the way), `sockets`
//! and `tracing` (the loop), [`report`] (the lines).

pub mod args;
pub mod config;
pub mod mark;
pub mod report;
pub mod session;
mod sockets;
mod tracing;
pub mod wire;

use std::io::{self, BufWriter};
use std::sync::mpsc::sync_channel;
use std::thread;

use anyhow::{Context, Result};
use netio::icmp::names::resolve;
use netio::icmp::wait::Signals;
use netproto::icmp::Version;

use crate::config::Config;
use crate::report::Report;
use crate::sockets::Sockets;

/// How many events may wait for the report; a full queue makes the probing wait.
const WAITING_EVENTS: usize = 4096;
/// Octets behind the IP header of a probe, where the user does not say otherwise.
const DEFAULT_PAYLOAD_LEN: usize = 40;
/// The UDP or ICMP header, and two octets that tell the probes apart.
const SHORTEST_PAYLOAD_LEN: usize = 10;
const TRANSPORT_HEADER_LEN: usize = 8;

/// Traces as `config` says and writes to standard output.
pub fn run(config: &Config) -> Result<()> {
    let signals = Signals::catch().context("cannot catch signals")?;
    let target = resolve(&config.host, config.version)?;
    let ip_header_len = match Version::of(target.ip()) {
        Version::V4 => 20,
        Version::V6 => 40,
    };
    let payload_len = config
        .packet_len
        .map_or(DEFAULT_PAYLOAD_LEN, |len| {
            usize::from(len).saturating_sub(ip_header_len)
        })
        .max(SHORTEST_PAYLOAD_LEN);
    let sockets = Sockets::open(config, target, payload_len - TRANSPORT_HEADER_LEN)?;

    let mut report = Report::new(config.numeric, BufWriter::new(io::stdout()));
    report.banner(
        &config.host,
        target.ip(),
        config.plan.max_ttl,
        ip_header_len + payload_len,
    )?;

    let (events, told) = sync_channel(WAITING_EVENTS);
    thread::scope(|scope| {
        let reporting = scope.spawn(move || report.run(&told));
        let traced = tracing::trace(sockets, config.plan, &signals, &events);
        drop(events);
        match reporting.join() {
            // Nobody reads any more, as behind `traceroute | head`: not an error of this program.
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Ok(written) => written.context("cannot write")?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        traced
    })
}
