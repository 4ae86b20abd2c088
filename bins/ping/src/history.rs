//! What the round trips, in order of arrival, and the fates of the probes, in order of sequence,
//! amount to.

use std::collections::VecDeque;
use std::time::Duration;

use netstats::jitter::{InterarrivalJitter, IpdvMean};
use netstats::quantile::{P50, P90, P95, P99};
use netstats::summary::Summary as Delays;

/// Of how many of the latest round trips the percentiles are taken.
pub const REMEMBERED_RTTS: usize = 1 << 20;
/// How many outages are told one by one; all are counted.
const LISTED_OUTAGES: usize = 100;

/// Gathers what a session's quality is made of.
#[derive(Debug)]
pub struct History {
    /// How many round trips are remembered; at least one.
    room: usize,
    rtts: VecDeque<Duration>,
    interarrival: InterarrivalJitter,
    fates: Fates,
}

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Answered after this round trip.
    Answered(Duration),
    /// Not answered, and not expected to be any more.
    Lost,
}

/// Consecutive probes that were not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The number of the first of them, counted from 1.
    pub first: u64,
    /// How many they are.
    pub probes: u64,
    /// When the first was sent, since the start of the session.
    pub began: Duration,
    /// From then until the next that was answered was sent, or until the last of them was sent.
    pub lasted: Duration,
}

/// How good the path is; a figure that the sample does not support is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quality {
    /// The median of the round trips, by nearest rank.
    pub p50: Option<Duration>,
    /// Their 90th percentile.
    pub p90: Option<Duration>,
    /// Their 95th percentile.
    pub p95: Option<Duration>,
    /// Their 99th percentile.
    pub p99: Option<Duration>,
    /// The running jitter of RFC 3550 §6.4.1.
    pub jitter: Option<Duration>,
    /// The mean of |ΔRTT| of consecutive sequence numbers.
    pub ipdv: Option<Duration>,
    /// The first of the outages, at most a hundred.
    pub outages: Vec<Outage>,
    /// How many outages there were.
    pub outage_count: u64,
    /// The one of the most probes.
    pub longest_outage: Option<Outage>,
}

#[derive(Debug, Clone, Default)]
struct Fates {
    ipdv: IpdvMean,
    running: Option<Outage>,
    outages: Vec<Outage>,
    outage_count: u64,
    longest: Option<Outage>,
}

impl Default for History {
    fn default() -> History {
        History::remembering(REMEMBERED_RTTS)
    }
}

impl History {
    /// A history that takes its percentiles of so many of the latest round trips.
    pub fn remembering(room: usize) -> History {
        History {
            room: room.max(1),
            rtts: VecDeque::new(),
            interarrival: InterarrivalJitter::default(),
            fates: Fates::default(),
        }
    }

    /// The next answer to arrive had this round trip.
    pub fn answered(&mut self, rtt: Duration) {
        // RFC 3550's D(i,j) is the difference of the transits, which for an echo are the RTTs.
        self.interarrival.arrived(Duration::ZERO, rtt);
        if self.rtts.len() == self.room {
            self.rtts.pop_front();
        }
        self.rtts.push_back(rtt);
    }

    /// The fate of probe `number`, sent at `sent` after the start; in ascending order of numbers.
    pub fn settle(&mut self, number: u64, sent: Duration, fate: Fate) {
        self.fates.settle(number, sent, fate);
    }

    /// The figures, with the fates of those probes that are not settled yet.
    pub fn quality(&self, rest: impl IntoIterator<Item = (u64, Duration, Fate)>) -> Quality {
        let mut fates = self.fates.clone();
        for (number, sent, fate) in rest {
            fates.settle(number, sent, fate);
        }
        fates.end_outage();
        let delays = Delays::of(self.rtts.iter().copied());
        Quality {
            p50: delays.quantile(P50),
            p90: delays.quantile(P90),
            p95: delays.quantile(P95),
            p99: delays.quantile(P99),
            jitter: self.interarrival.jitter(),
            ipdv: fates.ipdv.mean().map(|(mean, _)| mean),
            outages: fates.outages,
            outage_count: fates.outage_count,
            longest_outage: fates.longest,
        }
    }
}

impl Fates {
    fn settle(&mut self, number: u64, sent: Duration, fate: Fate) {
        if let Some(running) = &mut self.running {
            running.lasted = sent.saturating_sub(running.began);
        }
        match (fate, &mut self.running) {
            (Fate::Answered(rtt), _) => {
                self.ipdv.add(number as u32, rtt);
                self.end_outage();
            }
            (Fate::Lost, Some(running)) => running.probes += 1,
            (Fate::Lost, running) => {
                *running = Some(Outage {
                    first: number,
                    probes: 1,
                    began: sent,
                    lasted: Duration::ZERO,
                });
            }
        }
    }

    fn end_outage(&mut self) {
        let Some(outage) = self.running.take() else {
            return;
        };
        self.outage_count += 1;
        if self
            .longest
            .is_none_or(|longest| longest.probes < outage.probes)
        {
            self.longest = Some(outage);
        }
        if self.outages.len() < LISTED_OUTAGES {
            self.outages.push(outage);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fate::{Answered, Lost};

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_outage_lasts_until_the_next_answered_probe_was_sent() {
        // A probe a second: 1 answered, 2 and 3 lost, 4 answered, 5 lost, the end.
        let fates = [Answered(ms(5)), Lost, Lost, Answered(ms(5)), Lost];
        let fates: Vec<(u64, Duration, Fate)> = (1..)
            .zip(fates)
            .map(|(number, fate)| (number, ms((number - 1) * 1000), fate))
            .collect();
        // Where the line between settled and not settled is changes nothing.
        for settled in 0..=fates.len() {
            let mut history = History::default();
            for (number, sent, fate) in &fates[..settled] {
                history.settle(*number, *sent, *fate);
            }
            let quality = history.quality(fates[settled..].iter().copied());
            let long = Outage {
                first: 2,
                probes: 2,
                began: ms(1000),
                lasted: ms(2000),
            };
            let short = Outage {
                first: 5,
                probes: 1,
                began: ms(4000),
                lasted: ms(0),
            };
            assert_eq!(quality.outages, [long, short], "{settled} settled");
            assert_eq!(quality.outage_count, 2);
            assert_eq!(quality.longest_outage, Some(long));
        }
    }

    #[test]
    fn outages_beyond_the_list_are_counted() {
        let mut history = History::default();
        for number in 1..=400 {
            let fate = if number % 2 == 0 {
                Lost
            } else {
                Answered(ms(1))
            };
            history.settle(number, ms(number), fate);
        }
        let quality = history.quality([]);
        assert_eq!((quality.outages.len(), quality.outage_count), (100, 200));
    }

    #[test]
    fn jitter_is_taken_in_order_of_arrival_and_of_sequence() {
        // RTTs 100, 116, 108, 108 ms: RFC 3550 gives 1.347656 ms (worked in netstats::jitter);
        // the mean of |Δ| is (16 + 8 + 0) / 3 = 8 ms.
        let mut history = History::default();
        for (number, rtt) in (1..).zip([100, 116, 108, 108]) {
            history.answered(ms(rtt));
            history.settle(number, ms(number), Answered(ms(rtt)));
        }
        let quality = history.quality([]);
        assert_eq!(quality.jitter, Some(Duration::from_nanos(1_347_656)));
        assert_eq!(quality.ipdv, Some(ms(8)));
        assert_eq!((quality.p50, quality.p90), (Some(ms(108)), None));
    }
}
