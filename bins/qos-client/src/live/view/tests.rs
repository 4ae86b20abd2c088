//! What is drawn, of events that a test makes up.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use crate::live::standing::Standing;
use crate::udp::Plan;
use crate::udp::running::News;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// 100 probes of 128 bytes, one every 100 ms from the tenth second on, lost after a second.
fn plan() -> Plan {
    let plan = Plan::default().with_packets(100);
    plan.and_then(|plan| plan.with_loss_deadline(ms(1000)))
        .unwrap()
}

fn sent_at(sequence: u32) -> Duration {
    ms(10_000) + ms(100) * sequence
}

/// Each round trip in milliseconds; 0 for none.
fn standing(plan: &Plan, trips: &[u64]) -> Standing {
    let mut standing = Standing::new("udp a:1".to_owned(), plan);
    for (sequence, trip) in (0..).zip(trips) {
        let at = sent_at(sequence);
        standing.take(News::Sent {
            at,
            late_by: Duration::from_micros(2),
            bytes: 128,
        });
        if *trip > 0 {
            let at = at + ms(*trip);
            standing.take(News::Answered { sequence, at });
        }
    }
    standing
}

fn drawn(standing: &Standing, width: u16, height: u16) -> (Vec<String>, TestBackend) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| frame.render_widget(standing, frame.area()))
        .unwrap();
    let backend = terminal.backend().clone();
    let buffer = backend.buffer();
    let row = |y| {
        (0..width)
            .map(|x| buffer[(x, y)].symbol())
            .collect::<String>()
    };
    let rows = (0..height).map(|y| row(y).trim_end().to_owned()).collect();
    (rows, backend)
}

#[test]
fn round_trips_are_columns_and_losses_stand_out_below_them() {
    // 4 ms, 8 ms, lost, 2 ms; then two that are on their way.
    let mut standing = standing(&plan(), &[4, 8, 0, 2, 0, 0]);
    standing.settle(sent_at(2) + ms(1000), 0);
    let (rows, backend) = drawn(&standing, 100, 12);
    // The highest is 8 ms over 4 rows of 8 eighths: 4 ms are 16 of them, 2 ms are 8. The interval
    // of one loss in four is Wilson's: (0.25 + 1.9207/4 ± 1.96·√(0.1875/4 + 3.8415/64)) / 1.9604,
    // which is 4.56 to 69.94 %. Jitter by hand: |D| is 4 ms, then 6 ms; 4/16 = 0.25, then
    // 0.25 + (6 − 0.25)/16 = 0.609375.
    assert_eq!(
        rows,
        [
            "udp a:1: 100 packets of 128 bytes, one every 100ms",
            // Six of a hundred of what the label leaves of the width.
            &format!("1 s: 6 of 100 sent, 3 answered ━━━━{}", "─".repeat(65)),
            "loss 25.00 %   1 of 4 decided; 95 % sure: 4.56 to 69.94 %",
            "RTT p50 4.000 ms  p99 –  max 8.000 ms   jitter 0.609 ms (RFC 3550)   of the last 3 answers",
            // The bits of two of them, between the first at 4 ms and the last at 302 ms.
            "6.87 kbit/s of payload came back   pacing error p50 2.0 µs, worst 2.0 µs; slots missed: 0",
            "",
            "  8.000 ms  █x",
            "            █x",
            "           ██x",
            "           ██x█",
            "       lost  1 ..",
            super::LEGEND[..100].trim_end(),
        ]
    );
    let column = backend.buffer()[(13, 7)].style().fg;
    assert_eq!(column, Some(Color::Red));
}

#[test]
fn a_loss_is_decided_by_the_deadline_and_a_late_answer_does_not_take_it_back() {
    let mut standing = standing(&plan(), &[4, 0, 4]);
    let text = |standing: &Standing| drawn(standing, 100, 12).0.join("\n");
    standing.settle(sent_at(1) + ms(999), 0);
    // The third waits for the second, so that a loss is not told too small meanwhile.
    assert!(text(&standing).contains("0 of 1 decided"));
    standing.settle(sent_at(1) + ms(1000), 0);
    assert!(text(&standing).contains("1 of 3 decided"));
    standing.take(News::Answered {
        sequence: 1,
        at: sent_at(1) + ms(1500),
    });
    standing.settle(sent_at(1) + ms(1600), 0);
    let text = text(&standing);
    assert!(
        text.contains("1 of 3 decided") && text.contains("3 answered"),
        "{text}"
    );
}

#[test]
fn the_warm_up_is_progress_and_no_figure() {
    let plan = plan().with_warmup(2).unwrap();
    let mut standing = standing(&plan, &[0, 900, 4, 4]);
    standing.settle(sent_at(3) + ms(1000), 0);
    let text = drawn(&standing, 100, 12).0.join("\n");
    assert!(text.contains("4 of 102 sent, 3 answered"), "{text}");
    assert!(text.contains("0 of 2 decided"), "{text}");
    assert!(text.contains("p50 4.000 ms  p99 –  max 4.000 ms"), "{text}");
}

#[test]
fn what_this_machine_did_not_let_out_is_its_own_and_no_loss() {
    let mut standing = standing(&plan(), &[4, 4]);
    standing.take(News::Unsent);
    standing.settle(sent_at(60), 0);
    let text = drawn(&standing, 100, 12).0.join("\n");
    assert!(
        text.contains("0 of 2 decided")
            && text.contains("measurement-limited: this machine dropped 1 packets"),
        "{text}"
    );
}

#[test]
fn every_size_is_drawn_into() {
    let mut standing = standing(&plan(), &[4, 8, 0, 2, 0, 0]);
    standing.settle(sent_at(2) + ms(1000), 0);
    for width in (1..40).step_by(3) {
        for height in 1..15 {
            let (rows, _) = drawn(&standing, width, height);
            assert_eq!(rows.len(), usize::from(height));
        }
    }
}

#[test]
fn a_test_longer_than_the_screen_shows_its_end_and_figures_of_its_latest_answers() {
    let plan = plan().with_packets(5000).unwrap();
    // The first half takes 9 ms, the second 3.
    let trips: Vec<u64> = (0..5000).map(|i| if i < 2500 { 9 } else { 3 }).collect();
    let mut standing = standing(&plan, &trips);
    standing.settle(sent_at(5000), 0);
    let (rows, _) = drawn(&standing, 100, 12);
    let full: usize = 100 - usize::from(super::LABEL_WIDTH);
    assert_eq!(
        rows[6],
        format!("  3.000 ms {}", "█".repeat(full)),
        "{rows:?}"
    );
    assert!(rows[3].contains("max 3.000 ms"), "{rows:?}");
    assert!(rows[3].contains("of the last 1000 answers"), "{rows:?}");
    assert!(rows[2].contains("0 of 5000 decided"), "{rows:?}");
}
