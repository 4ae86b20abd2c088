use super::*;
use crate::udp::record::Answer;
use crate::udp::{Plan, Run};

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// Probes sent every 10 ms from 1 s on, each answered after `rtts[i]` ms (`None`: never), by a
/// test that ended 5 s after its first probe.
fn record(rtts: &[Option<u64>]) -> Record {
    let plan = Plan::default()
        .with_packets(rtts.len() as u64)
        .and_then(|plan| plan.with_payload(125))
        .and_then(|plan| plan.with_interval(ms(10)))
        .unwrap();
    let sent: Vec<_> = (0..rtts.len() as u64).map(|i| ms(1000 + 10 * i)).collect();
    let mut arrivals: Vec<Answer> = (0..)
        .zip(rtts.iter().zip(&sent))
        .filter_map(|(sequence, (rtt, sent))| {
            let at = *sent + ms((*rtt)?);
            Some(Answer { sequence, at })
        })
        .collect();
    arrivals.sort_by_key(|answer| answer.at);
    Record {
        address: ([127, 0, 0, 1], 9).into(),
        plan,
        run: Run { id: 1 },
        sent_at: sent.into_iter().map(Some).collect(),
        arrivals,
        duplicates: 0,
        reordered: 0,
        corrupt: 0,
        strays: 0,
        refusals: 0,
        local_drops: 0,
        pacing_errors: vec![Duration::ZERO; rtts.len()],
        missed_slots: 0,
        interrupted: false,
        ended_at: ms(6000),
    }
}

#[test]
fn the_figures_of_five_probes_are_those_worked_by_hand() {
    // RTT 20, 24, lost, 30, 26 ms. Mean 100/4. Consecutive pairs: 0→1 (4) and 3→4 (4).
    // Arrivals at 1020, 1034, 1060, 1066: 375 bytes after the first, in 46 ms.
    // J by order of arrival: |D| = 4, 6, 4: 0.25, 0.609375, 0.8212890625 ms.
    let figures = Figures::of(&record(&[Some(20), Some(24), None, Some(30), Some(26)]));
    assert_eq!((figures.sent, figures.answered, figures.lost), (5, 4, 1));
    assert_eq!(figures.loss_pct, Some(20.0));
    assert_eq!(
        (figures.loss_run_max, figures.loss_run_mean),
        (1, Some(1.0))
    );
    assert_eq!(figures.rtt.mean(), Some(ms(25)));
    assert_eq!(figures.ipdv_abs_mean, Some(ms(4)));
    assert_eq!(figures.ipdv_n, 2);
    assert_eq!(figures.jitter, Some(Duration::from_nanos(821_289)));
    assert_eq!(figures.jitter_n, 3);
    assert_eq!(figures.throughput_bps, Some(375.0 * 8.0 / 0.046));
    assert_eq!(figures.offered_bps, Some(500.0 * 8.0 / 0.040));
    assert_eq!(figures.rtt.quantile(P95), None);
}

#[test]
fn a_late_answer_is_a_loss_and_is_in_no_delay() {
    let figures = Figures::of(&record(&[Some(20), Some(2001), Some(2000), Some(20)]));
    assert_eq!((figures.answered, figures.late, figures.lost), (3, 1, 0));
    assert_eq!(figures.loss_pct, Some(25.0));
    assert_eq!(figures.rtt.max(), Some(ms(2000)));
    assert_eq!(figures.rtt.n(), 3);
}

#[test]
fn a_probe_in_flight_when_the_test_is_ended_is_not_a_loss() {
    let mut record = record(&[Some(20), None, None, None]);
    // The second was sent at 1010 ms: its deadline has just passed. The others' have not.
    record.ended_at = ms(3010);
    record.interrupted = true;
    let figures = Figures::of(&record);
    assert_eq!((figures.lost, figures.in_flight), (1, 2));
    assert_eq!(figures.loss_pct, Some(50.0));
    assert!(
        figures.notes[0].contains("2 still in flight"),
        "{:?}",
        figures.notes
    );
}

#[test]
fn what_this_machine_dropped_is_not_network_loss() {
    let mut record = record(&[Some(20), Some(20), Some(20)]);
    record.sent_at[1] = None;
    record.arrivals.remove(1);
    record.local_drops = 1;
    let figures = Figures::of(&record);
    assert_eq!((figures.sent, figures.lost), (2, 0));
    assert_eq!(figures.loss_pct, Some(0.0));
    assert!(
        figures.notes[0].starts_with("measurement-limited"),
        "{:?}",
        figures.notes
    );
}
