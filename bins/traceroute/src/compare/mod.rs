//! A path held against one that was saved: which hops are others, and which figures differ by more
//! than the samples allow. Pure but for reading the file.
//!
//! Read this file, then `saved` (a path as a file has it), `align` (which hop is which), `sample`
//! (what samples allow).

mod align;
mod sample;
pub mod saved;

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::silence::hypotheses::Hypothesis;
use sample::{Loss, Rtt};
use saved::{Hop, Path};

/// What is different, in the order of the hops.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Everything that is told.
    pub differences: Vec<Difference>,
}

/// One difference; a TTL is that of the path now, unless it says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub enum Difference {
    /// By what it is probed. Load balancers may send that another way.
    Method {
        /// Before.
        from: String,
        /// Now.
        to: String,
    },
    /// The address that it is to lead to.
    Target {
        /// Before.
        from: IpAddr,
        /// Now.
        to: IpAddr,
    },
    /// Nobody answers at a hop who answered before.
    Changed {
        /// The hop.
        ttl: u8,
        /// Who answered.
        from: Vec<IpAddr>,
        /// Who does.
        to: Vec<IpAddr>,
    },
    /// A hop that was not there before.
    Appeared {
        /// The hop.
        ttl: u8,
        /// Who answers.
        who: Vec<IpAddr>,
    },
    /// A hop that is no longer there.
    Gone {
        /// Where it was.
        ttl: u8,
        /// Who answered.
        who: Vec<IpAddr>,
    },
    /// A hop that answered and does not any more. That alone is not another path.
    Silent {
        /// The hop.
        ttl: u8,
        /// Who answered.
        who: Vec<IpAddr>,
        /// How many probes it left unanswered.
        probes: u64,
    },
    /// A hop that was silent and answers. That alone is not another path.
    Speaks {
        /// The hop.
        ttl: u8,
        /// Who answers.
        who: Vec<IpAddr>,
    },
    /// The way ends elsewhere, or otherwise.
    End {
        /// Where and how it did.
        from: End,
        /// Where and how it does.
        to: End,
    },
    /// The mean round trip of a hop.
    Rtt {
        /// The hop.
        ttl: u8,
        /// The figures.
        rtt: Rtt,
    },
    /// The share of probes that a hop left unanswered.
    Loss {
        /// The hop.
        ttl: u8,
        /// The figures.
        loss: Loss,
    },
    /// What `--confirm` found the silence of a hop to be.
    Explained {
        /// The hop.
        ttl: u8,
        /// It was.
        from: Hypothesis,
        /// It is.
        to: Hypothesis,
    },
}

/// Where a way ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// At the target.
    Target(u8),
    /// At a router that refuses, with this mark.
    Refused(u8, String),
    /// Nobody answers behind this hop; 0 where nobody answered at all.
    Silence(u8),
}

impl Comparison {
    /// Of the path that was saved and the one that is there now.
    pub fn of(before: &Path, now: &Path) -> Comparison {
        let ttls = common_ttls(before, now);
        let [former, latter] = [before, now].map(|path| within(path, &ttls));
        let longest = former.len().max(latter.len());
        let [former, latter] = [(before, former), (now, latter)]
            .map(|(path, hops)| with_silence(path, hops, *ttls.start(), longest));
        let pairs = align::pairs(&former, &latter);
        // So that of two traces of one path together one difference in twenty is due to chance.
        let comparisons = 2 * pairs.len().max(1);
        let mut differences = of_order(before, now);
        differences.extend(pairs.iter().flat_map(|pair| of_hops(*pair, comparisons)));
        let ends = [before, now].map(|path| end(path, *ttls.end()));
        if let [Some(from), Some(to)] = ends
            && !from.is_like(&to)
        {
            differences.push(Difference::End { from, to });
        }
        Comparison { differences }
    }

    /// Whether the path is another. Figures do not make it one, nor does silence.
    pub fn is_another_path(&self) -> bool {
        self.differences.iter().any(Difference::is_of_the_path)
    }
}

impl Difference {
    /// Whether it makes the path another.
    pub fn is_of_the_path(&self) -> bool {
        match self {
            Difference::Changed { .. }
            | Difference::Appeared { .. }
            | Difference::Gone { .. }
            | Difference::End { .. } => true,
            Difference::Method { .. }
            | Difference::Target { .. }
            | Difference::Silent { .. }
            | Difference::Speaks { .. }
            | Difference::Rtt { .. }
            | Difference::Loss { .. }
            | Difference::Explained { .. } => false,
        }
    }

    /// What kind it is, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Difference::Method { .. } => "method",
            Difference::Target { .. } => "target",
            Difference::Changed { .. } => "changed",
            Difference::Appeared { .. } => "appeared",
            Difference::Gone { .. } => "gone",
            Difference::Silent { .. } => "silent",
            Difference::Speaks { .. } => "speaks",
            Difference::End { .. } => "end",
            Difference::Rtt { .. } => "rtt",
            Difference::Loss { .. } => "loss",
            Difference::Explained { .. } => "explained",
        }
    }
}

impl End {
    /// Two ways that nobody answers at the end of may be one.
    fn is_like(&self, other: &End) -> bool {
        self == other || matches!((self, other), (End::Silence(_), End::Silence(_)))
    }
}

/// The TTLs that both probed; of one that was cut short, only up to where it came.
fn common_ttls(before: &Path, now: &Path) -> RangeInclusive<u8> {
    let first = |path: &Path| path.hops.first().map_or(1, |hop| hop.ttl);
    let last = |path: &Path| match path.hops.last() {
        Some(hop) if !path.is_complete && !is_over(path) => hop.ttl,
        _ => path.max_ttl,
    };
    first(before).max(first(now))..=last(before).min(last(now))
}

/// Whether nothing is behind the last hop.
fn is_over(path: &Path) -> bool {
    path.reached || path.hops.last().is_some_and(|hop| hop.mark.is_some())
}

/// The hops of these TTLs, without the silence behind a way that has no end.
fn within(path: &Path, ttls: &RangeInclusive<u8>) -> Vec<Hop> {
    let hops = path.hops.iter().filter(|hop| ttls.contains(&hop.ttl));
    let mut hops: Vec<Hop> = hops.cloned().collect();
    while !is_over(path) && hops.pop_if(|hop| hop.addresses.is_empty()).is_some() {}
    hops
}

/// A way that has no end goes on silently, as far as is asked.
fn with_silence(path: &Path, mut hops: Vec<Hop>, first: u8, len: usize) -> Vec<Hop> {
    let next = hops
        .last()
        .map_or(u16::from(first), |hop| u16::from(hop.ttl) + 1);
    let missing = len.saturating_sub(hops.len());
    let silent = |ttl: u16| Hop {
        ttl: ttl as u8,
        addresses: Vec::new(),
        mark: None,
        sent: 0,
        answered: 0,
        rtt_ms: None,
        silence: None,
    };
    if !is_over(path) {
        hops.extend((next..=u16::from(u8::MAX)).take(missing).map(silent));
    }
    hops
}

/// Where the way ends; nothing, where that is beyond what both have probed.
fn end(path: &Path, last: u8) -> Option<End> {
    let hop = path.hops.last()?;
    if is_over(path) {
        return (hop.ttl <= last).then(|| match &hop.mark {
            Some(mark) => End::Refused(hop.ttl, mark.clone()),
            None => End::Target(hop.ttl),
        });
    }
    let answered = path.hops.iter().rev().find(|hop| !hop.addresses.is_empty());
    path.is_complete
        .then(|| End::Silence(answered.map_or(0, |hop| hop.ttl)))
}

/// What was asked for otherwise.
fn of_order(before: &Path, now: &Path) -> Vec<Difference> {
    let method = (before.method != now.method).then(|| Difference::Method {
        from: before.method.clone(),
        to: now.method.clone(),
    });
    let target = (before.target != now.target).then_some(Difference::Target {
        from: before.target,
        to: now.target,
    });
    method.into_iter().chain(target).collect()
}

fn of_hops((before, now): align::Pair<'_>, comparisons: usize) -> Vec<Difference> {
    let (before, now) = match (before, now) {
        (Some(before), Some(now)) => (before, now),
        (Some(before), None) => {
            return vec![Difference::Gone {
                ttl: before.ttl,
                who: before.addresses.clone(),
            }];
        }
        (None, Some(now)) => {
            return vec![Difference::Appeared {
                ttl: now.ttl,
                who: now.addresses.clone(),
            }];
        }
        (None, None) => return Vec::new(),
    };
    let ttl = now.ttl;
    match (before.addresses.is_empty(), now.addresses.is_empty()) {
        (true, true) => Vec::new(),
        (true, false) => vec![Difference::Speaks {
            ttl,
            who: now.addresses.clone(),
        }],
        (false, true) => vec![Difference::Silent {
            ttl,
            who: before.addresses.clone(),
            probes: now.sent,
        }],
        (false, false) if align::share_an_address(before, now) => {
            let rtt = Rtt::of(before, now, comparisons).map(|rtt| Difference::Rtt { ttl, rtt });
            let loss = Loss::of(before, now, comparisons);
            let loss = loss.map(|loss| Difference::Loss { ttl, loss });
            let explained = before
                .silence
                .zip(now.silence)
                .filter(|(from, to)| from != to)
                .map(|(from, to)| Difference::Explained { ttl, from, to });
            rtt.into_iter().chain(loss).chain(explained).collect()
        }
        (false, false) => vec![Difference::Changed {
            ttl,
            from: before.addresses.clone(),
            to: now.addresses.clone(),
        }],
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Target(ttl) => write!(f, "at the target, hop {ttl}"),
            End::Refused(ttl, mark) => write!(f, "with {mark} at hop {ttl}"),
            End::Silence(0) => write!(f, "in silence"),
            End::Silence(ttl) => write!(f, "in silence behind hop {ttl}"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Method { from, to } => write!(f, "probed by {to}, before by {from}"),
            Difference::Target { from, to } => write!(f, "to {to}, before to {from}"),
            Difference::Changed { ttl, from, to } => {
                write!(f, "hop {ttl}: {}, before {}", list(to), list(from))
            }
            Difference::Appeared { ttl, who } => {
                write!(
                    f,
                    "hop {ttl}: {}, which was not on the way before",
                    list(who)
                )
            }
            Difference::Gone { ttl, who } => {
                write!(f, "hop {ttl} before: {}, no longer on the way", list(who))
            }
            Difference::Silent { ttl, who, probes } => {
                write!(
                    f,
                    "hop {ttl}: silent to {probes} probes, before {}",
                    list(who)
                )
            }
            Difference::Speaks { ttl, who } => {
                write!(f, "hop {ttl}: {}, before silent", list(who))
            }
            Difference::End { from, to } => write!(f, "the way ends {to}; before {from}"),
            Difference::Rtt { ttl, rtt } => write!(
                f,
                "hop {ttl}: {:.3} ms mean of {}, before {:.3} ms of {}: {:+.3} ± {:.3} ms",
                rtt.now_ms,
                rtt.answers.1,
                rtt.before_ms,
                rtt.answers.0,
                rtt.now_ms - rtt.before_ms,
                rtt.uncertainty_ms
            ),
            Difference::Loss { ttl, loss } => write!(
                f,
                "hop {ttl}: {} of {} lost, before {} of {}: {:+.1} to {:+.1} %",
                loss.now.0,
                loss.now.1,
                loss.before.0,
                loss.before.1,
                loss.difference_pct.0,
                loss.difference_pct.1
            ),
            Difference::Explained { ttl, from, to } => write!(
                f,
                "hop {ttl}: its silence is {}, before {}",
                to.words(),
                from.words()
            ),
        }
    }
}

fn list(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "a silent router".to_owned();
    }
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

#[cfg(test)]
mod tests;
