//! When enough probes were sent to believe that all next hops are known.
//!
//! The rule of Veitch, Augustin, Friedman and Teixeira, "Failure Control in Multipath Route
//! Tracing" (Infocom 2009): having found k next hops after n(k) probes of different flows, stop.
//! The n(k) are the smallest for which, if there are K next hops over which flows are spread
//! evenly, the chance to stop before all K are found is at most the failure that is allowed, for
//! every K. That chance counts all the moments at which one might have stopped too early.

/// More next hops than this are not looked for; balancers have 16 or 64 at most by default.
pub const MOST_NEXT_HOPS: usize = 64;

/// The numbers of probes, by how many next hops have been found.
#[derive(Debug, Clone)]
pub struct StoppingRule {
    allowed: f64,
    /// At index k: n(k), as far as it was asked for.
    probes: Vec<usize>,
}

impl StoppingRule {
    /// For a confidence between 0 and 1 that all next hops of one router are found.
    pub fn new(confidence: f64) -> StoppingRule {
        StoppingRule {
            allowed: 1.0 - confidence,
            // Nothing is known before the first answer.
            probes: vec![usize::MAX],
        }
    }

    /// How many answered probes are enough after so many next hops were found.
    pub fn enough(&mut self, found: usize) -> usize {
        if found > MOST_NEXT_HOPS {
            return 0;
        }
        while self.probes.len() <= found {
            let next_hops = self.probes.len() + 1;
            let n = smallest(&self.probes, next_hops, self.allowed);
            self.probes.push(n);
        }
        self.probes[found]
    }
}

/// The smallest n(K − 1) that keeps the failure with K next hops within what is allowed, given the
/// n(k) before it.
fn smallest(before: &[usize], next_hops: usize, allowed: f64) -> usize {
    let total = next_hops as f64;
    // The chance to be still looking with so many found.
    let mut looking = vec![0.0; next_hops + 1];
    looking[0] = 1.0;
    let mut stopped = 0.0;
    let mut sent = 0;
    loop {
        sent += 1;
        for found in (0..next_hops).rev() {
            let moves = looking[found] * (total - found as f64) / total;
            looking[found + 1] += moves;
            looking[found] -= moves;
        }
        for found in 1..next_hops - 1 {
            if sent >= before[found] {
                stopped += std::mem::take(&mut looking[found]);
            }
        }
        let enough_before = before[1..].iter().max().copied().unwrap_or(0);
        if sent >= enough_before && stopped + looking[next_hops - 1] <= allowed {
            return sent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_paper_where_one_failure_can_be_counted_by_hand() {
        // Two next hops: all of n probes go one way with a chance of 2^(1 − n).
        for (confidence, probes) in [(0.95, 6), (0.99, 8), (0.999, 11)] {
            assert_eq!(StoppingRule::new(confidence).enough(1), probes);
        }
        // Augustin, Friedman and Teixeira 2007, table 1, for 95 %: 6, 11, 16, 21, 27, 33. Counting
        // the failures at every stop can only ask for as many or more.
        let mut rule = StoppingRule::new(0.95);
        for (found, probes) in [(1, 6), (2, 11), (3, 16), (4, 21), (5, 27), (6, 33)] {
            assert!(
                rule.enough(found) >= probes,
                "{found}: {}",
                rule.enough(found)
            );
            assert!(
                rule.enough(found) <= probes + 4,
                "{found}: {}",
                rule.enough(found)
            );
        }
    }
}
