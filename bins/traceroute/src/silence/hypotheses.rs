//! Which explanation of a hop's silence survives the experiments made on it.
//!
//! Each explanation says which of the experiments must lose alike, and which of them must lose next
//! to nothing. How likely the figures are, if that is so, follows from the numbers of answers alone
//! (the shares of loss are not known, so all are taken together, each as likely as Jeffreys' prior
//! for a share has it). One that explains the same with fewer shares is likelier: that is what tells
//! plain loss from a limit that happens to look like it.

use statrs::function::beta::ln_beta;

use super::Tally;

/// An explanation that is less probable is refuted.
const REFUTED: f64 = 0.1;
/// So probable must one be for an experiment to end before its time. Who asks after every few probes
/// whether they are enough is told so by chance sooner or later, so the bar is higher than at the end.
const SETTLED: f64 = 0.99;
/// Jeffreys' prior for a share of which nothing is known: half a loss and half an answer.
const UNKNOWN: (f64, f64) = (0.5, 0.5);
/// The prior for the share that is lost where nothing should be: one in a hundred or so.
const CLEAN: (f64, f64) = (0.5, 50.0);
/// How probable it is, before anything is known, that loss on the way to a hop is all that there is
/// on the way farther.
const NO_MORE_FARTHER: f64 = 0.8;

/// What the experiments on one hop came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Experiments {
    /// The same probes again, at a brisk pace.
    pub again: Tally,
    /// At the same pace and in the same flow, to a later hop.
    pub beyond: Option<Tally>,
    /// At the same pace, in each of several other flows that the same router answered.
    pub flows: Vec<Tally>,
    /// At the same pace, echo requests to the router itself; nothing if it answers none.
    pub directly: Option<Tally>,
    /// The same probes, slowly.
    pub slower: Tally,
}

/// An explanation of a hop's silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hypothesis {
    /// The router limits how often it answers: in any flow as seldom, but slowly always.
    RateLimit,
    /// The router answers some probes only, however slowly they come, and passes others on.
    OwnSilence,
    /// Probes are lost on the way, those to later hops and to the router itself as well.
    Loss,
    /// Probes of this flow are lost on the way, those of another are not.
    LossOfFlow,
}

impl Hypothesis {
    /// All of them.
    pub const ALL: [Hypothesis; 4] = [
        Hypothesis::RateLimit,
        Hypothesis::OwnSilence,
        Hypothesis::Loss,
        Hypothesis::LossOfFlow,
    ];
}

/// How probable each explanation is, of those that there are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// By explanation, in the order of [`Hypothesis::ALL`]; they add up to 1. Nothing where all was
    /// answered, so that there is nothing to explain.
    pub probabilities: Option<[f64; 4]>,
}

impl Verdict {
    /// The explanation that survives, if it is the only one.
    pub fn survivor(&self) -> Option<Hypothesis> {
        let all = Hypothesis::ALL.into_iter().zip(self.probabilities?);
        let mut surviving = all.filter(|(_, probability)| *probability >= REFUTED);
        let (survivor, _) = surviving.next()?;
        surviving.next().is_none().then_some(survivor)
    }

    /// Whether one explanation is so probable that no more probes are needed.
    pub fn is_settled(&self) -> bool {
        let is_enough = |probability: &f64| *probability >= SETTLED;
        self.probabilities
            .is_some_and(|all| all.iter().any(is_enough))
    }
}

impl Experiments {
    /// What they say.
    pub fn weigh(&self) -> Verdict {
        if self.again.lost() == 0 {
            return Verdict {
                probabilities: None,
            };
        }
        let likelihoods = Hypothesis::ALL.map(|it| self.ln_likelihood(it));
        let most = likelihoods.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let relative = likelihoods.map(|it| (it - most).exp());
        let sum: f64 = relative.iter().sum();
        Verdict {
            probabilities: Some(relative.map(|it| it / sum)),
        }
    }

    fn ln_likelihood(&self, hypothesis: Hypothesis) -> f64 {
        let Experiments { again, slower, .. } = *self;
        let flows: Tally = self.flows.iter().copied().fold(again, |sum, it| sum + it);
        let directly = self.directly.map_or(0.0, |it| ln_share(it, UNKNOWN));
        let beyond = self.beyond.map_or(0.0, |it| ln_share(it, UNKNOWN));
        match hypothesis {
            // Slowly, as little is lost as beyond, or nothing at all where that cannot be compared.
            Hypothesis::RateLimit => {
                if !slower.loses_less_than(again) {
                    return f64::NEG_INFINITY;
                }
                let clean = ln_share(slower, CLEAN) + beyond;
                let as_beyond = self.beyond.map(|it| ln_share(it + slower, UNKNOWN));
                let slowly = mean(&[Some((0.5, clean)), as_beyond.map(|it| (0.5, it))]);
                ln_share(flows, UNKNOWN) + slowly + directly
            }
            Hypothesis::OwnSilence => {
                if self.beyond.is_some_and(|it| !it.loses_less_than(again)) {
                    return f64::NEG_INFINITY;
                }
                ln_share(flows + slower, UNKNOWN) + beyond + directly
            }
            Hypothesis::Loss => self.lost_alike(flows + slower, self.directly),
            Hypothesis::LossOfFlow => {
                let mut best_first = self.flows.clone();
                best_first.sort_by(|one, other| one.share_lost().total_cmp(&other.share_lost()));
                let weight = 1.0 / best_first.len() as f64;
                let splits = (1..=best_first.len()).map(|clean| {
                    let (good, bad) = best_first.split_at(clean);
                    let good = good.iter().fold(Tally::default(), |sum, it| sum + *it);
                    if !good.loses_less_than(again) {
                        return None;
                    }
                    let bad = bad.iter().fold(again + slower, |sum, it| sum + *it);
                    let bad = self.lost_alike(bad, None);
                    Some((weight, ln_share(good, CLEAN) + bad + directly))
                });
                mean(&splits.collect::<Vec<_>>())
            }
        }
    }

    /// How likely it is that all these lose the same share, and what goes farther the same or more.
    fn lost_alike(&self, alike: Tally, directly: Option<Tally>) -> f64 {
        let farther: Vec<Tally> = [self.beyond, directly].into_iter().flatten().collect();
        let ways: Vec<Option<(f64, f64)>> = (0..1 << farther.len())
            .map(|apart: u32| {
                let is_apart = |at: &usize| apart & (1 << at) != 0;
                let together = (0..farther.len())
                    .filter(|at| !is_apart(at))
                    .fold(alike, |sum, at| sum + farther[at]);
                let mut likelihood = ln_share(together, UNKNOWN);
                let mut weight = 1.0;
                for (at, tally) in farther.iter().enumerate() {
                    if !is_apart(&at) {
                        weight *= NO_MORE_FARTHER;
                    } else if alike.loses_less_than(*tally) {
                        weight *= 1.0 - NO_MORE_FARTHER;
                        likelihood += ln_share(*tally, UNKNOWN);
                    } else {
                        return None;
                    }
                }
                Some((weight, likelihood))
            })
            .collect();
        mean(&ways)
    }
}

impl Tally {
    fn share_lost(self) -> f64 {
        self.lost() as f64 / self.sent.max(1) as f64
    }

    fn loses_less_than(self, other: Tally) -> bool {
        self.share_lost() < other.share_lost()
    }
}

/// The logarithm of the chance of exactly these losses and answers, one share being lost whose
/// prior is a beta distribution.
fn ln_share(tally: Tally, (lost, answered): (f64, f64)) -> f64 {
    ln_beta(tally.lost() as f64 + lost, tally.answered as f64 + answered) - ln_beta(lost, answered)
}

/// The logarithm of the mean of likelihoods, each given as its weight and its logarithm. What cannot
/// be is nothing, and takes a share of the weights all the same.
fn mean(ways: &[Option<(f64, f64)>]) -> f64 {
    let possible = || ways.iter().flatten();
    let most = possible().fold(f64::NEG_INFINITY, |most, way| most.max(way.1));
    if most == f64::NEG_INFINITY {
        return most;
    }
    let sum: f64 = possible()
        .map(|(weight, ln)| weight * (ln - most).exp())
        .sum();
    most + sum.ln()
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    const fn tally(answered: u64, sent: u64) -> Tally {
        Tally { sent, answered }
    }

    /// Again, beyond, flows, directly, slower, and what survives.
    type Case = (
        &'static str,
        Tally,
        Option<Tally>,
        [Tally; 4],
        Option<Tally>,
        Tally,
        Option<Hypothesis>,
    );

    const CASES: [Case; 10] = [
        (
            "a limit",
            tally(9, 60),
            Some(tally(60, 60)),
            [tally(3, 30); 4],
            Some(tally(60, 60)),
            tally(5, 5),
            Some(Hypothesis::RateLimit),
        ),
        (
            "a limit, and the router answers no echo requests",
            tally(9, 60),
            Some(tally(60, 60)),
            [tally(3, 30); 4],
            None,
            tally(5, 5),
            Some(Hypothesis::RateLimit),
        ),
        (
            "a limit at the last hop, or where all have one",
            tally(9, 60),
            Some(tally(8, 60)),
            [tally(3, 30); 4],
            Some(tally(60, 60)),
            tally(10, 10),
            Some(Hypothesis::RateLimit),
        ),
        (
            "a limit behind a way that loses 30 %",
            tally(8, 60),
            Some(tally(40, 60)),
            [tally(3, 30); 4],
            Some(tally(42, 60)),
            tally(14, 20),
            Some(Hypothesis::RateLimit),
        ),
        (
            "a router that answers half, fast or slow",
            tally(30, 60),
            Some(tally(60, 60)),
            [tally(15, 30); 4],
            Some(tally(60, 60)),
            tally(11, 20),
            Some(Hypothesis::OwnSilence),
        ),
        (
            "loss",
            tally(42, 60),
            Some(tally(40, 60)),
            [tally(21, 30), tally(20, 30), tally(23, 30), tally(21, 30)],
            Some(tally(43, 60)),
            tally(14, 20),
            Some(Hypothesis::Loss),
        ),
        (
            "loss, and more of it beyond",
            tally(42, 60),
            Some(tally(24, 60)),
            [tally(21, 30), tally(20, 30), tally(23, 30), tally(21, 30)],
            Some(tally(43, 60)),
            tally(14, 20),
            Some(Hypothesis::Loss),
        ),
        (
            "loss on the one of two ways that this flow takes",
            tally(31, 60),
            Some(tally(29, 60)),
            [tally(30, 30), tally(15, 30), tally(30, 30), tally(13, 30)],
            Some(tally(60, 60)),
            tally(10, 20),
            Some(Hypothesis::LossOfFlow),
        ),
        (
            "it does not come again",
            tally(60, 60),
            Some(tally(60, 60)),
            [tally(30, 30); 4],
            None,
            tally(0, 0),
            None,
        ),
        (
            "too little to tell",
            tally(58, 60),
            Some(tally(60, 60)),
            [tally(30, 30); 4],
            None,
            tally(5, 5),
            None,
        ),
    ];

    #[test]
    fn the_explanation_that_fits_all_experiments_survives() {
        for (name, again, beyond, flows, directly, slower, expected) in CASES {
            let experiments = Experiments {
                again,
                beyond,
                flows: flows.to_vec(),
                directly,
                slower,
            };
            let verdict = experiments.weigh();
            assert_eq!(verdict.survivor(), expected, "{name}: {verdict:?}");
        }
    }

    /// A router that answers every other probe answers five slow ones with 1/32, and nine or ten of
    /// ten with 11/1024: too often to be taken for a limit then. Ten of ten, 1/1024, are enough.
    #[test]
    fn an_experiment_ends_before_its_time_only_where_chance_hardly_ends_it() {
        for (slower, is_settled) in [
            (tally(5, 5), false),
            (tally(9, 10), false),
            (tally(10, 10), true),
            (tally(5, 10), true),
        ] {
            let experiments = Experiments {
                again: tally(30, 60),
                beyond: Some(tally(60, 60)),
                flows: vec![tally(15, 30); 4],
                directly: Some(tally(60, 60)),
                slower,
            };
            let verdict = experiments.weigh();
            assert_eq!(verdict.is_settled(), is_settled, "{slower:?}: {verdict:?}");
        }
        // Of a router that limits to one in seven, five say enough.
        let limit = Experiments {
            again: tally(9, 60),
            beyond: Some(tally(60, 60)),
            flows: vec![tally(3, 30); 4],
            directly: Some(tally(60, 60)),
            slower: tally(5, 5),
        };
        assert!(limit.weigh().is_settled(), "{:?}", limit.weigh());
    }

    /// Of a thousand ways that lose 30 %, most are named so, a few are left undecided, and next to none
    /// is taken for what it is not.
    #[test]
    fn loss_is_taken_for_something_else_no_more_often_than_is_allowed() {
        const RUNS: u64 = 1000;
        let (mut right, mut wrong) = (0, 0);
        for seed in 0..RUNS {
            let mut random = StdRng::seed_from_u64(seed);
            let mut probed = |sent: u64| {
                let answered = (0..sent).filter(|_| !random.random_bool(0.3)).count();
                tally(answered as u64, sent)
            };
            let experiments = Experiments {
                again: probed(60),
                beyond: Some(probed(60)),
                flows: vec![probed(30), probed(30), probed(30), probed(30)],
                directly: Some(probed(60)),
                slower: probed(20),
            };
            match experiments.weigh().survivor() {
                Some(Hypothesis::Loss) => right += 1,
                Some(_) => wrong += 1,
                None => {}
            }
        }
        eprintln!("of {RUNS}: {right} right, {wrong} wrong, the rest undecided");
        assert!(wrong <= RUNS / 100, "{wrong}");
        assert!(right >= RUNS * 85 / 100, "{right}");
    }
}
