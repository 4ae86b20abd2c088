//! Random numbers that can be asked for by number: each draw is a function of a key and an index, so
//! that the fate of a datagram depends on nothing but its number.
//!
//! The function is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
//! generators", OOPSLA 2014), whose n-th output is a mix of `key + n·γ`.

/// The golden gamma of SplitMix64.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a draw decides. Each has a sequence of its own, so that one more fault in the order changes
/// nothing about the others: the datagrams lost at `loss=1%` are the same with and without jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Loss,
    LossState,
    Corrupt,
    CorruptedBit,
    Duplicate,
    Reorder,
    Jitter,
    JitterOfCopy,
    Latency,
    Fail,
}

/// The draws of one sequence of datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Draws {
    key: u64,
}

impl Draws {
    /// Those of all sequences that `path` tells apart, under one seed.
    pub(crate) fn new(seed: u64, path: impl IntoIterator<Item = u64>) -> Draws {
        let descend = |key, step| split_mix_64(split_mix_64(key, 0), step);
        Draws {
            key: path.into_iter().fold(seed, descend),
        }
    }

    /// The draw for one purpose and one datagram: any 64 bits.
    pub(crate) fn bits(self, purpose: Purpose, number: u64) -> u64 {
        split_mix_64(split_mix_64(self.key, purpose as u64), number)
    }

    /// The same as a fraction, at least 0 and below 1.
    pub(crate) fn fraction(self, purpose: Purpose, number: u64) -> f64 {
        /// As many bits as the mantissa of an f64 holds.
        const BITS: u32 = 53;
        (self.bits(purpose, number) >> (u64::BITS - BITS)) as f64 / (1_u64 << BITS) as f64
    }

    /// Whether what has this probability happens.
    pub(crate) fn happens(self, what: Probability, purpose: Purpose, number: u64) -> bool {
        // Most faults are not ordered, and cost no draw.
        what.percent > 0.0 && self.fraction(purpose, number) < what.as_fraction()
    }
}

/// Output `index`, from 0, of SplitMix64 seeded with `seed`.
fn split_mix_64(seed: u64, index: u64) -> u64 {
    mix(seed.wrapping_add(index.wrapping_add(1).wrapping_mul(GAMMA)))
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// How probable something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Probability {
    percent: f64,
}

impl Probability {
    /// Always.
    pub const ONE: Probability = Probability { percent: 100.0 };

    /// None if that is not within 0 to 100.
    pub fn of_percent(percent: f64) -> Option<Probability> {
        (0.0..=100.0)
            .contains(&percent)
            .then_some(Probability { percent })
    }

    /// From 0 to 100.
    pub fn as_percent(self) -> f64 {
        self.percent
    }

    /// From 0 to 1.
    pub fn as_fraction(self) -> f64 {
        self.percent / 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_draws_are_those_of_splitmix64() {
        // The published outputs for the seed 1234567 (Rosetta Code, "Pseudo-random
        // numbers/Splitmix64").
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        for (index, expected) in (0..).zip(published) {
            assert_eq!(split_mix_64(1_234_567, index), expected);
        }
    }

    #[test]
    fn every_part_of_the_path_and_every_purpose_has_draws_of_its_own() {
        let paths: [(u64, &[u64]); 7] = [
            (1, &[]),
            (1, &[0]),
            (1, &[0, 0]),
            (1, &[0, 1]),
            (1, &[1, 0]),
            (2, &[0, 0]),
            (0, &[1, 0]),
        ];
        let mut seen = std::collections::HashSet::new();
        for (seed, path) in paths {
            let draws = Draws::new(seed, path.iter().copied());
            for purpose in [Purpose::Loss, Purpose::Jitter] {
                for number in 0..100 {
                    let bits = draws.bits(purpose, number);
                    assert!(seen.insert(bits), "{seed} {path:?} {purpose:?} {number}");
                }
            }
        }
    }

    #[test]
    fn what_is_certain_always_happens_and_what_is_impossible_never() {
        let draws = Draws::new(7, []);
        for number in 0..10_000 {
            assert!(draws.happens(Probability::ONE, Purpose::Loss, number));
            assert!(!draws.happens(Probability::default(), Purpose::Loss, number));
        }
    }
}
