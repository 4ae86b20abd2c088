//! The same path again and again.

use anyhow::{Context, Result};
use netio::usage::complain;

use super::{Run, out};
use crate::config::Cycles;
use crate::report::csv::Csv;
use crate::report::json::Start;
use crate::report::live::Live;
use crate::report::rounds::Table;
use crate::rounds::{self, Rounds, Shared};

/// How many hops behind the farthest that answered are probed, if nothing else is asked for.
const HOPS_LOOKED_AHEAD: u8 = 5;

impl Run<'_> {
    /// Probes each hop once a cycle. Whether all bounds were kept and the path is that of
    /// `--compare`.
    pub(super) fn repeat(&mut self, cycles: &Cycles) -> Result<bool> {
        let rounds = Shared::new(Rounds::new(rounds::Plan {
            first_ttl: self.plan.first_ttl,
            max_ttl: self.plan.max_ttl,
            cycles: cycles.count,
            interval: cycles.interval,
            waits: self.plan.waits,
            packet_len: self.plan.packet_len,
            gap: self.plan.gap.unwrap_or(HOPS_LOOKED_AHEAD),
        }));
        let mut kept = self.told(cycles, &rounds)?;
        let rounds = rounds.lock();
        for assertion in &cycles.assertions {
            if let Err(broken) = assertion.check(&rounds) {
                complain("traceroute", broken);
                kept = false;
            }
        }
        Ok(kept)
    }

    fn told(&mut self, cycles: &Cycles, rounds: &Shared) -> Result<bool> {
        let extras = self.extras()?;
        let start = Start {
            queries: 1,
            cycles: cycles.count,
            ..self.start()
        };
        let mut prober = rounds;
        if self.config.json {
            let mut face = self.json(start, extras, out());
            return self.told_by(&mut prober, &mut face, start);
        }
        if self.config.csv {
            let mut face = Csv::new(extras, self.begun, out());
            return self.told_by(&mut prober, &mut face, start);
        }
        let mut face = Table::new(start, extras, self.begun, out());
        if cycles.live {
            let remote = self.signals.remote().context("cannot wake the probing")?;
            let mut face = Live::new(face, rounds, cycles.interval, remote);
            return self.told_by(&mut prober, &mut face, start);
        }
        self.told_by(&mut prober, &mut face, start)
    }
}
