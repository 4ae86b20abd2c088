//! traceroute: finds the routers between here and a host.
//!
//! Read in this order: [`config`], [`probe`] (what is sent, what comes back), [`prober`] and
//! [`session`] (which probe is in what state; pure), [`wire`] (probes and answers as bytes; pure),
//! [`mark`] (what an answer says about the way), [`diagnose`] (what all answers say about the path;
//! pure), [`multipath`] (every path instead of one; pure), [`rounds`] (one path again and
//! again; pure), [`silence`] (what unanswered probes mean; pure), `sockets` and [`tracing`] (the
//! loop), [`confirming`] (experiments on silence), [`report`] (what is written), [`compare`] (a path
//! held against a saved one; pure), `runs` (what holds all of this together, from the first probe to
//! the last line).

pub mod args;
pub mod assertion;
pub mod compare;
pub mod config;
pub mod confirming;
pub mod diagnose;
mod keeping;
pub mod mark;
pub mod multipath;
pub mod networks;
pub mod probe;
pub mod prober;
pub mod report;
pub mod rounds;
mod runs;
mod save;
pub mod session;
pub mod silence;
mod sockets;
pub mod tracing;
pub mod wire;

use anyhow::Result;

use crate::config::Config;
use crate::runs::Run;

/// Traces as `config` says and writes to standard output. Whether all bounds were kept.
pub fn run(config: &Config) -> Result<bool> {
    Run::open(config)?.go()
}
