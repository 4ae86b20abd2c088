//! The search for the largest datagram that a hop answers to, where routers do not tell.
//!
//! A hop that is silent to large probes but not to small ones lies behind a link that swallows
//! them: a black hole. Sizes between are tried by halving (the probing of RFC 8899 §5.3 without
//! its table), each twice before it counts as too large, so that one lost probe decides nothing.

use std::time::Duration;

use crate::probe::Answer;

/// How often a size is tried before it counts as too large.
const TRIES: u8 = 2;

/// A search at one hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Search {
    /// The largest size that was answered, and the answer.
    passed: Option<(u16, Answer)>,
    /// The smallest size that was not.
    failed: u16,
    least: u16,
    /// The size on trial.
    pub(super) size: u16,
    tries: u8,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Send a probe of the size on trial.
    Try,
    /// The hop does not answer small probes either.
    Silent,
    /// It does answer, and this is the largest size that it answers to.
    Found(u16, Answer),
}

impl Search {
    /// A search after a probe of `size` was not answered; the least size is tried first.
    pub(super) const fn below(size: u16, least: u16) -> Search {
        Search {
            passed: None,
            failed: size + 1,
            least,
            size: least,
            tries: 0,
        }
    }

    /// The size on trial was answered.
    pub(super) fn on_answer(&mut self, answer: Answer) -> Step {
        let first = self.passed.is_none();
        self.passed = Some((self.size, answer));
        // The size that failed first is tried again: its probe may just have been lost.
        self.next(if first { Some(self.failed - 1) } else { None })
    }

    /// The size on trial was not answered in time, or was refused.
    pub(super) fn on_silence(&mut self) -> Step {
        if self.passed.is_none() {
            return Step::Silent;
        }
        self.tries += 1;
        if self.tries < TRIES {
            return Step::Try;
        }
        self.on_too_large()
    }

    /// The size on trial is too large.
    pub(super) fn on_too_large(&mut self) -> Step {
        self.failed = self.size;
        self.next(None)
    }

    /// The round trip of the largest size that was answered.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.passed.as_ref().map(|(_, answer)| answer.rtt)
    }

    fn next(&mut self, size: Option<u16>) -> Step {
        let (low, answer) = match &self.passed {
            Some((low, answer)) => (*low, answer),
            None => return Step::Silent,
        };
        if self.failed - low <= 1 {
            return Step::Found(low, answer.clone());
        }
        self.tries = 0;
        self.size = size
            .unwrap_or(low + (self.failed - low) / 2)
            .max(self.least);
        Step::Try
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mark::Mark;
    use crate::probe::Told;

    /// Plays a search against a link that takes `mtu`; what was found, and after how many probes.
    fn searched(mtu: u16, drops_first: bool) -> (Option<u16>, u32) {
        let answer = Answer {
            from: [10, 0, 0, 1].into(),
            rtt: Duration::from_millis(1),
            mark: Mark::Passing,
            told: Told::default(),
        };
        let mut search = Search::below(1500, 60);
        let mut probes = 0;
        loop {
            probes += 1;
            let lost = drops_first && probes == 3;
            let step = if search.size <= mtu && !lost {
                search.on_answer(answer.clone())
            } else {
                search.on_silence()
            };
            match step {
                Step::Try => assert!(probes < 100),
                Step::Silent => return (None, probes),
                Step::Found(size, _) => return (Some(size), probes),
            }
        }
    }

    #[test]
    fn the_largest_size_that_passes_is_found() {
        for mtu in [60, 61, 576, 1280, 1399, 1400, 1499] {
            let (found, probes) = searched(mtu, false);
            assert_eq!(found, Some(mtu));
            // Halving 1,440 sizes takes 11 steps, a failed one two probes.
            assert!(probes <= 24, "{mtu}: {probes}");
        }
        assert_eq!(searched(1400, true).0, Some(1400));
    }

    #[test]
    fn a_lost_probe_and_a_silent_hop_are_no_black_holes() {
        // The large probe was just lost: asked again, it passes.
        assert_eq!(searched(1500, false), (Some(1500), 2));
        assert_eq!(searched(59, false), (None, 1));
    }
}
