//! Who answers at a hop: one router, one after another, or several by turns.

use std::net::IpAddr;
use std::time::Instant;

use super::change::{Change, What};

/// In how many cycles on end others must have answered for the path to have changed: in a single one
/// it may have been on its way elsewhere.
const TOLD_AFTER: u32 = 3;
/// So often the one from before must have come back for the hop to be balanced.
const RETURNS: u32 = 2;
/// After so many cycles on end one router is the only one, whatever was before. Where two share the
/// packets evenly, chance does that once in a million times.
const ALONE_AFTER: u32 = 20;
/// So many of those that share a hop are told apart, which only a forger exceeds.
const MOST_SHARING: usize = 16;

/// Watches who answers.
#[derive(Debug, Clone, Default)]
pub(super) struct Routers {
    /// Whose hop it is, as far as that has been told.
    settled: Option<IpAddr>,
    /// Who answered last, and since when nobody else has.
    streak: Option<Streak>,
    /// Since when others than that one answer.
    away: Option<Away>,
    /// How often they were gone again.
    returns: u32,
    /// Those that share the hop; none where one has it.
    sharing: Vec<IpAddr>,
}

#[derive(Debug, Clone, Copy)]
struct Streak {
    who: IpAddr,
    before: Option<IpAddr>,
    answers: u32,
    first: (u32, Instant),
}

#[derive(Debug, Clone, Copy)]
struct Away {
    answers: u32,
    last: IpAddr,
    first: (u32, Instant),
}

impl Routers {
    /// In a cycle, counted from 0, this one answered; what is told of it, if anything.
    pub(super) fn watch(
        &mut self,
        ttl: u8,
        who: IpAddr,
        cycle: u32,
        at: Instant,
    ) -> Option<Change> {
        let streak = self.streak(who, cycle, at);
        let Some(settled) = self.settled else {
            self.settled = Some(who);
            return None;
        };
        let is_alone = streak.answers >= ALONE_AFTER;
        let change = |what, (cycle, at): (u32, Instant)| {
            let cycle = cycle + 1;
            Some(Change { what, cycle, at })
        };
        let changed = |from, to, first| change(What::Router { ttl, from, to }, first);
        let shared = |other| {
            let with = settled;
            change(What::Shared { ttl, with, other }, (cycle, at))
        };
        if !self.sharing.is_empty() {
            if is_alone {
                *self = Routers {
                    settled: Some(who),
                    streak: Some(streak),
                    ..Routers::default()
                };
                return changed(streak.before.unwrap_or(settled), who, streak.first);
            }
            if self.sharing.contains(&who) || self.sharing.len() == MOST_SHARING {
                return None;
            }
            self.sharing.push(who);
            return shared(who);
        }
        if who == settled {
            if is_alone {
                self.returns = 0;
            }
            let other = self.away.take()?.last;
            self.returns += 1;
            if self.returns < RETURNS {
                return None;
            }
            self.sharing = vec![settled, other];
            return shared(other);
        }
        let away = self.away.get_or_insert(Away {
            answers: 0,
            last: who,
            first: (cycle, at),
        });
        away.answers += 1;
        away.last = who;
        // One that has come back may do so again.
        let enough = if self.returns == 0 {
            TOLD_AFTER
        } else {
            ALONE_AFTER
        };
        let Away { answers, first, .. } = *away;
        if answers < enough {
            return None;
        }
        self.away = None;
        self.settled = Some(who);
        changed(settled, who, first)
    }

    fn streak(&mut self, who: IpAddr, cycle: u32, at: Instant) -> Streak {
        let last = self.streak;
        let streak = match last {
            Some(streak) if streak.who == who => Streak {
                answers: streak.answers.saturating_add(1),
                ..streak
            },
            _ => Streak {
                who,
                before: last.map(|it| it.who),
                answers: 1,
                first: (cycle, at),
            },
        };
        self.streak = Some(streak);
        streak
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Its name, who answers, what is told.
    type Case = (&'static str, Vec<u8>, Vec<(u32, String)>);

    /// What is told of a hop at which these answer, one a cycle, and of which cycle.
    fn told(who: impl IntoIterator<Item = u8>) -> Vec<(u32, String)> {
        let begun = Instant::now();
        let mut routers = Routers::default();
        let mut told = Vec::new();
        for (cycle, who) in (0..).zip(who) {
            let at = begun + Duration::from_secs(u64::from(cycle));
            if let Some(change) = routers.watch(2, [10, 0, 0, who].into(), cycle, at) {
                let first = begun + Duration::from_secs(u64::from(change.cycle) - 1);
                assert_eq!(change.at, first, "the time is that of the cycle");
                told.push((change.cycle, change.what.to_string()));
            }
        }
        told
    }

    #[test]
    fn a_change_is_told_when_it_has_stayed_and_sharing_once() {
        let turns = |times: usize| [1, 2].repeat(times);
        let changed = |cycle, from, to| {
            (
                cycle,
                format!("hop 2 changed from 10.0.0.{from} to 10.0.0.{to}"),
            )
        };
        let shared = |cycle, with, other| {
            let words = "share hop 2, which balances packets and not flows";
            (cycle, format!("10.0.0.{with} and 10.0.0.{other} {words}"))
        };
        let cases: [Case; 9] = [
            ("one router", vec![1; 50], vec![]),
            ("another", vec![1, 1, 2, 2, 2, 2], vec![changed(3, 1, 2)]),
            ("not long enough", vec![1, 1, 2, 2], vec![]),
            ("for a moment", vec![1, 1, 2, 1, 1, 1], vec![]),
            (
                "by way of a third",
                vec![1, 3, 2, 2, 2],
                vec![changed(2, 1, 2)],
            ),
            ("by turns for long", turns(200), vec![shared(5, 1, 2)]),
            (
                "of three",
                [1, 2, 3].repeat(50),
                vec![shared(7, 1, 3), shared(8, 1, 2)],
            ),
            (
                "by turns, then one: its time is that of the first of many",
                [turns(20), vec![1; 25]].concat(),
                vec![shared(5, 1, 2), changed(41, 2, 1)],
            ),
            (
                "by turns, then a third",
                [turns(20), vec![3; 25], vec![4; 3]].concat(),
                vec![
                    shared(5, 1, 2),
                    shared(41, 1, 3),
                    changed(41, 2, 3),
                    changed(66, 3, 4),
                ],
            ),
        ];
        for (name, who, expected) in cases {
            assert_eq!(told(who), expected, "{name}");
        }
    }

    #[test]
    fn a_moment_now_and_then_is_no_sharing() {
        let now_and_then = [vec![1; 30], vec![2]].concat().repeat(10);
        assert_eq!(told(now_and_then), []);
    }
}
