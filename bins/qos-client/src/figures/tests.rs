use super::trace::{Answer, Departure};
use super::trust::{Conduct, limits, unsettled};
use super::*;
use netio::urgency::Urgency;
use netstats::quantile::P95;

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// Probes of 125 bytes sent every 10 ms from 1 s on, each answered after `rtts[i]` ms (`None`:
/// never), by a test that ended 5 s after its first probe.
fn trace(rtts: &[Option<u64>]) -> Trace {
    let sent: Vec<_> = (0..rtts.len() as u64).map(|i| ms(1000 + 10 * i)).collect();
    let mut answers: Vec<Answer> = (0..)
        .zip(rtts.iter().zip(&sent))
        .filter_map(|(sequence, (rtt, sent))| {
            let at = *sent + ms((*rtt)?);
            Some(Answer { sequence, at })
        })
        .collect();
    answers.sort_by_key(|answer| answer.at);
    let departure = |at| Some(Departure { at, bytes: 125 });
    Trace {
        sent: sent.into_iter().map(departure).collect(),
        answers,
        copies_not_kept: 0,
        loss_deadline: ms(2000),
        ended_at: ms(6000),
        warmup: 0,
    }
}

fn figures(trace: &Trace) -> Figures {
    Figures::of(trace, Carrier::Ipv4)
}

#[test]
fn the_figures_of_five_probes_are_those_worked_by_hand() {
    // RTT 20, 24, lost, 30, 26 ms. Mean 100/4. Consecutive pairs: 0→1 (4) and 3→4 (4).
    // Arrivals at 1020, 1034, 1060, 1066: 375 bytes after the first, in 46 ms; with 28 bytes of
    // headers 459, in Ethernet frames 513.
    // J by order of arrival: |D| = 4, 6, 4: 0.25, 0.609375, 0.8212890625 ms.
    let figures = figures(&trace(&[Some(20), Some(24), None, Some(30), Some(26)]));
    assert_eq!((figures.sent, figures.answered, figures.lost), (5, 4, 1));
    assert_eq!((figures.loss_pct, figures.loss_n), (Some(20.0), 5));
    assert_eq!(
        (figures.loss_runs.longest, figures.loss_runs.mean()),
        (1, Some(1.0))
    );
    assert_eq!(figures.rtt.mean(), Some(ms(25)));
    assert_eq!(figures.ipdv_abs_mean, Some(ms(4)));
    assert_eq!(figures.ipdv_n, 2);
    assert_eq!(figures.jitter, Some(Duration::from_nanos(821_289)));
    assert_eq!(figures.jitter_n, 3);
    assert_eq!(figures.achieved_bps, Some(375.0 * 8.0 / 0.046));
    assert_eq!(figures.goodput_bps, figures.achieved_bps);
    assert_eq!(figures.achieved_ip_bps, Some(459.0 * 8.0 / 0.046));
    assert_eq!(figures.achieved_frame_bps, Some(513.0 * 8.0 / 0.046));
    assert_eq!(figures.sent_bps, Some(500.0 * 8.0 / 0.040));
    assert_eq!(figures.rtt.quantile(P95), None);
    // 20 % by chance, 12.5 ms one way: R = 93.2 − 95·20/(20 + 25.1) = 51.07.
    let voice = figures.voice.unwrap();
    assert!((voice.r_factor - 51.071).abs() < 1e-3, "{voice:?}");
    assert!((voice.burst_ratio - 1.0).abs() < 1e-12, "{voice:?}");
}

#[test]
fn a_late_answer_is_a_loss_and_is_in_no_delay() {
    let figures = figures(&trace(&[Some(20), Some(2001), Some(2000), Some(20)]));
    assert_eq!((figures.answered, figures.late, figures.lost), (3, 1, 0));
    assert_eq!(figures.loss_pct, Some(25.0));
    assert_eq!(figures.rtt.max(), Some(ms(2000)));
    assert_eq!(figures.rtt.n(), 3);
}

#[test]
fn a_probe_in_flight_when_the_test_is_ended_is_not_a_loss() {
    let mut trace = trace(&[Some(20), None, None, None]);
    // The second was sent at 1010 ms: its deadline has just passed. The others' have not.
    trace.ended_at = ms(3010);
    let figures = figures(&trace);
    assert_eq!((figures.lost, figures.in_flight), (1, 2));
    assert_eq!(figures.loss_pct, Some(50.0));
}

#[test]
fn the_loss_of_a_test_that_is_ended_is_that_of_the_probes_that_had_their_time() {
    // Every tenth of 100 is lost, one is sent every 50 ms, and the user ends it 5 s after the
    // first: the 60 older than the deadline of 2 s lost 6. The others lost 4, nobody knows yet.
    let rtts: Vec<_> = (1..=100).map(|nth| (nth % 10 != 0).then_some(1)).collect();
    let mut trace = trace(&rtts);
    let at = |place: u32| ms(1000 + 50 * u64::from(place));
    for (sent, place) in trace.sent.iter_mut().zip(0..) {
        *sent = sent.map(|sent| Departure {
            at: at(place),
            ..sent
        });
    }
    for answer in &mut trace.answers {
        answer.at = at(answer.sequence) + ms(1);
    }
    trace.ended_at = ms(5999);
    let figures = figures(&trace);
    assert_eq!(
        (figures.answered, figures.lost, figures.in_flight),
        (90, 6, 4)
    );
    assert_eq!((figures.loss_pct, figures.loss_n), (Some(10.0), 60));
    assert_eq!(figures.rtt.n(), 90);
}

#[test]
fn what_this_machine_dropped_is_not_network_loss() {
    let mut trace = trace(&[Some(20), Some(20), Some(20)]);
    trace.sent[1] = None;
    trace.answers.remove(1);
    let figures = figures(&trace);
    assert_eq!((figures.sent, figures.lost), (2, 0));
    assert_eq!(figures.loss_pct, Some(0.0));
}

#[test]
fn further_copies_change_the_rate_and_nothing_else() {
    let once = trace(&[Some(20), Some(20), Some(20)]);
    let mut twice = once.clone();
    // Copies of the second, 30 and 50 ms after it was sent: at 1040 and 1060.
    for at in [1040, 1060] {
        let copy = Answer {
            sequence: 1,
            at: ms(at),
        };
        twice.answers.push(copy);
    }
    let (once, twice) = (figures(&once), figures(&twice));
    assert_eq!((twice.duplicates, twice.replicated), (2, 1));
    assert_eq!((twice.answered, twice.rtt.n(), twice.reordered), (3, 3, 0));
    assert_eq!((&twice.rtt, twice.jitter), (&once.rtt, once.jitter));
    assert_eq!(twice.goodput_bps, Some(250.0 * 8.0 / 0.020));
    assert_eq!(twice.achieved_bps, Some(500.0 * 8.0 / 0.040));
}

#[test]
fn no_figure_has_the_warm_up() {
    let mut warm = trace(&[None, Some(900), Some(20), Some(24), Some(30)]);
    warm.warmup = 2;
    warm.answers.push(Answer {
        sequence: 1,
        at: ms(1990),
    });
    let warm = figures(&warm);
    assert_eq!((warm.sent, warm.lost, warm.duplicates), (3, 0, 0));
    assert_eq!(warm.rtt.max(), Some(ms(30)));
    assert_eq!((warm.ipdv_n, warm.jitter_n), (2, 2));
    // 125 bytes every 10 ms; received at 1040, 1054, 1070.
    assert_eq!(warm.sent_bps, Some(250.0 * 8.0 / 0.020));
    assert_eq!(warm.achieved_bps, Some(250.0 * 8.0 / 0.030));
}

#[test]
fn who_is_overtaken_is_reordered_by_so_many_arrivals() {
    // The first takes 35 ms and arrives behind the three after it.
    let figures = figures(&trace(&[Some(35), Some(1), Some(1), Some(1), Some(1)]));
    assert_eq!((figures.reordered, figures.reorder_extent_max), (1, 3));
}

#[test]
fn of_packets_that_no_ethernet_frame_holds_only_the_payload_rate_is_known() {
    let mut trace = trace(&[Some(20), Some(20)]);
    for sent in trace.sent.iter_mut().flatten() {
        sent.bytes = 1473;
    }
    let figures = figures(&trace);
    assert!(figures.achieved_bps.is_some());
    assert_eq!(
        (figures.achieved_ip_bps, figures.achieved_frame_bps),
        (None, None)
    );
}

#[test]
fn a_run_that_the_machine_itself_spoilt_says_so() {
    let figures = figures(&trace(&[Some(20); 100]));
    let pacing = |error: u64| Conduct {
        pacing_error: Summary::of(vec![Duration::from_micros(error); 100]),
        ..Conduct::default()
    };
    for (conduct, said) in [
        (pacing(1), None),
        (pacing(5000), Some("pacing error is as large")),
        (
            Conduct {
                urgency: Some(Urgency::RealTime),
                ..pacing(5000)
            },
            Some("the delay variation measured"),
        ),
        (
            Conduct {
                urgency: Some(Urgency::Ordinary),
                ..pacing(5000)
            },
            Some("which takes root or CAP_SYS_NICE"),
        ),
        (
            Conduct {
                urgency: Some(Urgency::RealTime),
                stolen: Some(Duration::from_millis(180)),
                ..pacing(5000)
            },
            Some("variation measured: the hypervisor took 180 ms of this machine's processors"),
        ),
        (
            Conduct {
                local_drops: 3,
                ..pacing(1)
            },
            Some("dropped 3 packets before sending"),
        ),
        (
            Conduct {
                receive_drops: 2,
                ..pacing(1)
            },
            Some("dropped 2 answers"),
        ),
        (
            Conduct {
                missed_slots: 2,
                ..pacing(1)
            },
            Some("2 of 100 packets were sent a whole interval late"),
        ),
    ] {
        let limits = limits(&figures, &conduct);
        assert_eq!(limits.len(), usize::from(said.is_some()), "{limits:?}");
        if let Some(said) = said {
            assert!(limits[0].contains(said), "{limits:?}");
        }
    }
}

#[test]
fn what_the_sample_does_not_settle_is_said_with_the_packets_that_would() {
    let few = unsettled(&figures(&trace(&[Some(20); 10])));
    assert_eq!(
        few[0],
        "p95 needs 20 answers; p99 needs 100 answers; the RFC 3550 jitter settles after 73"
    );
    // Wilson of 0 in 10: z²/(10 + z²) = 27.75 %.
    assert_eq!(
        few[1],
        "no loss in 10 packets leaves room for 27.75 %; 381 without one would show that it is below 1 %"
    );
    assert_eq!(unsettled(&figures(&trace(&[Some(20); 400]))), [""; 0]);
    // One of 100: 3.841459·0.99/(0.01·0.0625) = 6084.9.
    let mut one_lost = vec![Some(20); 100];
    one_lost[50] = None;
    let said = unsettled(&figures(&trace(&one_lost)));
    assert!(said[1].contains("some 6085 packets"), "{said:?}");
}
