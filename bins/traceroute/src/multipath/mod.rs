//! Every path: which routers follow which, found by flows that a load balancer spreads.
//!
//! The multipath detection algorithm of Augustin, Friedman and Teixeira (2007). Hop by hop, each
//! router's successors are looked for with flows that are known to pass it: the same flow is sent
//! with the router's TTL and with the next. An edge is drawn only where one flow showed both ends.
//! When n(k) of a router's flows have shown k successors, it is done (`stopping`). Read this
//! file, then `asking` (what is asked next), [`graph`](Graph).

mod asking;
mod graph;
pub mod stopping;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::mark::Mark;
use crate::probe::{Heard, NotSent, Probe};
use crate::prober::Prober;
pub use graph::{Edge, Graph, Node};
use stopping::StoppingRule;

/// How many flows a trace may use: ports above the first.
pub const MOST_FLOWS: u16 = 2048;
/// How many probes a trace may send: they are numbered in 16 bits.
const MOST_PROBES: usize = 65_000;
/// How often a probe is sent that nobody answers.
const TRIES: u8 = 3;
/// However fast others answered, a probe is given this long.
const LEAST_WAIT: Duration = Duration::from_millis(50);
/// How many times the longest round trip so far a probe is waited for.
const PATIENCE: u32 = 4;
/// So many hops in a row that show nothing end the trace.
const SILENT_HOPS: u8 = 4;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The TTL of the first hop.
    pub first_ttl: u8,
    /// The TTL of the last.
    pub max_ttl: u8,
    /// How many probes may be on their way at once.
    pub window: usize,
    /// The longest wait for an answer.
    pub wait: Duration,
    /// Octets of a probe.
    pub packet_len: u16,
    /// How sure it must be that all next hops of a router are found.
    pub confidence: f64,
}

/// What one flow showed at one TTL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// Waiting for its answer, or to be sent.
    Pending,
    /// This router answered, or the target.
    Seen(IpAddr, bool),
    /// Nobody did.
    Silent,
}

/// The state machine.
#[derive(Debug)]
pub struct Multipath {
    plan: Plan,
    rule: StoppingRule,
    /// By TTL and flow.
    sights: BTreeMap<(u8, u16), Sight>,
    /// What is to be sent: TTL, flow, and which try it is.
    queue: Vec<(u8, u16, u8)>,
    /// By number.
    sent: Vec<Sent>,
    /// The numbers that are waited for.
    waiting: BTreeSet<u16>,
    /// The hop whose routers are being looked for.
    ttl: u8,
    longest: Duration,
    silent_hops: u8,
    /// Hops of several routers at which one flow has been sent again.
    asked_again: BTreeSet<u8>,
    graph: Graph,
    finished: bool,
    told: bool,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    ttl: u8,
    flow: u16,
    tries: u8,
    at: Instant,
}

impl Multipath {
    /// Nothing is sent yet.
    pub fn new(plan: Plan) -> Multipath {
        let mut multipath = Multipath {
            plan,
            rule: StoppingRule::new(plan.confidence),
            sights: BTreeMap::new(),
            queue: Vec::new(),
            sent: Vec::new(),
            waiting: BTreeSet::new(),
            ttl: plan.first_ttl,
            longest: Duration::ZERO,
            silent_hops: 0,
            asked_again: BTreeSet::new(),
            graph: Graph::default(),
            finished: false,
            told: false,
        };
        multipath.go_on();
        multipath
    }

    /// Asks what a flow shows at a TTL, unless that is known or asked already.
    fn ask(&mut self, ttl: u8, flow: u16) {
        if let Entry::Vacant(unknown) = self.sights.entry((ttl, flow)) {
            unknown.insert(Sight::Pending);
            self.queue.push((ttl, flow, 0));
        }
    }

    /// Nothing is on its way: decides what is asked next.
    fn go_on(&mut self) {
        while self.queue.is_empty() && self.waiting.is_empty() && !self.finished {
            if self.sent.len() >= MOST_PROBES {
                self.graph.incomplete = true;
                self.finished = true;
            } else if !self.ask_more() && !self.ask_again() {
                self.next_hop();
            }
        }
    }

    /// The hop is known: draws its edges and goes on to the next.
    fn next_hop(&mut self) {
        let sights: Vec<(u16, Sight)> = self.at(self.ttl).collect();
        let answered = sights
            .iter()
            .any(|(_, sight)| matches!(sight, Sight::Seen(..)));
        self.silent_hops = if answered { 0 } else { self.silent_hops + 1 };
        for (flow, sight) in &sights {
            let Sight::Seen(to, _) = *sight else { continue };
            if let Some(Sight::Seen(from, false)) = self.sights.get(&(self.ttl - 1, *flow)) {
                self.graph.edge(self.ttl - 1, *from, to);
            }
        }
        let goes_on = sights
            .iter()
            .any(|(_, sight)| !matches!(sight, Sight::Seen(_, true)));
        if !goes_on || self.ttl >= self.plan.max_ttl || self.silent_hops >= SILENT_HOPS {
            self.finished = true;
        } else {
            self.ttl += 1;
        }
    }

    fn at(&self, ttl: u8) -> impl Iterator<Item = (u16, Sight)> {
        self.sights
            .range((ttl, 0)..=(ttl, u16::MAX))
            .map(|((_, flow), sight)| (*flow, *sight))
    }

    fn patience(&self) -> Duration {
        match self.longest {
            Duration::ZERO => self.plan.wait,
            longest => (longest * PATIENCE).clamp(LEAST_WAIT, self.plan.wait.max(LEAST_WAIT)),
        }
    }

    fn lost(&mut self, number: u16) {
        let Sent {
            ttl, flow, tries, ..
        } = self.sent[usize::from(number)];
        self.waiting.remove(&number);
        // A flow that fell silent once is silent; others try as often as is needed to be sure.
        if tries + 1 < TRIES {
            self.queue.push((ttl, flow, tries + 1));
        } else if let Some(unknown @ Sight::Pending) = self.sights.get_mut(&(ttl, flow)) {
            *unknown = Sight::Silent;
        }
    }
}

impl Prober for Multipath {
    type Event = Graph;

    fn poll_send(&mut self, _now: Instant) -> Option<Probe> {
        let &(ttl, flow, _) = self.queue.last()?;
        (self.waiting.len() < self.plan.window).then_some(Probe {
            number: self.sent.len() as u16,
            ttl,
            flow,
            packet_len: self.plan.packet_len,
        })
    }

    fn on_sent(&mut self, at: Instant) {
        if let Some((ttl, flow, tries)) = self.queue.pop() {
            self.waiting.insert(self.sent.len() as u16);
            self.sent.push(Sent {
                ttl,
                flow,
                tries,
                at,
            });
        }
    }

    fn on_not_sent(&mut self, _why: NotSent, at: Instant) {
        self.on_sent(at);
        let number = (self.sent.len() - 1) as u16;
        self.lost(number);
        self.go_on();
    }

    fn on_left(&mut self, number: u16, at: Instant) {
        if let Some(sent) = self.sent.get_mut(usize::from(number))
            && self.waiting.contains(&number)
            && at >= sent.at
        {
            sent.at = at;
        }
    }

    fn on_answer(&mut self, heard: Heard) {
        if !self.waiting.remove(&heard.number) {
            return;
        }
        let Sent {
            ttl,
            flow,
            at,
            tries,
        } = self.sent[usize::from(heard.number)];
        let rtt = heard.at.saturating_duration_since(at);
        self.longest = self.longest.max(rtt);
        let ends = heard.mark != Mark::Passing;
        match self.sights.get(&(ttl, flow)) {
            Some(Sight::Seen(before, _)) => {
                if *before != heard.from {
                    self.graph.per_packet.insert(ttl);
                }
            }
            _ => {
                self.sights
                    .insert((ttl, flow), Sight::Seen(heard.from, ends));
            }
        }
        self.graph
            .seen(ttl, heard.from, heard.mark, rtt, u32::from(tries));
        self.go_on();
    }

    fn poll_event(&mut self, now: Instant) -> Option<Graph> {
        let patience = self.patience();
        let overdue: Vec<u16> = self
            .waiting
            .iter()
            .copied()
            .filter(|number| now >= self.sent[usize::from(*number)].at + patience)
            .collect();
        for number in overdue {
            self.lost(number);
        }
        self.go_on();
        if !self.finished || self.told {
            return None;
        }
        self.told = true;
        self.graph.probes = self.sent.len();
        self.graph.forget_what_is_uncertain();
        Some(std::mem::take(&mut self.graph))
    }

    fn next_wake(&self, now: Instant) -> Option<Instant> {
        if !self.queue.is_empty() && self.waiting.len() < self.plan.window {
            return Some(now);
        }
        let oldest = self
            .waiting
            .iter()
            .map(|number| self.sent[usize::from(*number)].at);
        oldest.min().map(|at| at + self.patience())
    }

    fn is_over(&self) -> bool {
        self.told
    }
}

#[cfg(test)]
mod tests;
