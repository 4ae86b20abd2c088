use super::*;
use crate::impair::Direction;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn percent(percent: f64) -> Probability {
    Probability::of_percent(percent).unwrap()
}

#[test]
fn terms_hold_for_both_directions_until_one_is_named() {
    let text = "delay=40ms loss=1% to-client: loss=5% rate=2mbit to-target: delay=10ms";
    let impairment: Impairment = text.parse().unwrap();
    assert_eq!(
        impairment.to_target,
        Faults {
            delay: ms(10),
            loss: Some(Loss::Independent(percent(1.0))),
            ..Faults::default()
        }
    );
    assert_eq!(
        impairment.to_client,
        Faults {
            delay: ms(40),
            loss: Some(Loss::Independent(percent(5.0))),
            rate: Some(LinkRate {
                bits_per_second: 2_000_000,
                queue_bytes: 65_536,
                queue_datagrams: 1000,
            }),
            ..Faults::default()
        }
    );
    assert_eq!(impairment.of(Direction::ToClient).delay, ms(40));
}

#[test]
fn every_fault_can_be_written() {
    let cases = [
        (
            "delay=1s jitter=250us distribution=paretonormal",
            Faults {
                delay: ms(1000),
                jitter: Some(Jitter {
                    spread: Duration::from_micros(250),
                    distribution: Distribution::ParetoNormal,
                }),
                ..Faults::default()
            },
        ),
        (
            "delay=20ms jitter=20ms",
            Faults {
                delay: ms(20),
                jitter: Some(Jitter {
                    spread: ms(20),
                    distribution: Distribution::Uniform,
                }),
                ..Faults::default()
            },
        ),
        (
            "gemodel=1%,25%",
            Faults {
                loss: Some(Loss::Bursts(GilbertElliott {
                    good_to_bad: percent(1.0),
                    bad_to_good: percent(25.0),
                    loss_in_bad: percent(100.0),
                    loss_in_good: percent(0.0),
                })),
                ..Faults::default()
            },
        ),
        (
            "gemodel=1%,25%,70%,0.1% duplicate=2% corrupt=0.5%",
            Faults {
                loss: Some(Loss::Bursts(GilbertElliott {
                    good_to_bad: percent(1.0),
                    bad_to_good: percent(25.0),
                    loss_in_bad: percent(70.0),
                    loss_in_good: percent(0.1),
                })),
                duplicate: percent(2.0),
                corrupt: percent(0.5),
                ..Faults::default()
            },
        ),
        (
            "delay=10ms reorder=25% gap=5",
            Faults {
                delay: ms(10),
                reorder: Some(Reorder {
                    probability: percent(25.0),
                    gap: 5,
                }),
                ..Faults::default()
            },
        ),
        (
            "rate=1.5mbit queue=10KiB queue-datagrams=7",
            Faults {
                rate: Some(LinkRate {
                    bits_per_second: 1_500_000,
                    queue_bytes: 10_240,
                    queue_datagrams: 7,
                }),
                ..Faults::default()
            },
        ),
        ("delay=0ms loss=0%", Faults::default()),
    ];
    for (text, faults) in cases {
        let impairment: Impairment = text.parse().unwrap();
        assert_eq!(impairment.to_target, faults, "{text}");
        assert_eq!(impairment.to_client, faults, "{text}");
    }
}

#[test]
fn what_is_written_reads_back_as_the_same() {
    for text in [
        "delay=40ms",
        "delay=1500us jitter=1us distribution=uniform loss=0.7%",
        "to-client: loss=12.5%",
        "to-target: gemodel=1%,25%,100%,0% to-client: corrupt=0.001%",
        "delay=1s duplicate=2% corrupt=3% reorder=50% gap=3 rate=10kbit queue=1000B queue-datagrams=9",
        "rate=1001bit",
    ] {
        let Ok(impairment) = text.parse::<Impairment>() else {
            // Below the least rate.
            assert_eq!(text, "rate=1001bit");
            continue;
        };
        assert_eq!(impairment.to_string(), text);
        let again: Impairment = impairment.to_string().parse().unwrap();
        assert_eq!(again, impairment, "{text}");
    }
    assert_eq!(Impairment::default().to_string(), "");
}

/// Each text, and what is told of it.
fn assert_told(cases: &[(&str, &str)]) {
    for (text, told) in cases {
        let parsed: Result<Impairment, String> = text.parse();
        assert_eq!(parsed.unwrap_err(), *told, "{text}");
    }
}

#[test]
fn a_mistake_is_told_in_one_line_with_its_cure() {
    assert_told(&[
        ("", "nothing is ordered; give a fault, such as delay=40ms"),
        (
            "to-client:",
            "nothing is ordered; give a fault, such as delay=40ms",
        ),
        (
            "delay",
            "'delay': expected NAME=VALUE, such as delay=40ms or loss=1%",
        ),
        (
            "to-server: delay=1ms",
            "'to-server:': expected NAME=VALUE, such as delay=40ms or loss=1%",
        ),
        (
            "los=1%",
            "there is no fault 'los'; there are delay, jitter, distribution, loss, gemodel, duplicate, \
             reorder, gap, corrupt, rate, queue, queue-datagrams",
        ),
        (
            "delay=40",
            "delay=40: expected a time, such as 40ms, 250us or 1s",
        ),
        (
            "delay=-1ms",
            "delay=-1ms: expected a time, such as 40ms, 250us or 1s",
        ),
        ("delay=61s", "delay=61s: expected at most 60 s"),
        (
            "loss=1",
            "loss=1: expected a percentage from 0% to 100%, such as 1%",
        ),
        (
            "loss=101%",
            "loss=101%: expected a percentage from 0% to 100%, such as 1%",
        ),
        (
            "loss=NaN%",
            "loss=NaN%: expected a percentage from 0% to 100%, such as 1%",
        ),
        (
            "loss=-0.1%",
            "loss=-0.1%: expected a percentage from 0% to 100%, such as 1%",
        ),
        ("loss=1% loss=2%", "loss is given twice; leave one out"),
        (
            "loss=1% gemodel=1%,2%",
            "loss and gemodel exclude each other; leave one out",
        ),
        (
            "gemodel=1%",
            "gemodel=1%: expected P,R[,1-H[,1-K]], such as 1%,25% or 1%,25%,70%,0.1%",
        ),
        (
            "gemodel=1%,2%,3%,4%,5%",
            "gemodel=1%,2%,3%,4%,5%: expected P,R[,1-H[,1-K]], such as 1%,25% or 1%,25%,70%,0.1%",
        ),
    ]);
}

#[test]
fn faults_that_do_not_go_together_are_told_in_one_line_with_the_cure() {
    assert_told(&[
        (
            "jitter=5ms",
            "jitter needs delay, as it varies the delay; add delay=…",
        ),
        (
            "delay=5ms jitter=6ms",
            "jitter=6ms is more than delay=5ms, and nothing can arrive before it was sent; raise delay \
             or lower jitter",
        ),
        (
            "delay=5ms jitter=1ms distribution=gauss",
            "distribution=gauss: expected one of uniform, normal, pareto, paretonormal",
        ),
        (
            "reorder=5%",
            "reorder needs delay, as what is not held overtakes what is; add delay=…",
        ),
        (
            "delay=5ms reorder=5% gap=0",
            "gap=0: expected a number from 1 to 1000000",
        ),
        (
            "rate=2",
            "rate=2: expected a rate from 10kbit to 1000gbit, such as 2mbit",
        ),
        (
            "rate=9kbit",
            "rate=9kbit: expected a rate from 10kbit to 1000gbit, such as 2mbit",
        ),
        (
            "rate=2mbit queue=big",
            "queue=big: expected a size, such as 64KiB",
        ),
        (
            "queue=1KiB",
            "queue needs rate, as it is what waits for the link; add rate=…",
        ),
        (
            "rate=10kbit queue=1MiB",
            "a queue of 1.0 MiB takes 838 s to empty at rate=10kbit, and at most 60 s are allowed; \
             lower queue or raise rate",
        ),
    ]);
}
