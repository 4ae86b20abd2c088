//! What is asked next, so that a hop's routers are known as surely as the rule wants.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{MOST_FLOWS, Multipath, Sight};

impl Multipath {
    /// Asks for what the routers of the hop before still lack. Whether there was anything.
    pub(super) fn ask_more(&mut self) -> bool {
        let before = self.ttl - 1;
        // Before the first hop there is one router only: this host, which all flows pass.
        let routers: Vec<Option<IpAddr>> = if self.ttl == self.plan.first_ttl {
            vec![None]
        } else {
            let seen: BTreeSet<Option<IpAddr>> = self
                .at(before)
                .filter_map(|(_, sight)| match sight {
                    Sight::Seen(_, true) | Sight::Pending => None,
                    Sight::Seen(address, false) => Some(Some(address)),
                    Sight::Silent => Some(None),
                })
                .collect();
            // Where others answer, silence is a lost answer, and no router of its own.
            let any = seen.iter().any(Option::is_some);
            seen.into_iter().filter(|it| it.is_some() || !any).collect()
        };
        for router in routers {
            self.ask_of(router);
        }
        !self.queue.is_empty()
    }

    /// Where flows show several routers, sends one of the flows again as often as would show a second
    /// next hop: if another router answers it, packets are balanced and not flows. Whether there was
    /// anything to ask.
    pub(super) fn ask_again(&mut self) -> bool {
        let seen: Vec<(u16, IpAddr)> = self
            .at(self.ttl)
            .filter_map(|(flow, sight)| match sight {
                Sight::Seen(address, _) => Some((flow, address)),
                Sight::Pending | Sight::Silent => None,
            })
            .collect();
        let Some((flow, first)) = seen.first().copied() else {
            return false;
        };
        if seen.iter().all(|(_, address)| *address == first) || !self.asked_again.insert(self.ttl) {
            return false;
        }
        for _ in 1..self.rule.enough(1) {
            self.queue.push((self.ttl, flow, 0));
        }
        true
    }

    /// Asks as many flows of one router as the rule wants, and looks for more that pass it where
    /// there are too few.
    fn ask_of(&mut self, router: Option<IpAddr>) {
        let first = self.ttl == self.plan.first_ttl;
        let flows: Vec<u16> = if first {
            (0..MOST_FLOWS).collect()
        } else {
            self.at(self.ttl - 1)
                .filter(|(_, sight)| match (sight, router) {
                    (Sight::Seen(address, false), Some(router)) => *address == router,
                    (Sight::Silent, None) => true,
                    _ => false,
                })
                .map(|(flow, _)| flow)
                .collect()
        };
        let (mut answered, mut asked) = (0, 0);
        let mut found = BTreeSet::new();
        for flow in &flows {
            match self.sights.get(&(self.ttl, *flow)) {
                Some(Sight::Seen(address, _)) => {
                    answered += 1;
                    asked += 1;
                    found.insert(*address);
                }
                Some(Sight::Silent | Sight::Pending) => asked += 1,
                None => {}
            }
        }
        // A router whose successors are all silent has been asked often enough as well.
        let enough = self.rule.enough(found.len().max(1));
        let done = if found.is_empty() { asked } else { answered };
        if done >= enough || (asked >= 2 * enough && answered < asked) {
            return;
        }
        let missing = enough - done;
        let fresh: Vec<u16> = flows
            .iter()
            .copied()
            .filter(|flow| !self.sights.contains_key(&(self.ttl, *flow)))
            .take(missing)
            .collect();
        let lacking = missing - fresh.len();
        for flow in fresh {
            self.ask(self.ttl, flow);
        }
        if lacking > 0 && !first {
            self.look_for_flows(lacking);
        }
    }

    /// Sends new flows to the hop before, some of which will pass the router that lacks them.
    fn look_for_flows(&mut self, lacking: usize) {
        let before = self.ttl - 1;
        let next = self
            .at(before)
            .map(|(flow, _)| flow)
            .max()
            .map_or(0, |flow| flow + 1);
        let end = next.saturating_add(lacking as u16).min(MOST_FLOWS);
        if next >= end {
            self.graph.incomplete = true;
            return;
        }
        for flow in next..end {
            self.ask(before, flow);
        }
    }
}
