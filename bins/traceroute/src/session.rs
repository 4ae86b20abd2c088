//! Which probe is in what state, and what is due next: a state machine that is told the time and
//! never asks for it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::mark::Mark;

/// How long a probe takes up a place in the window. One that is unanswered for longer is still
/// waited for, but others may go out: silent hops cost one wait together, not one each.
const IN_WINDOW: Duration = Duration::from_millis(300);
/// However fast a hop or a later one answered, a probe is given this long.
const LEAST_WAIT: Duration = Duration::from_millis(20);

/// Which probes, how many at once, how long to wait.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The TTL of the first probes.
    pub first_ttl: u8,
    /// The TTL of the last.
    pub max_ttl: u8,
    /// Probes for each TTL.
    pub queries: u8,
    /// How many may be on their way at once.
    pub window: usize,
    /// How long to wait for answers.
    pub waits: Waits,
}

/// How long to wait for an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waits {
    /// At most.
    pub max: Duration,
    /// This many times the round trip of another probe of the hop, once there is one.
    pub here: f64,
    /// This many times the round trip of the next hop that answered, once there is one.
    pub near: f64,
}

impl Plan {
    /// How many probes a whole trace has.
    pub fn probes(&self) -> usize {
        let hops = usize::from(self.max_ttl - self.first_ttl) + 1;
        hops * usize::from(self.queries)
    }

    /// The TTL of a probe.
    pub fn ttl(&self, probe: usize) -> u8 {
        self.first_ttl + (probe / usize::from(self.queries)) as u8
    }
}

/// The state machine. A probe is known by its number: 0 is the first of the first hop.
#[derive(Debug)]
pub struct Session {
    plan: Plan,
    probes: Vec<Probe>,
    /// The probes from here on have not been sent.
    next: usize,
    /// The probes from here on are beyond the target.
    end: usize,
    /// The probes before this one have been told.
    told: usize,
}

#[derive(Debug, Clone, Copy)]
enum Probe {
    Unsent,
    Waiting {
        sent: Instant,
        left: Option<Instant>,
    },
    Answered(Answer),
    Refused,
}

/// What came back for a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Who answered.
    pub from: IpAddr,
    /// The round-trip time.
    pub rtt: Duration,
    /// What the answer says besides "I am here".
    pub mark: Mark,
}

/// A probe whose fate is known, as are those of all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// The probe's TTL.
    pub ttl: u8,
    /// Whether it is the hop's first.
    pub first_of_hop: bool,
    /// What came back; nothing for one that is lost.
    pub answer: Option<Answer>,
}

impl Session {
    /// A session that has sent nothing yet.
    pub fn new(plan: Plan) -> Session {
        let probes = plan.probes();
        Session {
            plan,
            probes: vec![Probe::Unsent; probes],
            next: 0,
            end: probes,
            told: 0,
        }
    }

    /// The probe to send now, if one is due.
    pub fn poll_send(&self, now: Instant) -> Option<usize> {
        let has_room = || self.in_window(now).count() < self.plan.window;
        (self.next < self.end && has_room()).then_some(self.next)
    }

    /// The next probe, in the order of the output, whose fate is known by `now`.
    pub fn poll_fate(&mut self, now: Instant) -> Option<Fate> {
        if self.is_over() {
            return None;
        }
        let answer = match self.probes[self.told] {
            Probe::Unsent => return None,
            Probe::Waiting { sent, .. } if now < sent + self.wait_for(self.told) => return None,
            Probe::Waiting { .. } | Probe::Refused => None,
            Probe::Answered(answer) => Some(answer),
        };
        let fate = Fate {
            ttl: self.plan.ttl(self.told),
            first_of_hop: self.told.is_multiple_of(usize::from(self.plan.queries)),
            answer,
        };
        self.told += 1;
        Some(fate)
    }

    /// When to look again if nothing comes.
    pub fn next_wake(&self, now: Instant) -> Option<Instant> {
        let place_frees = (self.next < self.end)
            .then(|| self.in_window(now).min().map(|sent| sent + IN_WINDOW))
            .flatten();
        let given_up = match self.probes.get(self.told) {
            Some(Probe::Waiting { sent, .. }) => Some(*sent + self.wait_for(self.told)),
            _ => None,
        };
        [place_frees, given_up].into_iter().flatten().min()
    }

    /// Whether every fate has been told.
    pub fn is_over(&self) -> bool {
        self.told >= self.end
    }

    /// The due probe was handed to the kernel at `at`.
    pub fn on_sent(&mut self, at: Instant) {
        let left = None;
        self.probes[self.next] = Probe::Waiting { sent: at, left };
        self.next += 1;
    }

    /// The due probe was refused by this host: nothing will answer it.
    pub fn on_send_failed(&mut self) {
        self.probes[self.next] = Probe::Refused;
        self.next += 1;
    }

    /// The kernel said when `probe` left.
    pub fn on_left(&mut self, probe: usize, at: Instant) {
        if let Some(Probe::Waiting { sent, left }) = self.probes.get_mut(probe)
            && at >= *sent
        {
            *left = Some(at);
        }
    }

    /// An answer to `probe` arrived at `at`. A second answer to the same probe changes nothing.
    pub fn on_answer(&mut self, probe: usize, at: Instant, from: IpAddr, mark: Mark) {
        let Some(Probe::Waiting { sent, left }) = self.probes.get(probe).copied() else {
            return;
        };
        let rtt = at.saturating_duration_since(left.unwrap_or(sent));
        self.probes[probe] = Probe::Answered(Answer { from, rtt, mark });
        if mark != Mark::Passing {
            let hop_end = (probe + 1).next_multiple_of(usize::from(self.plan.queries));
            self.end = self.end.min(hop_end);
        }
    }

    /// When the probes that take up a place in the window were sent.
    fn in_window(&self, now: Instant) -> impl Iterator<Item = Instant> {
        self.probes[..self.next].iter().filter_map(move |probe| {
            let Probe::Waiting { sent, .. } = probe else {
                return None;
            };
            (now.saturating_duration_since(*sent) < IN_WINDOW).then_some(*sent)
        })
    }

    fn wait_for(&self, probe: usize) -> Duration {
        let Waits { max, here, near } = self.plan.waits;
        let hop = probe / usize::from(self.plan.queries);
        let mut hops = self.probes.chunks(usize::from(self.plan.queries)).skip(hop);
        let longest = |probes: &[Probe]| {
            let round_trips = probes.iter().filter_map(|probe| match probe {
                Probe::Answered(answer) => Some(answer.rtt),
                _ => None,
            });
            round_trips.max()
        };
        let this_hop = hops.next().and_then(longest).map(|rtt| rtt.mul_f64(here));
        let later_hop = || hops.find_map(longest).map(|rtt| rtt.mul_f64(near));
        match this_hop.or_else(later_hop) {
            Some(wait) => wait.max(LEAST_WAIT).min(max),
            None => max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn router(hop: u8) -> IpAddr {
        IpAddr::from([10, 0, hop, 1])
    }

    fn plan(max_ttl: u8, window: usize) -> Plan {
        Plan {
            first_ttl: 1,
            max_ttl,
            queries: 3,
            window,
            waits: Waits {
                max: ms(5000),
                here: 3.0,
                near: 10.0,
            },
        }
    }

    /// Plays a trace in virtual time over hops whose probes return after so many milliseconds
    /// (none: silent), the last of them the target. When it ended, and the times told by hop.
    fn traced(plan: Plan, hops: &[Option<u64>]) -> (Duration, Vec<Vec<Option<Duration>>>) {
        let start = Instant::now();
        let mut now = start;
        let mut session = Session::new(plan);
        let mut on_their_way: Vec<(Instant, usize)> = Vec::new();
        let mut told: Vec<Vec<Option<Duration>>> = Vec::new();
        while !session.is_over() {
            while let Some(probe) = session.poll_send(now) {
                session.on_sent(now);
                let hop = usize::from(plan.ttl(probe) - 1).min(hops.len() - 1);
                on_their_way.extend(hops[hop].map(|after| (now + ms(after), probe)));
            }
            while let Some(fate) = session.poll_fate(now) {
                if fate.first_of_hop {
                    told.push(Vec::new());
                }
                let times = told.last_mut().unwrap();
                times.push(fate.answer.map(|answer| answer.rtt));
            }
            let arrival = on_their_way.iter().map(|probe| probe.0).min();
            let Some(next) = [arrival, session.next_wake(now)]
                .into_iter()
                .flatten()
                .min()
            else {
                break;
            };
            now = now.max(next);
            on_their_way.retain(|&(at, probe)| {
                if at > now {
                    return true;
                }
                let ttl = plan.ttl(probe);
                let mark = if usize::from(ttl) >= hops.len() {
                    Mark::Arrived
                } else {
                    Mark::Passing
                };
                session.on_answer(probe, at, router(ttl), mark);
                false
            });
        }
        (now - start, told)
    }

    #[test]
    fn a_trace_takes_as_long_as_its_hops_make_it() {
        /// The last TTL, the hops, how long it takes and how many hops are told.
        type Case = (&'static str, u8, &'static [Option<u64>], Duration, usize);
        let cases: &[Case] = &[
            (
                "ten healthy hops: one round trip",
                30,
                &[Some(100); 10],
                ms(100),
                10,
            ),
            // 10 × the 100 ms of the next hop that answered.
            (
                "silence before an answer",
                30,
                &[Some(100), None, Some(100)],
                ms(1000),
                3,
            ),
            ("a dead target", 8, &[Some(100), None], ms(5000), 8),
        ];
        for (name, max_ttl, hops, took, told) in cases {
            let (elapsed, times) = traced(plan(*max_ttl, 32), hops);
            assert_eq!(times.len(), *told, "{name}");
            assert_eq!(elapsed, *took, "{name}");
        }
    }

    #[test]
    fn a_silent_tail_costs_one_wait_not_one_for_each_window() {
        let (elapsed, told) = traced(plan(30, 32), &[Some(10), None]);
        assert_eq!(told.len(), 30);
        // 87 silent probes: three windows of 300 ms at most, then the wait of 5 s.
        assert!(elapsed <= ms(5000 + 900), "{elapsed:?}");
    }

    #[test]
    fn nothing_beyond_the_target_is_told() {
        let (_, told) = traced(plan(30, 90), &[Some(1), Some(2), Some(3)]);
        let expected = [1, 2, 3].map(|after| vec![Some(ms(after)); 3]);
        assert_eq!(told, expected);
    }

    #[test]
    fn a_second_answer_to_a_probe_changes_nothing() {
        let start = Instant::now();
        let mut session = Session::new(plan(1, 1));
        session.on_sent(start);
        session.on_answer(0, start + ms(5), router(1), Mark::Passing);
        session.on_answer(0, start + ms(9), router(2), Mark::Arrived);
        let answer = session.poll_fate(start + ms(9)).unwrap().answer.unwrap();
        assert_eq!((answer.from, answer.rtt), (router(1), ms(5)));
    }

    #[test]
    fn the_round_trip_begins_when_the_probe_leaves() {
        let start = Instant::now();
        let mut session = Session::new(plan(1, 1));
        session.on_sent(start);
        session.on_left(0, start + ms(900));
        session.on_answer(0, start + ms(904), router(1), Mark::Arrived);
        let answer = session.poll_fate(start + ms(904)).unwrap().answer.unwrap();
        assert_eq!(answer.rtt, ms(4));
    }
}
