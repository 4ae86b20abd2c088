//! What the UDP test measures, held against what an echo was told to do.
//!
//! Counts must agree exactly. Times must lie at or above what was ordered, and within [`SLACK`] of
//! it: the machine that runs the tests may be busy with others.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Stdio;
use std::time::{Duration, Instant};

use qos_client::figures::Figures;
use qos_client::figures::trace::Answer;
use qos_client::interrupt::Interrupt;
use qos_client::target::{Endpoint, Service, Unreachable};
use qos_client::udp::{Measurement, Pace, Pattern, Plan, Record, Run, Test};
use rustix::process::{Pid, Signal, kill_process};

use crate::client;
use crate::echo::{Copy, Echo, after_ms};

/// How much later than ordered a figure may be on a busy machine.
const SLACK: Duration = Duration::from_millis(25);

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

fn plan(packets: u64, interval: Duration) -> Plan {
    let plan = Plan::default().with_packets(packets).unwrap();
    let plan = plan.with_interval(interval).unwrap();
    plan.with_loss_deadline(ms(400)).unwrap()
}

fn to(address: SocketAddr) -> Endpoint {
    Endpoint {
        service: Service::Udp,
        host: address.ip().to_string(),
        port: address.port(),
    }
}

fn test(address: SocketAddr, plan: &Plan) -> Result<Record, Unreachable> {
    run(address, plan, &Interrupt::manual())
}

fn run(address: SocketAddr, plan: &Plan, interrupt: &Interrupt) -> Result<Record, Unreachable> {
    let test = Test {
        endpoint: &to(address),
        plan,
        run: Run::new(),
        pace: Pace::Exact,
        interrupt,
    };
    test.measure(&mut |_| {})
}
fn times_sent(record: &Record) -> Vec<Duration> {
    let sent = record.trace.sent.iter();
    sent.map(|sent| sent.unwrap().at).collect()
}

fn measured(echo: &Echo, plan: &Plan) -> Measurement {
    Measurement::of(test(echo.address, plan).unwrap())
}

fn figures(echo: &Echo, plan: &Plan) -> Figures {
    measured(echo, plan).figures
}

#[test]
fn every_loss_is_counted_and_nothing_else() {
    // 10 of 40: 4 and 5 of every 8, in runs of two; the last, 39, is 7 of its eight.
    let lost = |sequence: u32| sequence % 8 == 4 || sequence % 8 == 5;
    let echo = Echo::start(
        move |sequence| {
            if lost(sequence) { vec![] } else { after_ms(0) }
        },
    );
    let figures = figures(&echo, &plan(40, ms(2)));
    assert_eq!((figures.sent, figures.answered, figures.lost), (40, 30, 10));
    assert_eq!(figures.loss_pct, Some(25.0));
    assert_eq!(
        (figures.loss_runs.longest, figures.loss_runs.mean()),
        (2, Some(2.0))
    );
    // Wilson 95 % of 10 in 40, by hand: (0.25 + 0.048018 ± 0.142596)/1.096036.
    let interval = figures.loss_ci_pct.unwrap();
    assert!((interval.low - 14.187).abs() < 0.01, "{interval:?}");
    assert!((interval.high - 40.194).abs() < 0.01, "{interval:?}");
    assert_eq!(
        (figures.duplicates, figures.reordered, figures.late),
        (0, 0, 0)
    );
}

#[test]
fn a_constant_delay_is_the_round_trip_and_no_jitter() {
    let echo = Echo::start(|_| after_ms(30));
    let measured = measured(&echo, &plan(20, ms(10)));
    let figures = &measured.figures;
    assert_eq!(figures.loss_pct, Some(0.0));
    assert!(figures.rtt.min().unwrap() >= ms(30));
    assert!(figures.rtt.mean().unwrap() < ms(30) + SLACK, "{figures:?}");
    assert!(figures.ipdv_abs_mean.unwrap() < SLACK);
    assert!(figures.jitter.unwrap() < SLACK);
    // 19 datagrams of 128 bytes after the first, in the time from the first answer to the last.
    let at = |answer: Option<&Answer>| answer.unwrap().at;
    let answers = &measured.record.trace.answers;
    let span = at(answers.last()).abs_diff(at(answers.first()));
    let seconds = 19.0 * 128.0 * 8.0 / figures.goodput_bps.unwrap();
    assert!((seconds - span.as_secs_f64()).abs() < 1e-6, "{seconds}");
    assert!(span.abs_diff(ms(190)) < 4 * SLACK, "{span:?}");
}

#[test]
fn a_delay_that_alternates_is_jitter_of_the_step() {
    // 10 ms, 40 ms, 10 ms, …: every |ΔRTT| is 30 ms, so RFC 3550's J after n differences is
    // 30·(1 − (15/16)^n).
    let echo = Echo::start(|sequence| after_ms(if sequence % 2 == 0 { 10 } else { 40 }));
    let figures = figures(&echo, &plan(20, ms(120)));
    assert_eq!((figures.answered, figures.reordered), (20, 0));
    let ipdv = figures.ipdv_abs_mean.unwrap();
    assert!(ipdv.abs_diff(ms(30)) < SLACK, "{ipdv:?}");
    assert_eq!(figures.ipdv_n, 19);
    let settled = ms(30).mul_f64(1.0 - (15.0_f64 / 16.0).powi(19));
    let jitter = figures.jitter.unwrap();
    assert!(jitter.abs_diff(settled) < SLACK, "{jitter:?} {settled:?}");
}

#[test]
fn a_link_of_half_the_rate_halves_what_is_achieved_and_not_what_is_offered() {
    // 128 bytes every 4 ms are offered; the link lets one out every 8 ms, so each waits 4 ms longer
    // than the one before.
    let echo = Echo::start(|sequence| after_ms(4 * u64::from(sequence)));
    let figures = figures(&echo, &plan(50, ms(4)));
    assert_eq!((figures.answered, figures.reordered), (50, 0));
    let offered = figures.offered_bps.unwrap();
    assert!((offered - 256_000.0).abs() < 1e-6, "{offered}");
    // 49 packets after the first, in 392 ms.
    let achieved = figures.achieved_bps.unwrap();
    let took = Duration::from_secs_f64(49.0 * 1024.0 / achieved);
    assert!(took.abs_diff(ms(392)) < SLACK, "{achieved}");
    // The last waited longest.
    let longest = figures.rtt.max().unwrap();
    assert!((ms(196)..ms(196) + SLACK).contains(&longest), "{longest:?}");
}

#[test]
fn duplicates_are_counted_apart_and_change_no_other_figure() {
    let echo = Echo::start(|sequence| match sequence % 5 {
        0 => [after_ms(0), after_ms(1), after_ms(2)].concat(),
        _ => after_ms(0),
    });
    let figures = figures(&echo, &plan(25, ms(5)));
    assert_eq!((figures.answered, figures.duplicates), (25, 10));
    assert_eq!((figures.reordered, figures.rtt.n()), (0, 25));
    assert_eq!(figures.loss_pct, Some(0.0));
}

#[test]
fn packets_that_are_overtaken_are_counted_as_reordered() {
    // Held for 50 ms, 2.5 intervals: each of the three is overtaken by the two behind it.
    let echo = Echo::start(|sequence| {
        after_ms(if [3, 9, 15].contains(&sequence) {
            50
        } else {
            0
        })
    });
    let figures = figures(&echo, &plan(20, ms(20)));
    assert_eq!((figures.answered, figures.reordered), (20, 3));
    assert_eq!((figures.lost, figures.duplicates), (0, 0));
}

#[test]
fn an_answer_after_the_deadline_is_late_and_in_no_delay() {
    let echo = Echo::start(|sequence| after_ms(if sequence == 2 { 600 } else { 0 }));
    let figures = figures(&echo, &plan(50, ms(20)));
    assert_eq!((figures.answered, figures.late, figures.lost), (49, 1, 0));
    assert_eq!(figures.loss_pct, Some(2.0));
    assert!(figures.rtt.max().unwrap() < ms(400));
}

#[test]
fn a_damaged_answer_is_no_answer() {
    let damaged = |after| {
        vec![Copy {
            after,
            damaged: true,
        }]
    };
    let echo = Echo::start(move |sequence| match sequence {
        1 | 2 => damaged(Duration::ZERO),
        _ => after_ms(0),
    });
    let measured = measured(&echo, &plan(10, ms(5)));
    let figures = &measured.figures;
    assert_eq!((figures.lost, figures.answered), (2, 8));
    assert_eq!(measured.record.corrupt, 2);
}

#[test]
fn sending_never_waits_for_an_answer() {
    let echo = Echo::start(|_| after_ms(300));
    let record = test(echo.address, &plan(50, ms(2))).unwrap();
    let sent = times_sent(&record);
    let spread = sent.last().unwrap().abs_diff(sent[0]);
    // 49 intervals of 2 ms, while every answer takes 300 ms.
    assert!(spread.abs_diff(ms(98)) < ms(50), "{spread:?}");
    assert_eq!(Measurement::of(record).figures.answered, 50);
}

#[test]
fn a_delay_in_sending_does_not_shift_the_schedule() {
    let echo = Echo::start(|_| after_ms(0));
    let record = test(echo.address, &plan(200, ms(1))).unwrap();
    assert_eq!(record.pacing_errors.len(), 200);
    // Each deadline is absolute, so the last packet is as late as the machine was then and not as
    // late as all its delays together.
    let sent = times_sent(&record);
    let first_slot = sent[0].abs_diff(record.pacing_errors[0]);
    for (i, (at, error)) in (0..).zip(sent.iter().zip(&record.pacing_errors)) {
        assert_eq!(first_slot + ms(1) * i + *error, *at, "packet {i}");
    }
}

#[test]
fn a_test_in_which_all_is_answered_does_not_wait_for_the_deadline() {
    let echo = Echo::start(|_| after_ms(0));
    let plan = plan(5, ms(5))
        .with_loss_deadline(Duration::from_secs(30))
        .unwrap();
    let begun = Instant::now();
    assert_eq!(figures(&echo, &plan).answered, 5);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_closed_port_is_refused_at_once() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let begun = Instant::now();
    let error = test(address, &plan(1000, ms(100))).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("nothing listens on udp {address}; is a server running there?")
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn silence_is_an_error_and_not_a_loss_of_100_percent() {
    let echo = Echo::start(|_| vec![]);
    let error = test(echo.address, &plan(3, ms(5))).unwrap_err().to_string();
    let expected = format!(
        "nothing came back from udp {}: 3 probes sent, waited 400ms after the last",
        echo.address
    );
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn a_target_that_ends_during_the_test_gives_a_result_that_says_so() {
    let echo = Echo::start(|_| after_ms(0));
    let (address, plan) = (echo.address, plan(60, ms(10)));
    let running = std::thread::spawn(move || test(address, &plan).unwrap());
    std::thread::sleep(ms(250));
    drop(echo);
    let measured = Measurement::of(running.join().unwrap());
    let figures = &measured.figures;
    assert_eq!(figures.sent, 60);
    assert!(figures.answered >= 5 && figures.lost >= 10, "{figures:?}");
    assert_eq!(figures.answered + figures.lost, 60);
    let notes = &measured.notes;
    let said = notes.iter().any(|n| n.contains("ended during the test"));
    assert!(said, "{notes:?}");
}

#[test]
fn ending_a_test_early_keeps_what_was_measured() {
    let echo = Echo::start(|_| after_ms(0));
    let interrupt = Interrupt::manual();
    let plan = plan(1000, ms(10))
        .with_loss_deadline(Duration::from_secs(30))
        .unwrap();
    let begun = Instant::now();
    let record = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(ms(300));
            interrupt.ask();
        });
        run(echo.address, &plan, &interrupt)
    });
    assert!(begun.elapsed() < Duration::from_secs(5));
    let measured = Measurement::of(record.unwrap());
    let figures = &measured.figures;
    assert!(figures.sent >= 5 && figures.sent < 500, "{figures:?}");
    assert_eq!(figures.lost, 0);
    assert_eq!(figures.answered + figures.in_flight, figures.sent);
    let told = format!("{} still in flight", figures.in_flight);
    assert!(measured.notes[0].contains(&told), "{:?}", measured.notes);
}

#[test]
fn the_warm_up_is_sent_and_in_no_figure() {
    // The warm-up is lost, damaged, late and doubled; nothing of the test is.
    let damaged = Copy {
        after: Duration::ZERO,
        damaged: true,
    };
    let echo = Echo::start(move |sequence| match sequence {
        0..2 => vec![],
        2 => vec![damaged],
        3 => after_ms(450),
        4..6 => [after_ms(0), after_ms(1)].concat(),
        _ => after_ms(0),
    });
    let plan = plan(20, ms(5)).with_warmup(6).unwrap();
    let measured = measured(&echo, &plan);
    let figures = &measured.figures;
    assert_eq!(measured.record.trace.sent.len(), 26);
    assert_eq!((figures.sent, figures.answered), (20, 20));
    assert_eq!((figures.late, figures.lost, figures.duplicates), (0, 0, 0));
    assert_eq!(measured.conduct.pacing_error.n(), 20);
    assert_eq!(measured.record.corrupt, 0);
}

#[test]
fn bursts_leave_together_and_sizes_vary_where_they_are_ordered_to() {
    let echo = Echo::start(|_| after_ms(0));
    let bursts = plan(12, ms(10)).with_pattern(Pattern::Burst(4));
    let record = test(echo.address, &bursts).unwrap();
    let sent = times_sent(&record);
    for burst in [0, 4, 8] {
        let first = sent[burst].abs_diff(sent[0]);
        let due = ms(10 * burst as u64);
        assert!(first.abs_diff(due) < SLACK, "{first:?}");
        // Four in a row, where a constant rate would take 30 ms.
        assert!(sent[burst + 3].abs_diff(sent[burst]) < SLACK);
    }
    let sizes = plan(50, ms(2)).with_pattern(Pattern::Vbr).with_seed(3);
    let measured = measured(&echo, &sizes);
    assert_eq!(
        (measured.figures.answered, measured.record.corrupt),
        (50, 0)
    );
    let sizes: Vec<u16> = measured
        .record
        .trace
        .sent
        .iter()
        .map(|s| s.unwrap().bytes)
        .collect();
    assert!(sizes.iter().any(|bytes| *bytes < 60) && sizes.iter().any(|bytes| *bytes > 100));
}

#[test]
fn the_kernel_takes_the_times_and_the_mark_that_comes_back_is_told() {
    let echo = Echo::start(|_| after_ms(0));
    let plan = plan(20, ms(2)).with_dscp(46).unwrap();
    let measured = measured(&echo, &plan);
    assert_eq!(measured.conduct.kernel_stamped_pct, Some(100.0));
    // This echo does not copy the mark.
    assert_eq!(measured.dscp_returned(), Some(0));
    let said = measured.notes.iter().any(|n| n.contains("DSCP 0, not 46"));
    assert!(said, "{:?}", measured.notes);
}

#[test]
fn a_path_without_stamps_says_that_nobody_stamped() {
    let echo = Echo::start(|_| after_ms(0));
    let measured = measured(&echo, &plan(5, ms(2)).with_stamps().unwrap());
    assert_eq!(measured.figures.answered, 5);
    assert!(measured.hops.is_none());
    let said = measured
        .notes
        .iter()
        .any(|n| n.contains("no node on the way stamped"));
    assert!(said, "{:?}", measured.notes);
}

#[test]
fn datagrams_of_others_are_not_answers() {
    // An answer to another run, from the right address: the nonce differs.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let forging = std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        for _ in 0..5 {
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            let mut forged = buffer[..length].to_vec();
            forged[16] ^= 1;
            socket.send_to(&forged, from).unwrap();
            socket.send_to(b"hello", from).unwrap();
        }
        5
    });
    let error = test(address, &plan(5, ms(5))).unwrap_err();
    forging.join().unwrap();
    assert!(
        matches!(error, Unreachable::Silent { sent: 5, .. }),
        "{error}"
    );
}

#[test]
fn ipv6_is_measured_like_ipv4() {
    let Ok(echo) = Echo::start_at(Ipv6Addr::LOCALHOST.into(), |_| after_ms(0)) else {
        eprintln!("left out: ipv6_is_measured_like_ipv4 (this machine has no ::1)");
        return;
    };
    assert_eq!(figures(&echo, &plan(5, ms(5))).answered, 5);
}

#[test]
fn the_smallest_and_the_largest_payload_go_through() {
    let echo = Echo::start(|_| after_ms(0));
    for payload in [28, 65_507] {
        let plan = plan(3, ms(20)).with_payload(payload).unwrap();
        assert_eq!(figures(&echo, &plan).answered, 3, "{payload}");
    }
}

#[test]
fn a_program_that_was_held_up_counts_what_came_in_time() {
    // The last ten answers come while the program is stopped, which it is until long after the
    // loss deadline. The kernel has stamped them.
    let echo = Echo::start(|sequence| after_ms(if sequence < 10 { 0 } else { 500 }));
    let folder = tempfile::tempdir().unwrap();
    let (host, port) = (echo.address.ip(), echo.address.port());
    let mut command = client::command(
        folder.path(),
        &format!(
            "udp --host {host} --udp-port {port} --packets 20 --interval 20ms --loss-deadline 1s --json"
        ),
    );
    let program = command.stdout(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_child(&program);
    std::thread::sleep(ms(550));
    kill_process(pid, Signal::STOP).unwrap();
    std::thread::sleep(ms(2500));
    kill_process(pid, Signal::CONT).unwrap();
    let output = program.wait_with_output().unwrap();
    let end = client::text(&output.stdout);
    assert!(end.contains("\"packets_answered\":20"), "{end}");
}
