//! An ordinary trace: which probe is in what state, and what is due next.
//!
//! Read in this order: [`plan`], this file, `waiting` (when it sends and gives up), `path_mtu` (the
//! search where large probes vanish).

mod path_mtu;
pub mod plan;
mod waiting;

use std::net::IpAddr;
use std::time::Instant;

use netproto::icmp::Reason;

use crate::mark::Mark;
use crate::probe::{Answer, Heard, NotSent, Probe};
use crate::prober::Prober;
use path_mtu::{Search, Step};
pub use plan::{Plan, Waits};

/// The state machine. A probe has a place in the output: 0 is the first of the first hop. One that
/// is sent again, smaller, keeps its place and gets a new number.
#[derive(Debug)]
pub struct Session {
    plan: Plan,
    places: Vec<Place>,
    /// The place of each number.
    sends: Vec<usize>,
    /// The places from here on have not been sent.
    next: usize,
    /// The places from here on are beyond the target.
    end: usize,
    /// The places before this one have been told.
    told: usize,
    last_sent: Option<Instant>,
    /// The size of the next probe.
    packet_len: u16,
    /// The search that is under way, at the place that is told next.
    search: Option<Search>,
    /// How many hops in a row were silent when they were told.
    silent_hops: u8,
}

#[derive(Debug, Clone)]
struct Place {
    state: State,
    /// When its last probe left the hands of this program.
    sent: Option<Instant>,
    note: Option<MtuNote>,
}

#[derive(Debug, Clone)]
enum State {
    Unsent,
    Waiting {
        number: u16,
        packet_len: u16,
        sent: Instant,
        left: Option<Instant>,
    },
    Answered(Answer),
    /// Refused by this host, because it exceeds this MTU or for another reason.
    NotSent(Option<u32>),
    Lost,
}

/// Why a probe is smaller than those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MtuNote {
    /// A router, or this host where none is named, said that the next link takes only so much.
    Told {
        /// Octets.
        mtu: u32,
        /// The router.
        by: Option<IpAddr>,
    },
    /// Larger probes vanish without a word; this is the largest that does not.
    Found {
        /// Octets.
        mtu: u16,
    },
}

/// A probe whose fate is known, as are those of all before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// The probe's TTL.
    pub ttl: u8,
    /// Whether it is the hop's first.
    pub first_of_hop: bool,
    /// When it was sent; nothing for one that this host refused.
    pub sent: Option<Instant>,
    /// What came back; nothing for one that is lost.
    pub answer: Option<Answer>,
    /// This host's own refusal to send so large a packet: the MTU.
    pub too_large_here: Option<u32>,
    /// Why it is smaller than those before it.
    pub note: Option<MtuNote>,
}

impl Session {
    /// A session that has sent nothing yet.
    pub fn new(plan: Plan) -> Session {
        let end = plan.probes();
        let unsent = Place {
            state: State::Unsent,
            sent: None,
            note: None,
        };
        Session {
            plan,
            places: vec![unsent; end],
            sends: Vec::new(),
            next: 0,
            end,
            told: 0,
            last_sent: None,
            packet_len: plan.packet_len,
            search: None,
            silent_hops: 0,
        }
    }

    /// Has the place that is told next sent again.
    fn send_again(&mut self, place: usize, packet_len: u16) {
        self.packet_len = packet_len;
        self.places[place].state = State::Unsent;
        self.next = place;
    }

    fn take(&mut self, place: usize, step: Step) {
        match step {
            Step::Try => {
                let size = self.search.as_ref().map_or(self.packet_len, |it| it.size);
                self.send_again(place, size);
            }
            Step::Silent => {
                self.packet_len = self.full_len();
                self.search = None;
                self.places[place].state = State::Lost;
            }
            Step::Found(mtu, answer) => {
                self.search = None;
                if mtu < self.full_len() {
                    self.places[place].note = Some(MtuNote::Found { mtu });
                }
                self.packet_len = mtu;
                self.answered(place, answer);
            }
        }
    }

    /// The size before a search began: what the path is known to take so far.
    fn full_len(&self) -> u16 {
        self.places
            .iter()
            .filter_map(|place| match place.note? {
                MtuNote::Told { mtu, .. } => u16::try_from(mtu).ok(),
                MtuNote::Found { mtu } => Some(mtu),
            })
            .min()
            .unwrap_or(self.plan.packet_len)
    }

    /// Somebody said how large a probe may be. Whether it is sent again, smaller.
    fn shrink(&mut self, place: usize, mtu: u32, by: Option<IpAddr>) -> bool {
        let Some(len) = u16::try_from(mtu)
            .ok()
            .filter(|len| (self.plan.least_len..self.packet_len).contains(len))
        else {
            return false;
        };
        if !self.plan.discover_mtu {
            return false;
        }
        self.search = None;
        self.places[place].note = Some(MtuNote::Told { mtu, by });
        self.send_again(place, len);
        true
    }

    fn answered(&mut self, place: usize, answer: Answer) {
        let ends = answer.mark.ends_the_way();
        self.places[place].state = State::Answered(answer);
        if ends {
            self.ends_at_hop_of(place);
        }
    }

    fn ends_at_hop_of(&mut self, place: usize) {
        let hop_end = (place + 1).next_multiple_of(usize::from(self.plan.queries));
        self.end = self.end.min(hop_end);
    }

    /// The place that is told next has waited long enough. With path MTU discovery, the first of
    /// a hop is asked whether it is the size that keeps it silent.
    fn expired(&mut self, packet_len: u16) {
        let place = self.told;
        let first_of_hop = place.is_multiple_of(usize::from(self.plan.queries));
        let step = match &mut self.search {
            Some(search) => search.on_silence(),
            None if self.plan.discover_mtu && first_of_hop && packet_len > self.plan.least_len => {
                self.search = Some(Search::below(packet_len, self.plan.least_len));
                Step::Try
            }
            None => Step::Silent,
        };
        self.take(place, step);
    }

    /// Counts silent hops; enough of them in a row end the trace.
    fn mind_the_gap(&mut self) {
        let queries = usize::from(self.plan.queries);
        let Some(gap) = self.plan.gap else { return };
        if !self.told.is_multiple_of(queries) {
            return;
        }
        let answered = |place: &Place| !matches!(place.state, State::Lost | State::NotSent(None));
        if self.places[self.told - queries..self.told]
            .iter()
            .any(answered)
        {
            self.silent_hops = 0;
            return;
        }
        self.silent_hops = self.silent_hops.saturating_add(1);
        let heard_beyond = self.places[self.told..]
            .iter()
            .any(|place| matches!(place.state, State::Answered(_)));
        if self.silent_hops >= gap && !heard_beyond {
            self.end = self.told;
        }
    }
}

impl Prober for Session {
    type Event = Fate;

    fn poll_send(&mut self, now: Instant) -> Option<Probe> {
        self.is_due(now).then(|| Probe {
            number: self.sends.len() as u16,
            ttl: self.plan.ttl(self.next),
            flow: 0,
            packet_len: self.packet_len,
        })
    }

    fn on_sent(&mut self, at: Instant) {
        self.places[self.next].state = State::Waiting {
            number: self.sends.len() as u16,
            packet_len: self.packet_len,
            sent: at,
            left: None,
        };
        self.places[self.next].sent = Some(at);
        self.sends.push(self.next);
        self.last_sent = Some(at);
        self.next += 1;
    }

    fn on_not_sent(&mut self, why: NotSent, at: Instant) {
        let place = self.next;
        self.sends.push(place);
        self.last_sent = Some(at);
        self.next += 1;
        self.places[place].state = State::NotSent(None);
        if let NotSent::TooLarge { mtu } = why
            && !self.shrink(place, mtu, None)
        {
            self.places[place].state = State::NotSent(Some(mtu));
            self.ends_at_hop_of(place);
        }
    }

    fn on_left(&mut self, number: u16, at: Instant) {
        if let Some(&place) = self.sends.get(usize::from(number))
            && let State::Waiting {
                number: its,
                sent,
                left,
                ..
            } = &mut self.places[place].state
            && *its == number
            && at >= *sent
        {
            *left = Some(at);
        }
    }

    fn on_answer(&mut self, heard: Heard) {
        let Some(&place) = self.sends.get(usize::from(heard.number)) else {
            return;
        };
        let State::Waiting {
            number, sent, left, ..
        } = self.places[place].state
        else {
            return;
        };
        if number != heard.number {
            return;
        }
        if let Mark::Refused(Reason::PacketTooBig { mtu }) = heard.mark
            && self.plan.discover_mtu
        {
            if self.shrink(place, mtu, Some(heard.from)) {
                return;
            }
            // A router from before RFC 1191 names no size.
            if let Some(search) = &mut self.search {
                let step = search.on_too_large();
                self.take(place, step);
                return;
            }
        }
        let answer = Answer {
            from: heard.from,
            rtt: heard.at.saturating_duration_since(left.unwrap_or(sent)),
            mark: heard.mark,
            told: heard.told,
        };
        match &mut self.search {
            Some(search) if place == self.told => {
                let step = search.on_answer(answer);
                self.take(place, step);
            }
            _ => self.answered(place, answer),
        }
    }

    fn poll_event(&mut self, now: Instant) -> Option<Fate> {
        if self.is_over() {
            return None;
        }
        if let State::Waiting {
            sent, packet_len, ..
        } = self.places[self.told].state
            && now >= sent + self.wait_for(self.told)
        {
            self.expired(packet_len);
        }
        let place = self.places[self.told].clone();
        let (answer, too_large_here) = match place.state {
            State::Unsent | State::Waiting { .. } => return None,
            State::Answered(answer) => (Some(answer), None),
            State::NotSent(too_large) => (None, too_large),
            State::Lost => (None, None),
        };
        let fate = Fate {
            ttl: self.plan.ttl(self.told),
            first_of_hop: self.told.is_multiple_of(usize::from(self.plan.queries)),
            sent: place.sent,
            answer,
            too_large_here,
            note: place.note,
        };
        self.told += 1;
        self.mind_the_gap();
        Some(fate)
    }

    fn next_wake(&self, now: Instant) -> Option<Instant> {
        self.due_next(now)
    }

    fn is_over(&self) -> bool {
        self.told >= self.end
    }
}

#[cfg(test)]
mod tests;
