//! The program as a script meets it: exit statuses, what goes to which stream, files, Ctrl-C.

use std::io::{Read as _, Write as _};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use jsonschema::JSONSchema;
use rustix::process::{Pid, Signal, kill_process};

use crate::client::{command, run, text};
use crate::echo::{Echo, after_ms};

#[test]
fn a_udp_test_appends_one_row_and_names_the_file() {
    let echo = Echo::start(|_| after_ms(0));
    let folder = tempfile::tempdir().unwrap();
    let arguments = format!(
        "udp --udp-port {} --packets 5 --interval 5ms",
        echo.address.port()
    );
    for rows in [1, 2] {
        let output = run(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(text(&output.stdout).ends_with("  1 row appended to qos_result.csv\n"));
        let file = std::fs::read_to_string(folder.path().join("qos_result.csv")).unwrap();
        assert_eq!(file.lines().count(), 1 + rows);
    }
}

#[test]
fn an_assertion_decides_the_exit_status_and_the_verdict() {
    let echo = Echo::start(|sequence| if sequence == 1 { vec![] } else { after_ms(0) });
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    for (assertion, status, verdict) in [
        ("loss_pct<=25,packets_answered=3", 0, "pass"),
        ("loss_pct<=25,loss_pct<25", 1, "fail"),
        ("rtt_p99_ms<1000", 1, "fail"),
    ] {
        let arguments = format!(
            "udp --udp-port {port} --packets 4 --interval 5ms --loss-deadline 100ms \
             --assert {assertion}"
        );
        let output = run(folder.path(), &arguments);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{assertion}: {output:?}"
        );
        let file = std::fs::read_to_string(folder.path().join("qos_result.csv")).unwrap();
        let last = file.lines().last().unwrap();
        assert!(last.contains(&format!(",{verdict},qos-client ")), "{last}");
    }
}

#[test]
fn of_several_rows_the_one_that_fails_speaks() {
    let direct = Echo::start(|_| after_ms(0));
    let proxied = Echo::start(|sequence| {
        if sequence % 4 == 1 {
            vec![]
        } else {
            after_ms(0)
        }
    });
    let (web, folder) = (web_server(), tempfile::tempdir().unwrap());
    let (past, through) = (direct.address.port(), proxied.address.port());
    let order = format!(
        "compare --port {web} --direct-port {web} --udp-port {through} --direct-udp-port {past} \
         --packets 8 --interval 5ms --requests 1 --assert loss_pct<1"
    );
    let output = run(folder.path(), &order);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stdout);
    // Two of eight.
    assert!(said.contains("FAIL: loss_pct<1 (measured 25)"), "{said}");
}

/// The events on standard output, each of which the schema allows.
fn events(output: &Output) -> Vec<serde_json::Value> {
    let schema = include_str!("../../schema/events-v1.schema.json");
    let schema = JSONSchema::compile(&serde_json::from_str(schema).unwrap()).unwrap();
    let events = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    let events: Vec<serde_json::Value> = events.map(Result::unwrap).collect();
    for event in &events {
        let errors = schema.validate(event).err().into_iter().flatten();
        let errors: Vec<String> = errors.map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{event}: {errors:?}");
    }
    assert_eq!(text(&output.stdout).lines().count(), events.len());
    events
}

fn of_kind<'e>(events: &'e [serde_json::Value], kind: &str) -> Vec<&'e serde_json::Value> {
    events
        .iter()
        .filter(|event| event["event"] == kind)
        .collect()
}

#[test]
fn json_is_events_alone_on_standard_output() {
    let echo = Echo::start(|sequence| if sequence == 2 { vec![] } else { after_ms(0) });
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    let output = run(
        folder.path(),
        &format!(
            "udp --json --udp-port {port} --packets 4 --warmup 1 --interval 350ms \
             --loss-deadline 100ms --assert loss_pct<50"
        ),
    );
    let events = events(&output);
    assert_eq!(events[0]["event"], "start");
    assert_eq!(events[0]["udp"]["interval_ns"], 350_000_000);
    assert_eq!(of_kind(&events, "interval").len(), 1);
    let samples = of_kind(&events, "sample");
    let fates: Vec<_> = samples.iter().map(|sample| &sample["fate"]).collect();
    assert_eq!(
        fates,
        ["answered", "answered", "lost", "answered", "answered"]
    );
    assert_eq!(
        (&samples[0]["warmup"], &samples[1]["warmup"]),
        (&true.into(), &false.into())
    );
    assert!(samples[2]["rtt_ns"].is_null() && samples[3]["rtt_ns"].as_u64() > Some(0));
    let end = events.last().unwrap();
    assert_eq!(
        (&end["event"], &end["run_id"]),
        (&"end".into(), &events[0]["run_id"])
    );
    let figures = &end["results"][0]["figures"];
    assert_eq!(
        (&figures["packets_sent"], &figures["loss_pct"]),
        (&4.into(), &25.0.into())
    );
    assert!(figures["rtt_p99_ns"].is_null() && figures["rtt_mean_ns"].is_u64());
    assert_eq!(end["assertions"][0]["assertion"], "loss_pct<50");
    assert_eq!(end["assertions"][0]["holds"], true);
    assert!(text(&output.stderr).contains("1 row appended to qos_result.csv"));
}

#[test]
fn clients_and_http_have_events_of_the_same_schema() {
    let echo = Echo::start(|_| after_ms(0));
    let web = web_server();
    let folder = tempfile::tempdir().unwrap();
    let target = format!("--json --port {web} --udp-port {}", echo.address.port());
    let http = events(&run(folder.path(), &format!("{target} http /")));
    assert_eq!(http.len(), 2);
    assert_eq!(http[1]["results"][0]["figures"]["http_status"], 200);
    let arguments = format!("{target} clients --count 3 --packets 5 --interval 20ms");
    let clients = events(&run(folder.path(), &arguments));
    assert_eq!(of_kind(&clients, "sample").len(), 15);
    let end = clients.last().unwrap();
    assert_eq!(end["results"].as_array().unwrap().len(), 3);
    assert!(end["fairness_jain"].as_f64() > Some(0.5), "{end}");
}

/// Answers every request.
fn web_server() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nHi");
            });
        }
    });
    port
}

#[test]
fn an_unreachable_target_is_status_3_one_line_and_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let silent = Echo::start(|_| vec![]);
    let silent = silent.address.port();
    for (arguments, message) in [
        (
            format!("--udp-port {port} udp"),
            format!("nothing listens on udp 127.0.0.1:{port}; "),
        ),
        (
            format!("--port {port} http"),
            format!("nothing listens on tcp 127.0.0.1:{port}; "),
        ),
        (
            format!("--udp-port {silent} udp --packets 2 --interval 1 --loss-deadline 50ms"),
            format!("nothing came back from udp 127.0.0.1:{silent}: 2 probes sent"),
        ),
        (
            "--host no-such-host.invalid udp".to_owned(),
            "cannot find the host \"no-such-host.invalid\"".to_owned(),
        ),
    ] {
        let output = run(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments}: {output:?}");
        let error = text(&output.stderr);
        assert!(
            error.starts_with(&format!("qos-client: {message}")),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn wrong_usage_is_status_2_and_help_is_status_0() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, status) in [
        ("udp --packets 0", 2),
        ("udp --payload 1", 2),
        ("--nonsense", 2),
        ("udp --assert loss_pct", 2),
        ("--help", 0),
        ("udp --help", 0),
        ("--version", 0),
    ] {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments}");
        let (said, silent) = if status == 0 {
            (&output.stdout, &output.stderr)
        } else {
            (&output.stderr, &output.stdout)
        };
        assert!(
            !said.is_empty() && silent.is_empty(),
            "{arguments}: {output:?}"
        );
    }
}

#[test]
fn a_result_that_cannot_be_saved_is_shown_and_is_status_4() {
    let echo = Echo::start(|_| after_ms(0));
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    let arguments = format!("udp --udp-port {port} --packets 3 --interval 1 --csv /dev/full");
    let output = run(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(text(&output.stdout).contains("3 sent, 3 answered"));
    assert!(text(&output.stderr).contains("cannot write to /dev/full"));
}

#[test]
fn a_capture_that_cannot_be_written_takes_neither_the_result_nor_its_row() {
    let echo = Echo::start(|_| after_ms(0));
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    let test = format!("udp --udp-port {port} --packets 3 --interval 1 --capture");
    let output = run(folder.path(), &format!("{test} no/a.pcapng"));
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let error = text(&output.stderr);
    assert!(
        error.starts_with("qos-client: cannot write the capture no/a.pcapng: "),
        "{error}"
    );
    assert!(text(&output.stdout).contains("1 row appended to qos_result.csv"));
    // Nor the other way round.
    let output = run(
        folder.path(),
        &format!("{test} a.pcapng --csv no/such/folder.csv"),
    );
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(text(&output.stdout).contains("6 packets written to a.pcapng"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let echo = Echo::start(|_| after_ms(0));
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    let mut child = command(folder.path(), &format!("udp --udp-port {port} --csv off"))
        .args(["--packets", "3", "--interval", "50"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_test_that_nobody_reads_has_its_verdict_and_its_row_all_the_same() {
    let echo = Echo::start(|_| after_ms(0));
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    for (flags, rows) in [("", 1), ("--json", 2)] {
        let line = format!("udp --udp-port {port} --packets 3 --interval 1 {flags}");
        let mut child = command(
            folder.path(),
            &format!("{line} --assert rtt_mean_ms<0.000001"),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        assert_eq!(child.wait().unwrap().code(), Some(1), "{line}");
        let file = std::fs::read_to_string(folder.path().join("qos_result.csv")).unwrap();
        assert_eq!(file.lines().count(), 1 + rows, "{file}");
    }
}

#[test]
fn an_error_that_nobody_reads_has_its_exit_status_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, status) in [("http / --port 1", 3), ("udp --packets 0", 2)] {
        let mut child = command(folder.path(), arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stderr.take());
        assert_eq!(child.wait().unwrap().code(), Some(status), "{arguments}");
    }
}

#[test]
fn the_menu_from_a_pipe_ends_with_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = command(folder.path(), "")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"5\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).ends_with("end of input\n"));
}

#[test]
fn ctrl_c_ends_the_test_with_what_was_measured() {
    let echo = Echo::start(|_| after_ms(0));
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    let child = command(
        folder.path(),
        &format!("udp --udp-port {port} --packets 1000"),
    )
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let begun = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = text(&output.stdout);
    assert!(said.contains("0 lost"), "{said}");
    assert!(said.contains("note: ended early: "), "{said}");
    assert!(said.contains("1 row appended"), "{said}");
}

#[test]
fn ctrl_c_ends_every_kind_of_test_with_what_was_measured_and_says_so() {
    let echo = Echo::start(|_| after_ms(0));
    let web = web_server();
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    for (order, said) in [
        (
            "clients --count 2 --packets 1000",
            "2 of 2 clients had packets left",
        ),
        ("verify --packets 1000", "of 1000 packets sent"),
        ("compare --packets 1000", "proxied: note: ended early"),
        ("udp --flood --duration 1m", "note: ended early, after"),
        ("http / --requests 100000 --rate 20", "note: ended early"),
    ] {
        let target = format!("--port {web} --udp-port {port}");
        let direct = if order.starts_with("compare") {
            format!("--direct-port {web} --direct-udp-port {port}")
        } else {
            String::new()
        };
        let child = command(folder.path(), &format!("{target} {order} {direct}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{order}: {output:?}");
        let shown = text(&output.stdout);
        assert!(shown.contains(said), "{order}: {shown}");
    }
}
