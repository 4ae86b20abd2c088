//! Probes to some hops at a steady pace, for an experiment.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Record, Tally};
use crate::probe::{Heard, NotSent, Probe};
use crate::prober::Prober;

/// However fast answers come, a probe is given this long.
const LEAST_WAIT: Duration = Duration::from_secs(1);
/// How many times the longest round trip so far a probe is waited for.
const PATIENCE: u32 = 3;

/// Probes with one TTL, one after the other.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Their TTL.
    pub ttl: u8,
    /// Their flows, by turns.
    pub flows: Vec<u16>,
    /// How many.
    pub count: u16,
    /// How long after the one before each is sent; the first so long after the beginning.
    pub pace: Duration,
}

/// What a stream came to.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// All its probes.
    pub record: Record,
    /// By flow, how many were answered, and who answered last.
    pub flows: BTreeMap<u16, (Tally, Option<IpAddr>)>,
}

/// The state machine.
#[derive(Debug)]
pub struct Steady {
    streams: Vec<Stream>,
    runs: Vec<Run>,
    /// How many probes of each stream have been sent.
    sent: Vec<u16>,
    /// When the first probes would have been sent, one pace before they are.
    begun: Instant,
    packet_len: u16,
    /// The number of the next probe.
    number: u16,
    waiting: BTreeMap<u16, Waiting>,
    longest: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    stream: usize,
    flow: u16,
    sent: Instant,
}

impl Steady {
    /// Nothing is sent before `begun`. The probes have numbers from `number` on.
    pub fn new(streams: Vec<Stream>, packet_len: u16, number: u16, begun: Instant) -> Steady {
        Steady {
            runs: vec![Run::default(); streams.len()],
            sent: vec![0; streams.len()],
            streams,
            begun,
            packet_len,
            number,
            waiting: BTreeMap::new(),
            longest: Duration::ZERO,
        }
    }

    /// What each stream came to, and the number after the last.
    pub fn finish(self) -> (Vec<Run>, u16) {
        (self.runs, self.number)
    }

    /// The stream whose probe is next, and when.
    fn next(&self) -> Option<(usize, Instant)> {
        let due = self.streams.iter().zip(&self.sent).enumerate();
        due.filter(|(_, (stream, sent))| **sent < stream.count)
            .map(|(at, (stream, sent))| (at, self.begun + stream.pace * (u32::from(*sent) + 1)))
            .min_by_key(|(_, due)| *due)
    }

    fn flow(&self, stream: usize) -> u16 {
        let flows = &self.streams[stream].flows;
        flows[usize::from(self.sent[stream]) % flows.len()]
    }

    fn patience(&self) -> Duration {
        (self.longest * PATIENCE).max(LEAST_WAIT)
    }

    fn done(&mut self, waiting: Waiting, answer: Option<IpAddr>) {
        let run = &mut self.runs[waiting.stream];
        run.record.add(waiting.sent, answer.is_some());
        let (tally, from) = run.flows.entry(waiting.flow).or_default();
        tally.sent += 1;
        tally.answered += u64::from(answer.is_some());
        *from = answer.or(*from);
    }
}

impl Prober for Steady {
    type Event = ();

    fn poll_send(&mut self, now: Instant) -> Option<Probe> {
        let (stream, due) = self.next()?;
        (due <= now).then(|| Probe {
            number: self.number,
            ttl: self.streams[stream].ttl,
            flow: self.flow(stream),
            packet_len: self.packet_len,
        })
    }

    fn on_sent(&mut self, at: Instant) {
        let Some((stream, _)) = self.next() else {
            return;
        };
        let waiting = Waiting {
            stream,
            flow: self.flow(stream),
            sent: at,
        };
        self.waiting.insert(self.number, waiting);
        self.number = self.number.wrapping_add(1);
        self.sent[stream] += 1;
    }

    /// What this host refused tells nothing about the path.
    fn on_not_sent(&mut self, _: NotSent, _: Instant) {
        if let Some((stream, _)) = self.next() {
            self.number = self.number.wrapping_add(1);
            self.sent[stream] += 1;
        }
    }

    fn on_left(&mut self, _: u16, _: Instant) {}

    fn on_answer(&mut self, heard: Heard) {
        if let Some(waiting) = self.waiting.remove(&heard.number) {
            let rtt = heard.at.saturating_duration_since(waiting.sent);
            self.longest = self.longest.max(rtt);
            self.done(waiting, Some(heard.from));
        }
    }

    fn poll_event(&mut self, now: Instant) -> Option<()> {
        let patience = self.patience();
        let overdue: Vec<u16> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| now >= waiting.sent + patience)
            .map(|(number, _)| *number)
            .collect();
        for number in overdue {
            if let Some(waiting) = self.waiting.remove(&number) {
                self.done(waiting, None);
            }
        }
        None
    }

    fn next_wake(&self, _: Instant) -> Option<Instant> {
        let due = self.next().map(|(_, due)| due);
        let oldest = self.waiting.values().map(|waiting| waiting.sent).min();
        let given_up = oldest.map(|sent| sent + self.patience());
        [due, given_up].into_iter().flatten().min()
    }

    fn is_over(&self) -> bool {
        self.next().is_none() && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mark::Mark;
    use crate::probe::Told;

    #[test]
    fn each_stream_keeps_its_pace_and_every_fate_is_counted() {
        let begun = Instant::now();
        let ms = Duration::from_millis;
        let stream = |ttl, flows: &[u16], count, pace| Stream {
            ttl,
            flows: flows.to_vec(),
            count,
            pace: ms(pace),
        };
        // The third hop answers all, the fifth only flow 2.
        let streams = vec![stream(3, &[0], 4, 100), stream(5, &[1, 2], 6, 50)];
        let mut steady = Steady::new(streams, 60, 700, begun);
        let mut now = begun;
        let mut times: BTreeMap<u8, Vec<Duration>> = BTreeMap::new();
        while !steady.is_over() {
            while let Some(probe) = steady.poll_send(now) {
                steady.on_sent(now);
                times.entry(probe.ttl).or_default().push(now - begun);
                if probe.ttl == 3 || probe.flow == 2 {
                    steady.on_answer(Heard {
                        number: probe.number,
                        from: [10, 0, 0, probe.ttl].into(),
                        mark: Mark::Passing,
                        at: now,
                        told: Told::default(),
                    });
                }
            }
            assert_eq!(steady.poll_event(now), None);
            now = steady.next_wake(now).unwrap_or(now).max(now);
        }
        assert_eq!(times[&3], [100, 200, 300, 400].map(ms));
        assert_eq!(times[&5], [50, 100, 150, 200, 250, 300].map(ms));
        // The last that nobody answered is flow 1's at 250 ms.
        assert_eq!(now - begun, ms(250) + LEAST_WAIT);
        let (runs, next) = steady.finish();
        assert_eq!(next, 710);
        let tally = |sent, answered| Tally { sent, answered };
        assert_eq!(runs[0].record.tally(), tally(4, 4));
        assert_eq!(runs[1].record.tally(), tally(6, 3));
        let from = Some([10, 0, 0, 5].into());
        assert_eq!(runs[1].flows[&1], (tally(3, 0), None));
        assert_eq!(runs[1].flows[&2], (tally(3, 3), from));
    }
}
