//! traceroute: finds the routers between here and a host.
//!
//! Read in this order: [`config`], [`probe`] (what is sent, what comes back), [`prober`] and
//! [`session`] (which probe is in what state; pure), [`wire`] (probes and answers as bytes; pure),
//! [`mark`] (what an answer says about the way), `sockets` and [`tracing`] (the loop), [`report`]
//! (what is written).

pub mod args;
pub mod config;
pub mod mark;
pub mod networks;
pub mod probe;
pub mod prober;
pub mod report;
pub mod session;
mod sockets;
pub mod tracing;
pub mod wire;

use std::io::{self, BufWriter};
use std::net::SocketAddr;
use std::sync::mpsc::sync_channel;
use std::thread;

use anyhow::{Context, Result};
use netio::icmp::names::{Names, resolve};
use netio::icmp::wait::Signals;
use netproto::icmp::Version;

use crate::config::Config;
use crate::networks::Origins;
use crate::report::text::{Extras, Report};
use crate::session::Session;
use crate::sockets::Sockets;

/// How many events may wait for the report; a full queue makes the probing wait.
const WAITING_EVENTS: usize = 4096;

/// Traces as `config` says and writes to standard output.
pub fn run(config: &Config) -> Result<()> {
    let signals = Signals::catch().context("cannot catch signals")?;
    let target = resolve(&config.host, config.version)?;
    let mut sockets = Sockets::open(config, target)?;
    trace(config, target, &mut sockets, &signals)
}

/// The ordinary trace.
fn trace(
    config: &Config,
    target: SocketAddr,
    sockets: &mut Sockets,
    signals: &Signals,
) -> Result<()> {
    let plan = config.plan_for(Version::of(target.ip()));
    let extras = Extras {
        names: (!config.numeric).then(Names::default),
        origins: config.networks.as_ref().map(Origins::open).transpose()?,
        back: config.back,
        extensions: config.extensions,
    };
    let mut report = Report::new(extras, BufWriter::new(io::stdout()));
    report.banner(&config.host, target.ip(), plan.max_ttl, plan.packet_len)?;

    let (events, told) = sync_channel(WAITING_EVENTS);
    thread::scope(|scope| {
        let reporting = scope.spawn(move || report.run(&told));
        let mut session = Session::new(plan);
        let traced = tracing::drive(sockets, &mut session, signals, &events);
        drop(events);
        match reporting.join() {
            // Nobody reads any more, as behind `traceroute | head`: not an error of this program.
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Ok(written) => written.context("cannot write")?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        traced.map(|_| ())
    })
}
