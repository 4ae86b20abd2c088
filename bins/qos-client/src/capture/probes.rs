//! qos-client's own probes in a capture: the same trace that the test itself leaves, from the times
//! of the capture.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use netproto::probe::Probe;

use crate::figures::trace::{Answer, Departure, Trace};

/// One series of probes. What it keeps, and what its trace takes, grows with the packets of the
/// file, whatever they claim.
#[derive(Debug)]
pub struct Probes {
    /// Of which run.
    pub run: u64,
    nonce: u64,
    /// In the order of the file.
    seen: Vec<Seen>,
}

/// A probe, or the answer to one, which is the same bytes the other way.
#[derive(Debug, Clone, Copy)]
struct Seen {
    sequence: u32,
    at: Duration,
    bytes: u16,
    /// From the client of the conversation to the server.
    there: bool,
}

impl Probes {
    pub(super) fn new(probe: &Probe) -> Probes {
        Probes {
            run: probe.run,
            nonce: probe.nonce,
            seen: Vec::new(),
        }
    }

    pub(super) fn is_of(&self, probe: &Probe) -> bool {
        (self.run, self.nonce) == (probe.run, probe.nonce)
    }

    pub(super) fn add(&mut self, there: bool, at: Duration, probe: &Probe, length: usize) {
        self.seen.push(Seen {
            sequence: probe.sequence,
            at,
            bytes: length as u16,
            there,
        });
    }

    /// When the first of them was captured.
    pub fn began(&self) -> Option<Duration> {
        self.seen.first().map(|seen| seen.at)
    }

    /// Whether the probes travel from the server of the conversation to its client. A capture that
    /// begins in the midst of a run may begin with an answer, and so with the wrong end; but what it
    /// has first of most sequence numbers is the probe.
    pub(super) fn go_back(&self) -> bool {
        let mut first = BTreeMap::new();
        for seen in &self.seen {
            first.entry(seen.sequence).or_insert(seen.there);
        }
        let there = first.values().filter(|there| **there).count();
        there < first.len() - there
    }

    /// As the other end of the conversation sees it.
    pub(super) fn turn_round(&mut self) {
        for seen in &mut self.seen {
            seen.there = !seen.there;
        }
    }

    /// The trace, its first `warmup` probes set apart, and how many probes are in it not at all: of
    /// these the answer has the earlier time, because the clock of the capture was set back between
    /// the two, and that is neither a round trip nor a loss.
    ///
    /// What the capture has no answer of is lost: it does not tell whether somebody waited for one.
    /// Sequence numbers that are not in the capture take no room: of each run of them one is left, so
    /// that what stands beside it is not taken for consecutive.
    pub fn trace(&self, loss_deadline: Duration, warmup: u32) -> (Trace, u32) {
        let go_back = self.go_back();
        let mut departures = BTreeMap::new();
        for probe in self.seen.iter().filter(|seen| seen.there != go_back) {
            let (at, bytes) = (probe.at, probe.bytes);
            // The first counts of a probe that was captured on several interfaces.
            let first = departures.entry(probe.sequence);
            first.or_insert(Departure { at, bytes });
        }
        let answers = || self.seen.iter().filter(|seen| seen.there == go_back);
        let mistimed: BTreeSet<u32> = answers()
            .filter(|answer| {
                let sent = departures.get(&answer.sequence);
                sent.is_some_and(|sent| answer.at < sent.at)
            })
            .map(|answer| answer.sequence)
            .collect();
        departures.retain(|sequence, _| !mistimed.contains(sequence));

        let mut places = BTreeMap::new();
        let mut sent = Vec::with_capacity(departures.len());
        let mut next = None;
        let mut warming = 0;
        for (sequence, departure) in departures {
            if next.is_some_and(|next| next != sequence) {
                sent.push(None);
            }
            places.insert(sequence, sent.len() as u32);
            sent.push(Some(departure));
            next = sequence.checked_add(1);
            if sequence < warmup {
                warming = sent.len() as u32;
            }
        }
        let answers = answers().filter_map(|answer| {
            Some(Answer {
                sequence: *places.get(&answer.sequence)?,
                at: answer.at,
            })
        });
        let last = self.seen.iter().map(|seen| seen.at).max();
        let trace = Trace {
            sent,
            answers: answers.collect(),
            copies_not_kept: 0,
            loss_deadline,
            ended_at: last.unwrap_or_default().saturating_add(loss_deadline),
            warmup: warming,
        };
        (trace, mistimed.len() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::trace::Fate;

    const DEADLINE: Duration = Duration::from_secs(2);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// What was seen: of which probe, on the way there, when.
    fn probes(seen: impl IntoIterator<Item = (u32, bool, u64)>) -> Probes {
        let probe = |sequence| Probe {
            run: 1,
            nonce: 2,
            sequence,
            stamps: false,
        };
        let mut probes = Probes::new(&probe(0));
        for (sequence, there, at) in seen {
            probes.add(there, ms(at), &probe(sequence), 40);
        }
        probes
    }

    #[test]
    fn what_a_sequence_number_claims_takes_no_memory() {
        let (there, back) = (true, false);
        let seen = [
            (999_999, there, 0),
            (999_999, back, 20),
            (u32::MAX, there, 30),
            (7, there, 40),
            (8, there, 50),
            (8, back, 60),
        ];
        let (trace, mistimed) = probes(seen).trace(DEADLINE, 8);
        // 7, 8, what is between, 999,999, what is between, 2³² − 1.
        assert_eq!(
            trace.fates(),
            [
                Fate::Lost,
                Fate::Answered(ms(10)),
                Fate::Unsent,
                Fate::Answered(ms(20)),
                Fate::Unsent,
                Fate::Lost
            ]
        );
        assert_eq!((trace.warmup, mistimed), (1, 0));
    }

    #[test]
    fn a_capture_that_begins_with_an_answer_has_the_round_trips_of_the_others() {
        // The conversation takes who sent the first answer for the client. Of probe 0 only the
        // answer is there; 1 to 4 take 20 ms.
        let (there, back) = (false, true);
        let others = (1..5).flat_map(|n| {
            let at = 100 * u64::from(n);
            [(n, there, at), (n, back, at + 20)]
        });
        let probes = probes([(0, back, 20)].into_iter().chain(others));
        assert!(probes.go_back());
        let (trace, _) = probes.trace(DEADLINE, 0);
        assert_eq!(trace.fates(), [Fate::Answered(ms(20)); 4]);
    }

    #[test]
    fn of_a_probe_that_was_captured_on_two_interfaces_the_first_counts() {
        let seen = [(0, true, 100), (0, true, 104), (0, false, 120)];
        let (trace, _) = probes(seen).trace(DEADLINE, 0);
        assert_eq!(trace.fates(), [Fate::Answered(ms(20))]);
    }

    #[test]
    fn a_probe_whose_answer_has_an_earlier_time_is_neither_answered_nor_lost() {
        let seen = [
            (0, true, 100),
            (0, false, 120),
            (1, true, 200),
            (1, false, 150),
        ];
        let (trace, mistimed) = probes(seen).trace(DEADLINE, 0);
        assert_eq!(trace.fates(), [Fate::Answered(ms(20))]);
        assert_eq!(mistimed, 1);
    }
}
