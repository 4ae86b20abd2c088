use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Who answers which of the probes that reach him.
#[derive(Debug, Clone, Copy)]
enum Router {
    /// As Linux does with this `icmp_ratelimit`.
    Linux { ratelimit: Duration },
    /// This share of the probes, by chance.
    Answers(f64),
}

/// The tokens of a peer, as `inet_peer_xrlim_allow` keeps them (net/ipv4/inetpeer.c of Linux): time
/// since the last error, no more than six times the limit, and an error costs the limit.
struct Peer {
    tokens: Duration,
    last: Duration,
}

impl Peer {
    fn allow(&mut self, now: Duration, limit: Duration) -> bool {
        let now = now.max(self.last);
        self.tokens = (self.tokens + now.saturating_sub(self.last)).min(limit * 6);
        self.last = now;
        let allowed = self.tokens >= limit;
        if allowed {
            self.tokens -= limit;
        }
        allowed
    }
}

/// What a hop's probes come to: `count` of them, one each `pace` give or take `jitter`, of which
/// the way there and back loses a share.
fn probed(router: Router, count: u32, pace: Duration, lost: f64, random: &mut StdRng) -> Record {
    let begun = Instant::now();
    let mut record = Record::default();
    let mut peer = Peer {
        // What an earlier run has left, of 2 s three and a bit.
        tokens: ms(6100),
        last: Duration::ZERO,
    };
    for number in 0..count {
        let sent = pace * number;
        let jitter = Duration::from_micros(random.random_range(0..3000));
        let arrives = !random.random_bool(lost);
        let answered = arrives
            && match router {
                Router::Linux { ratelimit } => peer.allow(sent + jitter, ratelimit),
                Router::Answers(share) => random.random_bool(share),
            };
        record.add(begun + sent, answered);
    }
    record
}

/// What is found at the second of these hops, as one word.
fn found(routers: &[Router], lost: &[f64], count: u32, pace: Duration, seed: u64) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(seed);
    let records: Vec<(u8, Record)> = (1..)
        .zip(routers.iter().zip(lost))
        .map(|(ttl, (router, lost))| (ttl, probed(*router, count, pace, *lost, &mut random)))
        .collect();
    let hops: Vec<(u8, &Record)> = records.iter().map(|(ttl, it)| (*ttl, it)).collect();
    let word = |silence: Silence| {
        let word = match (silence.bucket, silence.beyond) {
            (Some(_), Some(_)) => "limited",
            (Some(_), None) => "limited by its order",
            (None, _) => "own silence",
        };
        format!("{} {word}", silence.ttl)
    };
    judge(&hops).into_iter().map(word).collect()
}

const SURE: Router = Router::Answers(1.0);
const LIMITED: Router = Router::Linux {
    ratelimit: ms(1000),
};
const SLOW: Router = Router::Linux {
    ratelimit: ms(2000),
};

/// Name, routers, the share that is lost on the way to each, how many probes, how fast, what is
/// found.
type Case = (
    &'static str,
    &'static [Router],
    &'static [f64],
    u32,
    Duration,
    &'static [&'static str],
);

#[test]
fn each_silence_is_taken_for_what_it_is() {
    let cases: &[Case] = &[
        (
            "a limit, and later hops answer",
            &[SURE, LIMITED, SURE],
            &[0.0; 3],
            60,
            ms(250),
            &["2 limited"],
        ),
        (
            "a limit, and loss beyond it",
            &[SURE, LIMITED, SURE, SURE],
            &[0.0, 0.0, 0.3, 0.3],
            60,
            ms(200),
            &["2 limited"],
        ),
        (
            "loss on the way to the second hop, and so to all behind it",
            &[SURE; 4],
            &[0.0, 0.3, 0.3, 0.3],
            60,
            ms(250),
            &[],
        ),
        (
            "loss beyond the second hop",
            &[SURE; 4],
            &[0.0, 0.0, 0.3, 0.3],
            60,
            ms(250),
            &[],
        ),
        (
            "a router that answers when it likes",
            &[SURE, Router::Answers(0.5), SURE],
            &[0.0; 3],
            60,
            ms(250),
            &["2 own silence"],
        ),
        (
            "six answers: what an earlier run has left, and a long interval",
            &[SURE, SLOW, SURE],
            &[0.0; 3],
            50,
            ms(100),
            &["2 limited"],
        ),
        (
            "limits everywhere",
            &[LIMITED; 3],
            &[0.0; 3],
            60,
            ms(200),
            &[
                "1 limited by its order",
                "2 limited by its order",
                "3 limited by its order",
            ],
        ),
        (
            "ten probes at once: a burst, then nothing",
            &[
                SURE, LIMITED, SURE, SURE, SURE, SURE, SURE, SURE, SURE, SURE,
            ],
            &[0.0; 10],
            10,
            ms(0),
            &["2 limited"],
        ),
        (
            "three probes prove nothing",
            &[SURE, Router::Answers(0.3), SURE, SURE],
            &[0.0; 4],
            3,
            ms(0),
            &[],
        ),
        (
            "a router that never answers is no riddle",
            &[SURE, Router::Answers(0.0), SURE],
            &[0.0; 3],
            60,
            ms(250),
            &[],
        ),
        (
            "slower than the limit",
            &[SURE, LIMITED, SURE],
            &[0.0; 3],
            60,
            ms(1010),
            &[],
        ),
    ];
    for (name, routers, lost, count, pace, expected) in cases {
        assert_eq!(found(routers, lost, *count, *pace, 7), *expected, "{name}");
    }
}

/// Of 200 paths that lose 30 %, none passes for one with a limited router, and of 200 limited
/// routers each is found, beside loss beyond it and without. A finding by chance is allowed
/// once in a thousand hops with a later one, and of these one in a hundred would be called limited.
#[test]
fn limits_and_loss_are_told_apart_by_their_figures() {
    const RUNS: u64 = 200;
    let mut wrong = [0; 4];
    for seed in 0..RUNS {
        let lossy = [0.0, 0.3, 0.3, 0.3];
        let on_the_way = found(&[SURE; 4], &lossy, 60, ms(250), seed);
        wrong[0] += usize::from(!on_the_way.is_empty());
        let is_limited = |it: &String| it.contains("limited");
        wrong[1] += usize::from(on_the_way.iter().any(is_limited));
        let beyond = [0.0, 0.0, 0.3, 0.3];
        for (count, lost) in [(2, &beyond), (3, &[0.0; 4])] {
            let limited = found(&[SURE, LIMITED, SURE, SURE], lost, 60, ms(250), seed);
            let at_its_hop = limited.len() == 1 && limited[0].starts_with("2 limited");
            wrong[count] += usize::from(!at_its_hop);
        }
    }
    eprintln!(
        "of {RUNS}: {wrong:?} loss called own silence, limited; limits missed with loss, without"
    );
    assert!(wrong[0] <= 3, "{wrong:?}");
    assert_eq!(wrong[1..], [0, 0, 0], "{wrong:?}");
}

/// The chance that is told must be the chance that there is: of routers that are silent by chance,
/// no more than the share that is allowed may pass for limited ones.
#[test]
fn a_disorder_passes_for_a_bucket_no_more_often_than_is_allowed() {
    const RUNS: u64 = 500;
    for (share, pace, count) in [(0.3, ms(250), 40), (0.5, ms(1000), 20), (0.8, ms(0), 10)] {
        let passed = (0..RUNS)
            .filter(|seed| {
                let routers = [Router::Answers(share)];
                let mut random = StdRng::seed_from_u64(*seed);
                let record = probed(routers[0], count, pace, 0.0, &mut random);
                Bucket::of(&record.outcomes()).is_some_and(|it| it.chance < DISORDER_IS_UNLIKELY)
            })
            .count();
        // 1 % of 500 is 5, and three standard deviations are 6.7.
        assert!(passed <= 11, "{passed} at {share}");
    }
}

#[test]
fn the_figures_are_those_of_hand_arithmetic() {
    let tally = |answered, sent| Tally { sent, answered };
    // Three of three lost beside none of three: one of the C(6, 3) = 20 ways.
    let chance = tally(0, 3).chance_beside(tally(3, 3));
    assert!((chance - 0.05).abs() < 1e-9, "{chance}");
    // Fisher's tea: 3 of 4 beside 1 of 4 is (16 + 1) / 70.
    let chance = tally(1, 4).chance_beside(tally(3, 4));
    assert!((chance - 17.0 / 70.0).abs() < 1e-9, "{chance}");
    assert!((tally(5, 5).chance_beside(tally(3, 9)) - 1.0).abs() < 1e-9);
    // Six answers and then four silences, all at once: one of C(10, 4) = 210 orders.
    let now = Instant::now();
    let outcome = |at, answered| Outcome {
        sent: now + ms(at),
        answered,
    };
    let burst: Vec<Outcome> = (0..10).map(|at| outcome(0, at < 6)).collect();
    let bucket = Bucket::of(&burst).unwrap();
    assert_eq!((bucket.burst, bucket.gaps), (6, None));
    assert!((bucket.chance - 1.0 / 210.0).abs() < 1e-9, "{bucket:?}");
    // Two at once, then 900, 1100 and 1000 ms apart.
    let times = [0, 100, 1000, 1900, 3000, 4000];
    let steady: Vec<Outcome> = (0..=40)
        .map(|step| outcome(step * 100, times.contains(&(step * 100))))
        .collect();
    let bucket = Bucket::of(&steady).unwrap();
    assert_eq!(bucket.burst, 2);
    let gaps = bucket.gaps.unwrap();
    assert_eq!(
        (gaps.mean, gaps.least, gaps.most),
        (ms(1000), ms(900), ms(1100))
    );
}
