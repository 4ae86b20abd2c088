//! When a trace sends, and how long it waits for an answer.

use std::time::{Duration, Instant};

use super::path_mtu::Search;
use super::{Place, Session, State, Waits};

/// How long a probe takes up a place in the window. One that is unanswered for longer is still
/// waited for, but others may go out: silent hops cost one wait together, not one each.
const IN_WINDOW: Duration = Duration::from_millis(300);
/// However fast a hop or a later one answered, a probe is given this long.
const LEAST_WAIT: Duration = Duration::from_millis(20);

impl Session {
    /// When the probes that take up a place in the window were sent.
    fn in_window(&self, now: Instant) -> impl Iterator<Item = Instant> {
        self.places[..self.next].iter().filter_map(move |place| {
            let State::Waiting { sent, .. } = place.state else {
                return None;
            };
            (now.saturating_duration_since(sent) < IN_WINDOW).then_some(sent)
        })
    }

    /// When the spacing allows the next probe.
    fn spaced(&self) -> Option<Instant> {
        self.last_sent.map(|at| at + self.plan.spacing)
    }

    /// Whether the next probe may go out.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let has_room = if self.one_by_one() {
            self.next <= self.told
        } else {
            self.in_window(now).count() < self.plan.window
        };
        let spaced = self.spaced().is_none_or(|at| at <= now);
        self.next < self.end && has_room && spaced
    }

    /// A window of one is for paths on which probes must not meet: the next waits for the fate of
    /// the last, however long that takes.
    pub(super) fn one_by_one(&self) -> bool {
        self.plan.window == 1
    }

    /// How long the probe at this place is waited for, by what is known now.
    pub(super) fn wait_for(&self, place: usize) -> Duration {
        let Waits { max, here, near } = self.plan.waits;
        let queries = usize::from(self.plan.queries);
        let mut hops = self.places.chunks(queries).skip(place / queries);
        let longest = |places: &[Place]| {
            let round_trips = places.iter().filter_map(|place| match &place.state {
                State::Answered(answer) => Some(answer.rtt),
                _ => None,
            });
            round_trips.max()
        };
        let passed = self.search.as_ref().and_then(Search::round_trip);
        let times = |factor: f64| move |rtt: Duration| (factor > 0.0).then(|| rtt.mul_f64(factor));
        let this_hop = hops
            .next()
            .and_then(longest)
            .max(passed)
            .and_then(times(here));
        let later_hop = || hops.find_map(longest).and_then(times(near));
        match this_hop.or_else(later_hop) {
            Some(wait) => wait.max(LEAST_WAIT).min(max),
            None => max,
        }
    }

    /// When a probe is due or one has been waited for long enough.
    pub(super) fn due_next(&self, now: Instant) -> Option<Instant> {
        if self.is_due(now) {
            return Some(now);
        }
        let more = self.next < self.end;
        let place_frees = (more && !self.one_by_one())
            .then(|| self.in_window(now).min().map(|sent| sent + IN_WINDOW))
            .flatten();
        let spaced = self.spaced().filter(|at| more && *at > now);
        let given_up = match self.places.get(self.told).map(|place| &place.state) {
            Some(State::Waiting { sent, .. }) => Some(*sent + self.wait_for(self.told)),
            _ => None,
        };
        [place_frees, spaced, given_up].into_iter().flatten().min()
    }
}
