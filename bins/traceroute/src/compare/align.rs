//! Which hop of one path is which of another, where hops were put in or taken out.

use super::saved::Hop;

/// A router for another: less than to take one out and put one in.
const OTHER: u32 = 3;
const ONE_MORE: u32 = 2;
/// Who is silent in one of the paths may be who answers in the other.
const SILENT: u32 = 1;

/// A hop of the former path, of the latter, or of both.
pub(super) type Pair<'a> = (Option<&'a Hop>, Option<&'a Hop>);

/// The pairs, in the order of the paths, that take the fewest changes.
pub(super) fn pairs<'a>(before: &'a [Hop], now: &'a [Hop]) -> Vec<Pair<'a>> {
    let costs = costs(before, now);
    let (mut row, mut column) = (before.len(), now.len());
    let mut pairs = Vec::new();
    while row > 0 || column > 0 {
        let here = costs[row][column];
        let both = (row > 0 && column > 0).then(|| {
            let (one, other) = (&before[row - 1], &now[column - 1]);
            (costs[row - 1][column - 1] + cost(one, other), one, other)
        });
        if let Some((_, one, other)) = both.filter(|(cost, ..)| *cost == here) {
            pairs.push((Some(one), Some(other)));
            (row, column) = (row - 1, column - 1);
        } else if row > 0 && costs[row - 1][column] + ONE_MORE == here {
            pairs.push((Some(&before[row - 1]), None));
            row -= 1;
        } else {
            pairs.push((None, Some(&now[column - 1])));
            column -= 1;
        }
    }
    pairs.reverse();
    pairs
}

/// What it takes to make the first so many hops of one path those of the other.
fn costs(before: &[Hop], now: &[Hop]) -> Vec<Vec<u32>> {
    let mut costs = vec![vec![0; now.len() + 1]; before.len() + 1];
    for row in 0..=before.len() {
        for column in 0..=now.len() {
            let taken = (row > 0).then(|| costs[row - 1][column] + ONE_MORE);
            let put = (column > 0).then(|| costs[row][column - 1] + ONE_MORE);
            let both = (row > 0 && column > 0)
                .then(|| costs[row - 1][column - 1] + cost(&before[row - 1], &now[column - 1]));
            let least = [both, taken, put].into_iter().flatten().min();
            costs[row][column] = least.unwrap_or(0);
        }
    }
    costs
}

fn cost(before: &Hop, now: &Hop) -> u32 {
    match (before.addresses.is_empty(), now.addresses.is_empty()) {
        (true, true) => 0,
        (true, false) | (false, true) => SILENT,
        (false, false) if share_an_address(before, now) => 0,
        (false, false) => OTHER,
    }
}

/// Whether one of those who answered then answers now.
pub(super) fn share_an_address(before: &Hop, now: &Hop) -> bool {
    before.addresses.iter().any(|it| now.addresses.contains(it))
}
