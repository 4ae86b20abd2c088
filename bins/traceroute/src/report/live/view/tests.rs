use std::time::Instant;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::mark::Mark;
use crate::probe::{Heard, Told};
use crate::prober::Prober;
use crate::rounds::{Plan, Rounds};
use crate::session::Waits;

/// Four cycles over three hops: the first answers after 1, 2, 4 and 8 ms; the second loses the
/// second probe and answers from another address in the last cycle; the third is the target, and
/// its last probe is still on its way.
fn rounds() -> Rounds {
    let begun = Instant::now();
    let mut rounds = Rounds::new(Plan {
        first_ttl: 1,
        max_ttl: 3,
        cycles: None,
        interval: Duration::from_secs(1),
        waits: Waits::default(),
        packet_len: 60,
        gap: 3,
    });
    let answers = |ttl: u8, cycle: u32| match (ttl, cycle) {
        (1, cycle) => Some(([10, 0, 0, 2], 1 << cycle)),
        (2, 1) | (3, 3) => None,
        (2, 3) => Some(([10, 0, 9, 2], 3)),
        (2, _) => Some(([10, 0, 1, 2], 3)),
        _ => Some(([10, 0, 2, 2], 12)),
    };
    for cycle in 0..4 {
        for hop in 1..=3 {
            let now =
                begun + Duration::from_secs(u64::from(cycle)) + Duration::from_millis(hop * 300);
            let probe = rounds.poll_send(now).unwrap();
            rounds.on_sent(now);
            let Some((from, ms)) = answers(probe.ttl, cycle) else {
                continue;
            };
            let arrived = probe.ttl == 3;
            rounds.on_answer(Heard {
                number: probe.number,
                from: from.into(),
                mark: if arrived {
                    Mark::Arrived
                } else {
                    Mark::Passing
                },
                at: now + Duration::from_millis(ms),
                told: Told::default(),
            });
        }
    }
    // A second after the last probe of the lost one's cycle and less than one after the last.
    while rounds
        .poll_event(begun + Duration::from_millis(3_950))
        .is_some()
    {}
    rounds
}

fn lines(rounds: &Rounds) -> Vec<Line> {
    let mut lines = Vec::new();
    for (ttl, hop) in rounds.hops() {
        let host = hop.address().map_or("*".to_owned(), |it| it.to_string());
        let others: Vec<Line> = hop.addresses()[..hop.addresses().len() - 1]
            .iter()
            .map(|seen| Line::Also {
                host: seen.address.to_string(),
                answers: seen.answers,
            })
            .collect();
        let hop = Box::new(hop.clone());
        lines.push(Line::Hop {
            ttl,
            host,
            silence: None,
            hop,
        });
        lines.extend(others);
    }
    lines
}

fn view<'a>(lines: &'a [Line], changes: &'a [String], choices: Choices) -> View<'a> {
    View {
        title: "traceroute to h (10.0.2.2) by udp, 60 byte packets",
        clock: "05:47:03 UTC",
        elapsed: Duration::from_secs(3_723),
        cycle: 4,
        is_paused: false,
        lines,
        changes,
        choices,
    }
}

fn drawn(view: &View<'_>, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| frame.render_widget(view, frame.area()))
        .unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| {
        (0..width)
            .map(|x| buffer[(x, y)].symbol())
            .collect::<String>()
    };
    (0..height).map(|y| row(y).trim_end().to_owned()).collect()
}

#[test]
fn every_hop_has_its_figures_its_addresses_and_its_last_probes() {
    let lines = lines(&rounds());
    let changes = ["05:47:02 UTC, after 3.3 s: hop 2 changed".to_owned()];
    let shown = drawn(&view(&lines, &changes, Choices::default()), 90, 10);
    // By hand: of 1, 2, 4 and 8 the mean is 15/4, the squared distances sum to 28.75 and the
    // changes are 1, 2 and 4. Of the longest, 8 ms, they are 1, 2, 4 and 8 eighths.
    assert_eq!(
        shown,
        [
            "traceroute to h (10.0.2.2) by udp, 60 byte packets                            05:47:03 UTC",
            "cycle 4, after 1:02:03",
            "   Host             Loss%   Snt   Last    Avg   Best   Wrst  StDev Jitter History",
            " 1 10.0.0.2          0.0%     4  8.000  3.750  1.000  8.000  3.096  2.333             ▁▂▄█",
            " 2 10.0.9.2         25.0%     4  3.000  3.000  3.000  3.000  0.000  0.000             █x██",
            "     10.0.1.2      answered 2",
            " 3 10.0.2.2          0.0%     3  12.00  12.00  12.00  12.00  0.000  0.000             ███.",
            "",
            "05:47:02 UTC, after 3.3 s: hop 2 changed",
            "q quit   p pause   r reset   n names   ? help",
        ]
    );
}

#[test]
fn every_size_is_drawn_into_with_and_without_help() {
    let lines = lines(&rounds());
    let changes = vec!["changed".to_owned(); 9];
    for help in [false, true] {
        for first_line in [0, 2, 1_000] {
            let view = view(&lines, &changes, Choices { help, first_line });
            for width in (1..100).step_by(9) {
                for height in (1..20).step_by(3) {
                    assert_eq!(drawn(&view, width, height).len(), usize::from(height));
                }
            }
        }
    }
}

#[test]
fn a_narrow_terminal_keeps_the_host_and_the_loss() {
    let lines = lines(&rounds());
    let shown = drawn(&view(&lines, &[], Choices::default()), 48, 8);
    assert_eq!(
        shown[2..5],
        [
            "   Host             Loss%   Snt   Last History",
            " 1 10.0.0.2          0.0%     4  8.000      ▁▂▄█",
            " 2 10.0.9.2         25.0%     4  3.000      █x██",
        ]
    );
    assert!(shown[1].starts_with("cycle 4"), "{shown:?}");
}

#[test]
fn what_says_that_a_loss_is_none_is_never_cut_off() {
    let mut lines = lines(&rounds());
    for line in &mut lines {
        if let Line::Hop {
            ttl: 2,
            host,
            silence,
            ..
        } = line
        {
            "a-router-of-a-long-name.example".clone_into(host);
            *silence = Some("[rate limit]");
        }
    }
    for (width, expected) in [
        (
            110,
            " 2 a-router-of-a-long-name.example [rate limit]  25.0%",
        ),
        (60, " 2 a-router-of-a-lo… [rate limit]  25.0%"),
        (40, " 2 a-r… [rate limit]  25.0%"),
    ] {
        let shown = drawn(&view(&lines, &[], Choices::default()), width, 8);
        assert!(shown[4].starts_with(expected), "{width}: {:?}", shown[4]);
    }
}

#[test]
fn more_lines_than_there_is_room_for_are_moved_through() {
    let lines = lines(&rounds());
    let at = |first_line| {
        let choices = Choices {
            first_line,
            ..Choices::default()
        };
        drawn(&view(&lines, &[], choices), 60, 6)
    };
    let [first, second] = [at(0), at(1)];
    assert!(first[1].ends_with("lines 1 to 2 of 4: ↑ ↓"), "{first:?}");
    assert!(first[3].starts_with(" 1 10.0.0.2"), "{first:?}");
    assert!(second[3].starts_with(" 2 10.0.9.2"), "{second:?}");
    // Past the end there is nothing: the last lines stay.
    assert!(at(99)[4].starts_with(" 3 10.0.2.2"), "{:?}", at(99));
}

#[test]
fn figures_have_four_digits() {
    for (ms, text) in [
        (0.031, "0.031"),
        (9.9994, "9.999"),
        (9.9996, "10.00"),
        (99.994, "99.99"),
        (99.996, "100.0"),
        (999.96, "1000"),
        (12_345.6, "12346"),
    ] {
        assert_eq!(four_digits(ms), text);
    }
}
