//! What is drawn agrees with what was ordered. The seeds are fixed, so a test passes always or
//! never; each bound is one that a fair schedule keeps for 999 of 1,000 seeds at least.

use std::time::Duration;

use super::*;
use crate::impair::Impairment;

const DATAGRAMS: u64 = 200_000;
/// The two-sided bound of a normal deviate at 99.9 %.
const Z: f64 = 3.2905;
/// The upper bound of chi-square with 7 degrees of freedom at 99.9 %.
const CHI_SQUARE_7: f64 = 24.322;

fn faults(text: &str) -> Faults {
    text.parse::<Impairment>().unwrap().to_target
}

fn fates(seed: u64, session: u64, text: &str, count: u64) -> Vec<Fate> {
    let faults = faults(text);
    let mut schedule = Schedule::new(seed, session, Direction::ToTarget);
    (0..count).map(|_| schedule.next(&faults)).collect()
}

fn passages(text: &str) -> Vec<Passage> {
    let fates = fates(7, 0, text, DATAGRAMS);
    fates.into_iter().filter_map(passage).collect()
}

fn passage(fate: Fate) -> Option<Passage> {
    match fate {
        Fate::Passed(passage) => Some(passage),
        Fate::Lost => None,
    }
}

fn lost(fates: &[Fate]) -> Vec<bool> {
    fates.iter().map(|fate| *fate == Fate::Lost).collect()
}

/// Holds `count` of `of` against what is expected of independent draws.
fn assert_binomial(count: usize, of: usize, probability: f64, what: &str) {
    let (count, of) = (count as f64, of as f64);
    let expected = of * probability;
    let bound = Z * (expected * (1.0 - probability)).sqrt();
    assert!(
        (count - expected).abs() <= bound,
        "{what}: {count} of {of}, {expected} ± {bound} expected"
    );
}

/// Holds the counts of 8 equally probable classes against each other.
fn assert_even(counts: [usize; 8], what: &str) {
    let expected = counts.iter().sum::<usize>() as f64 / 8.0;
    let terms = counts.map(|count| (count as f64 - expected).powi(2) / expected);
    let chi_square: f64 = terms.iter().sum();
    assert!(
        chi_square < CHI_SQUARE_7,
        "{what}: {counts:?}, chi-square {chi_square}"
    );
}

#[test]
fn the_fate_of_a_datagram_depends_on_seed_session_direction_and_number_alone() {
    let text = "delay=40ms jitter=5ms loss=10% duplicate=10% corrupt=10%";
    let first = fates(7, 0, text, 1000);
    assert_eq!(first, fates(7, 0, text, 1000));
    assert_ne!(first, fates(8, 0, text, 1000));
    assert_ne!(first, fates(7, 1, text, 1000));
    let faults = faults(text);
    let mut other_way = Schedule::new(7, 0, Direction::ToClient);
    let other_way: Vec<_> = (0..1000).map(|_| other_way.next(&faults)).collect();
    assert_ne!(first, other_way);
}

#[test]
fn one_more_fault_changes_nothing_about_the_others() {
    let plain = fates(7, 0, "loss=5%", 5000);
    let more = fates(
        7,
        0,
        "loss=5% delay=40ms jitter=5ms duplicate=5% corrupt=5%",
        5000,
    );
    assert_eq!(lost(&plain), lost(&more));
    let delays = |text| {
        let passages = fates(7, 0, text, 5000).into_iter().filter_map(passage);
        passages.map(|passage| passage.delay).collect::<Vec<_>>()
    };
    assert_eq!(
        delays("delay=40ms jitter=5ms"),
        delays("delay=40ms jitter=5ms duplicate=5% corrupt=5%")
    );
}

#[test]
fn as_many_are_lost_as_ordered_and_each_by_itself() {
    for percent in [0.1, 1.0, 5.0, 50.0] {
        let text = format!("loss={percent}%");
        let lost = lost(&fates(7, 0, &text, DATAGRAMS));
        let probability = percent / 100.0;
        let count = lost.iter().filter(|lost| **lost).count();
        assert_binomial(count, lost.len(), probability, &text);
        // Of those after a lost one as many are lost as of all.
        let after: Vec<_> = lost.windows(2).filter(|pair| pair[0]).collect();
        let again = after.iter().filter(|pair| pair[1]).count();
        assert_binomial(again, after.len(), probability, &text);
    }
    let all = lost(&fates(7, 0, "loss=100%", 1000));
    assert!(all.iter().all(|lost| *lost));
}

#[test]
fn what_one_session_loses_says_nothing_of_another() {
    let [first, second] = [0, 1].map(|session| lost(&fates(7, session, "loss=20%", DATAGRAMS)));
    let both = first.iter().zip(&second).filter(|(a, b)| **a && **b);
    assert_binomial(both.count(), first.len(), 0.04, "lost of both");
}

#[test]
fn burst_loss_has_the_share_and_the_run_lengths_of_the_chain() {
    // p = 1 %, r = 25 %: of all, p/(p+r) = 1/26 are lost, in runs of 1/r = 4 on average. A run is
    // geometric: longer than n with probability 0.75^n. The bounds below cut it into classes of
    // known share.
    let lost = lost(&fates(7, 0, "gemodel=1%,25%", DATAGRAMS));
    let mut runs = Vec::new();
    for same in lost.chunk_by(|a, b| a == b).filter(|same| same[0]) {
        runs.push(same.len());
    }
    let share = lost.iter().filter(|lost| **lost).count() as f64 / lost.len() as f64;
    // A chain of two states has (1 + λ)/(1 − λ) times the variance of independent draws, with
    // λ = 1 − p − r = 0.74: 6.69 times.
    let expected = 1.0 / 26.0;
    let deviation = (expected * (1.0 - expected) * 6.69 / lost.len() as f64).sqrt();
    assert!((share - expected).abs() < Z * deviation, "{share}");
    for (longer_than, probability) in [(1, 0.75), (2, 0.5625), (4, 0.316_406), (8, 0.100_113)] {
        let longer = runs.iter().filter(|run| **run > longer_than).count();
        let what = format!("runs longer than {longer_than}");
        assert_binomial(longer, runs.len(), probability, &what);
    }
    // The deviation of one geometric run is sqrt(1 − r)/r = 3.4641.
    let mean = runs.iter().sum::<usize>() as f64 / runs.len() as f64;
    let bound = Z * 3.4641 / (runs.len() as f64).sqrt();
    assert!((mean - 4.0).abs() < bound, "{mean} ± {bound}");
}

#[test]
fn both_states_of_burst_loss_lose_as_they_are_told() {
    // The chain is bad for 10/(10+40) = 1/5 of the time: 0.2 × 50 % + 0.8 × 5 % = 14 %.
    let lost = lost(&fates(7, 0, "gemodel=10%,40%,50%,5%", DATAGRAMS));
    let share = lost.iter().filter(|lost| **lost).count() as f64 / lost.len() as f64;
    // At most (1 + λ)/(1 − λ) = 3 times the variance of independent draws, with λ = 0.5.
    let deviation = (0.14 * 0.86 * 3.0 / lost.len() as f64).sqrt();
    assert!((share - 0.14).abs() < Z * deviation, "{share}");
    // It begins in the good state, where nothing is lost here; it never leaves it.
    let good = fates(7, 0, "gemodel=0%,40%,100%,0%", 1000);
    assert!(!lost_any(&good));
}

fn lost_any(fates: &[Fate]) -> bool {
    fates.contains(&Fate::Lost)
}

#[test]
fn the_jitter_has_the_distribution_that_is_ordered() {
    // Seven bounds that cut each distribution into eight equally probable parts, in spreads from
    // the delay: by hand for the uniform one, for the others between entries 512 and 513, 1024 and
    // 1025, … 3584 and 3585 of the tables of iproute2 6.1.
    let bounds = [
        ("uniform", [-0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75]),
        (
            "normal",
            [
                -1.15082, -0.67480, -0.31891, -0.00031, 0.31836, 0.67419, 1.14984,
            ],
        ),
        (
            "pareto",
            [
                -0.60602, -0.53253, -0.44061, -0.32025, -0.15125, 0.11621, 0.66577,
            ],
        ),
        (
            "paretonormal",
            [
                -0.74213, -0.56805, -0.41016, -0.24023, -0.03381, 0.25562, 0.78674,
            ],
        ),
    ];
    for (name, bounds) in bounds {
        let text = format!("delay=100ms jitter=10ms distribution={name}");
        let mut counts = [0; 8];
        for passage in passages(&text) {
            let spreads = (passage.delay.as_secs_f64() - 0.1) / 0.01;
            counts[bounds.iter().filter(|bound| **bound < spreads).count()] += 1;
        }
        assert_even(counts, name);
    }
}

#[test]
fn one_draw_of_jitter_says_nothing_of_the_next() {
    let mut counts = [0; 8];
    let delays: Vec<_> = passages("delay=100ms jitter=10ms")
        .into_iter()
        .map(|passage| passage.delay)
        .collect();
    let ms = Duration::from_millis;
    // Each of three neighbours is early or late.
    for three in delays.chunks_exact(3) {
        let class = three
            .iter()
            .fold(0, |class, delay| 2 * class + usize::from(*delay > ms(100)));
        counts[class] += 1;
    }
    assert_even(counts, "neighbours");
}

#[test]
fn as_many_are_doubled_and_damaged_as_ordered() {
    let passages = passages("delay=20ms jitter=10ms duplicate=2% corrupt=3%");
    let doubled: Vec<_> = passages
        .iter()
        .filter(|passage| passage.copy.is_some())
        .collect();
    assert_binomial(doubled.len(), passages.len(), 0.02, "duplicate");
    let apart = doubled
        .iter()
        .filter(|passage| passage.copy != Some(passage.delay));
    assert_eq!(
        apart.count(),
        doubled.len(),
        "a copy has a delay of its own"
    );
    let bits: Vec<_> = passages
        .iter()
        .filter_map(|passage| passage.corrupted_bit)
        .collect();
    assert_binomial(bits.len(), passages.len(), 0.03, "corrupt");
    let mut counts = [0; 8];
    for bit in bits {
        // The bits of a datagram of 100 bytes, in eight parts.
        counts[(bit % 800 / 100) as usize] += 1;
    }
    assert_even(counts, "the bit that is turned over");
}

#[test]
fn what_overtakes_is_not_held_and_keeps_the_gap() {
    let overtaking = |text| -> Vec<u64> {
        let passages = (0..).zip(passages(text));
        passages
            .filter(|(_, passage)| {
                assert_eq!(passage.reordered, passage.delay.is_zero());
                passage.reordered
            })
            .map(|(number, _)| number)
            .collect()
    };
    let every = overtaking("delay=10ms reorder=100% gap=5");
    assert!(every.iter().copied().eq((4..DATAGRAMS).step_by(5)));
    let each = overtaking("delay=10ms reorder=25%");
    assert_binomial(each.len(), DATAGRAMS as usize, 0.25, "reorder=25%");
    // Two that are held, then a fair coin until it falls: every fourth on average. The deviation
    // of the distance is that of the coin's tosses, sqrt(0.5)/0.5.
    let gaps = overtaking("delay=10ms reorder=50% gap=3");
    assert!(gaps.windows(2).all(|pair| pair[1] - pair[0] >= 3));
    let mean = (gaps[gaps.len() - 1] - gaps[0]) as f64 / (gaps.len() - 1) as f64;
    let bound = Z * std::f64::consts::SQRT_2 / (gaps.len() as f64).sqrt();
    assert!((mean - 4.0).abs() < bound, "{mean} ± {bound}");
}
