//! qos-client's own probes in a capture: the same trace that the test itself leaves, from the times
//! of the capture.

use std::time::Duration;

use netproto::probe::Probe;

use crate::figures::trace::{Answer, Departure, Trace};
use crate::udp::plan::MAX_PACKETS;

/// One series of probes. What it keeps grows with the packets of the file, whatever they claim.
#[derive(Debug)]
pub struct Probes {
    /// Of which run.
    pub run: u64,
    nonce: u64,
    departures: Vec<(u32, Departure)>,
    answers: Vec<Answer>,
    last: Duration,
}

impl Probes {
    pub(super) fn new(probe: &Probe) -> Probes {
        Probes {
            run: probe.run,
            nonce: probe.nonce,
            departures: Vec::new(),
            answers: Vec::new(),
            last: Duration::ZERO,
        }
    }

    pub(super) fn is_of(&self, probe: &Probe) -> bool {
        (self.run, self.nonce) == (probe.run, probe.nonce)
    }

    pub(super) fn add(&mut self, there: bool, at: Duration, probe: &Probe, length: usize) {
        let sequence = probe.sequence;
        if sequence >= MAX_PACKETS {
            return;
        }
        self.last = self.last.max(at);
        if there {
            let bytes = length as u16;
            self.departures.push((sequence, Departure { at, bytes }));
        } else {
            self.answers.push(Answer { sequence, at });
        }
    }

    /// The trace, its first `warmup` probes set apart. What the capture has no answer of is lost:
    /// it does not tell whether somebody waited for one.
    pub fn trace(&self, loss_deadline: Duration, warmup: u32) -> Trace {
        let probes = self
            .departures
            .iter()
            .map(|(sequence, _)| sequence + 1)
            .max();
        let mut sent = vec![None; probes.unwrap_or(0) as usize];
        for (sequence, departure) in &self.departures {
            // The first counts of a probe that was captured on several interfaces.
            if let Some(slot @ None) = sent.get_mut(*sequence as usize) {
                *slot = Some(*departure);
            }
        }
        Trace {
            sent,
            answers: self.answers.clone(),
            copies_not_kept: 0,
            loss_deadline,
            ended_at: self.last + loss_deadline,
            warmup,
        }
    }
}
