//! Whether the answers of a hop came as a token bucket gives them out.
//!
//! A router that limits its errors as Linux does (`icmp_ratelimit`) holds some tokens; each answer
//! takes one, and a new one comes every interval. So it answers a burst at once and then at a
//! steady interval, whatever arrives: at any time it has answered about as often as tokens have
//! come. Loss has no such order: where each probe fares alike, all orders of the same answers and
//! silences are as likely as each other. How many of them stay as near to a bucket's count, among
//! all that there are, is the chance that loss looks like one.

use std::time::{Duration, Instant};

use statrs::function::factorial::ln_binomial;

/// A bucket may hold a part of a token: so many parts of one are told apart.
const PARTS: usize = 2;
/// Two counts that differ by less are equal.
const ROUNDING: f64 = 1e-9;

/// A probe whose fate is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// When it was sent.
    pub sent: Instant,
    /// Whether it was answered.
    pub answered: bool,
}

/// What a bucket's answers look like, as they were seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// How many probes were answered before the first that was not.
    pub burst: usize,
    /// How far apart the later answers were, where there are two.
    pub gaps: Option<Gaps>,
    /// The chance that loss leaves answers in an order that fits a bucket as well as theirs.
    pub chance: f64,
}

/// How far apart the probes were sent that were answered after the burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gaps {
    /// On average: the bucket's interval.
    pub mean: Duration,
    /// At least.
    pub least: Duration,
    /// At most.
    pub most: Duration,
}

impl Bucket {
    /// How well the outcomes of a hop, in the order of their sending, fit a bucket; nothing where
    /// all are alike.
    pub fn of(outcomes: &[Outcome]) -> Option<Bucket> {
        let answered = outcomes.iter().filter(|it| it.answered).count();
        if answered == 0 || answered == outcomes.len() {
            return None;
        }
        let burst = outcomes.iter().take_while(|it| it.answered).count();
        Some(Bucket {
            burst,
            gaps: Gaps::of(&outcomes[burst..]),
            chance: chance(outcomes, answered),
        })
    }
}

impl Gaps {
    fn of(steady: &[Outcome]) -> Option<Gaps> {
        let answered: Vec<Instant> = steady
            .iter()
            .filter(|it| it.answered)
            .map(|it| it.sent)
            .collect();
        let gaps = answered.windows(2).map(|pair| pair[1] - pair[0]);
        let count = u32::try_from(answered.len().checked_sub(1)?).ok()?;
        let all: Duration = gaps.clone().sum();
        Some(Gaps {
            mean: all.checked_div(count)?,
            least: gaps.clone().min()?,
            most: gaps.max()?,
        })
    }
}

/// The chance that one of all orders of so many answers stays as near to a bucket's count as theirs.
fn chance(outcomes: &[Outcome], answered: usize) -> f64 {
    let tokens = |parts: usize| parts as f64 / PARTS as f64;
    // What the bucket holds at the first probe and, besides what it gave, at the last.
    let mut lines: Vec<Vec<f64>> = (0..=answered * PARTS)
        .flat_map(|first| (0..PARTS).map(move |left| (tokens(first), tokens(left))))
        .map(|(first, left)| given_out(outcomes, first, answered as f64 + left))
        .collect();
    // Of probes that left at once it does not matter.
    lines.dedup();
    let off = |line: &Vec<f64>| {
        let mut so_far = 0.0;
        let offs = line.iter().zip(outcomes).map(|(expected, outcome)| {
            so_far += f64::from(u8::from(outcome.answered));
            f64::abs(so_far - expected)
        });
        offs.fold(0.0, f64::max)
    };
    let nearest = lines.iter().map(off).fold(f64::INFINITY, f64::min);
    let near: f64 = lines
        .iter()
        .map(|line| orders_near(line, answered, nearest))
        .sum();
    let all = ln_binomial(outcomes.len() as u64, answered as u64).exp();
    (near / all).min(1.0)
}

/// How many answers there have been after each probe, if a bucket begins with `tokens` and has got
/// `all` at the last.
fn given_out(outcomes: &[Outcome], tokens: f64, all: f64) -> Vec<f64> {
    let (Some(first), Some(last)) = (outcomes.first(), outcomes.last()) else {
        return Vec::new();
    };
    let duration = (last.sent - first.sent).as_secs_f64();
    let rate = if duration > 0.0 {
        (all - tokens) / duration
    } else {
        0.0
    };
    let count = |(probes, it): (u32, &Outcome)| {
        let come = tokens + (it.sent - first.sent).as_secs_f64() * rate;
        come.min(f64::from(probes))
    };
    (1..).zip(outcomes).map(count).collect()
}

/// How many orders of `answered` answers there are whose count is never more than `off` from the
/// expected one.
fn orders_near(expected: &[f64], answered: usize, off: f64) -> f64 {
    // By how many have been answered so far; only those from `low` to `high` are counted yet.
    let mut ways = vec![0.0; answered + 1];
    ways[0] = 1.0;
    let (mut low, mut high) = (0, 0);
    for count in expected {
        let least = (count - off - ROUNDING).ceil().max(0.0) as usize;
        let most = (count + off + ROUNDING).floor().max(0.0) as usize;
        let counted = |ways: &[f64], at: usize| {
            if (low..=high).contains(&at) {
                ways[at]
            } else {
                0.0
            }
        };
        for at in (least..=most.min(answered)).rev() {
            let below = at.checked_sub(1).map_or(0.0, |below| counted(&ways, below));
            ways[at] = counted(&ways, at) + below;
        }
        (low, high) = (least, most.min(answered));
    }
    if (low..=high).contains(&answered) {
        ways[answered]
    } else {
        0.0
    }
}
