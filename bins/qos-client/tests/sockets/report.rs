//! A recorded test as a page: what it draws, what it never asks for, and what it refuses.

use crate::client::{run, text};
use crate::echo::{Echo, after_ms};

/// The part of the page from one heading to the next.
fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<h2>{title}</h2>")).unwrap();
    rest.split("<h2>").next().unwrap()
}

/// A page that a browser can show without asking anybody for anything.
fn assert_self_contained(page: &str) {
    for reference in [
        "http:", "https:", "src=", "href", "url(", "@import", "<script", "<link",
    ] {
        assert!(!page.contains(reference), "{reference}");
    }
    assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'\""));
}

#[test]
fn the_page_draws_a_mark_for_each_loss_of_the_events_and_refers_to_nothing() {
    // Losses: 3, 10, 11, 12 and 20, in runs of one, three and one.
    let lost = [3, 10, 11, 12, 20];
    let echo = Echo::start(move |sequence| {
        if lost.contains(&sequence) {
            vec![]
        } else {
            after_ms(1)
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let recorded = run(
        folder.path(),
        &format!(
            "udp --udp-port {} --packets 30 --warmup 2 --interval 5ms --loss-deadline 1s --json \
             --csv off --assert loss_pct<1",
            echo.address.port()
        ),
    );
    assert_eq!(recorded.status.code(), Some(1), "the assertion fails");
    std::fs::write(folder.path().join("qos_events.ndjson"), &recorded.stdout).unwrap();
    // The second time over the page of the first, which is longer.
    for _ in 0..2 {
        let made = run(folder.path(), "report");
        assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
        let page = folder.path().join("report.html");
        let made = std::fs::read_to_string(&page).unwrap();
        assert!(made.ends_with("</html>\n"), "{made}");
        std::fs::write(&page, made + "more").unwrap();
    }
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert_self_contained(&page);

    let recorded = String::from_utf8(recorded.stdout).unwrap();
    let in_events = recorded
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|event| event["fate"] == "lost" || event["fate"] == "late")
        .count();
    assert!(in_events >= lost.len());
    let marks = |title| section(&page, title).matches("#C62828").count();
    assert_eq!(marks("Round-trip time"), in_events);
    if in_events == lost.len() {
        // A bar at one and a bar at three; plotters draws nothing for a bar of no height but a
        // rectangle, so the second of three is there too.
        assert_eq!(marks("Runs of losses"), 3);
        // The two of the warm-up are not among them.
        let answers = section(&page, "Round-trip time").matches("<circle").count();
        assert_eq!(answers, 25);
        assert!(page.contains(
            "<td>packet loss</td><td class=\"n\">16.67</td><td>%</td><td class=\"n\">30</td>"
        ));
    }
    assert!(page.contains("<code>loss_pct&lt;1</code> does not hold"));
}

#[test]
fn hostile_words_in_the_events_stay_words_and_clients_are_set_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let client = |cache: &str, total: u64| {
        format!(
            r#"{{"figures":{{"goodput_bps":1000,"cache_status":"{cache}","http_total_ns":{total}}},"limits":[],"notes":["</p><img src=x>"],"errors":[]}}"#
        )
    };
    let start = r#"{"event":"start","command":"clients","time_utc":"t","run_id":"r","target":"<script>alert('1')</script>","tool":"\"q\"&","udp":null}"#;
    let end = format!(
        r#"{{"event":"end","command":"clients","run_id":"r","results":[{},{}],"fairness_jain":1.0,"assertions":[]}}"#,
        client("MISS", 5_000_000),
        client("<b>", 1_000_000) + "," + &client("HIT", 1_500_000),
    );
    std::fs::write(folder.path().join("e"), format!("{start}\n{end}\n")).unwrap();
    let made = run(folder.path(), "report e --output p.html");
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let page = std::fs::read_to_string(folder.path().join("p.html")).unwrap();
    assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"));
    assert!(page.contains("&quot;q&quot;&amp;") && page.contains("&lt;/p&gt;&lt;img"));
    for raw in ["<script", "<img", "<b>"] {
        assert!(!page.contains(raw), "{raw}");
    }
    // Three rectangles for three clients; one line each for a hit and a miss.
    let bars = section(&page, "Goodput by client");
    assert_eq!(bars.matches("<rect").count(), 3);
    let latency = section(&page, "Latency of hits and of misses");
    assert!(latency.contains("1 hits") && latency.contains("1 misses"));
    assert!(page.contains("fairness index of the goodput: 1.000"));
}

#[test]
fn what_cannot_be_reported_is_one_line_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("a.csv"), "timestamp_utc,packets_sent\r\n").unwrap();
    std::fs::write(at("diary.html"), "dear diary").unwrap();
    let start = r#"{"event":"start","command":"udp","time_utc":"","run_id":"","target":"","tool":"","udp":null}"#;
    let end = r#"{"event":"end","results":[],"fairness_jain":null,"assertions":[]}"#;
    std::fs::write(at("e"), format!("{start}\n{end}\n")).unwrap();
    for (arguments, status, message) in [
        (
            "report",
            2,
            "make one with: qos-client udp --json > qos_events.ndjson",
        ),
        (
            "report a.csv",
            2,
            "line 1 is no event of qos-client; a report needs what `qos-client udp --json` prints",
        ),
        (
            "report e --output diary.html",
            2,
            "is no report of qos-client; name another file with --output",
        ),
        (
            "report e --output no/folder.html",
            4,
            "cannot write no/folder.html",
        ),
    ] {
        let refused = run(folder.path(), arguments);
        assert_eq!(refused.status.code(), Some(status), "{arguments}");
        let said = text(&refused.stderr);
        assert!(said.contains(message), "{arguments}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert_eq!(
        std::fs::read_to_string(at("diary.html")).unwrap(),
        "dear diary"
    );
}

#[test]
fn a_profile_grades_on_the_screen_in_the_events_the_file_and_the_page() {
    // Every answer after 100 ms: half of it is within Cisco's 150 ms, a quarter lost is not within
    // its 1 %.
    let echo = Echo::start(|sequence| {
        if sequence % 4 == 3 {
            vec![]
        } else {
            after_ms(100)
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let test = format!(
        "udp --udp-port {} --packets 8 --interval 5ms --loss-deadline 400ms --profile",
        echo.address.port()
    );
    let shown = run(folder.path(), &format!("{test} cisco-voip"));
    assert_eq!(shown.status.code(), Some(1));
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("delay not to exceed 150 ms one way"),
        "{shown}"
    );
    let loss = shown
        .lines()
        .find(|line| line.contains("packet loss, %"))
        .unwrap();
    assert!(loss.ends_with("25.000  exceeded"), "{loss}");
    assert!(shown.contains("  verdict: FAIL\n"), "{shown}");
    let file = std::fs::read_to_string(folder.path().join("qos_result.csv")).unwrap();
    assert!(file.contains(",fail,qos-client "), "{file}");
    // One's own: a quarter lost is good enough.
    let own = "name = \"own\"\ntitle = \"Own\"\nsource = \"this test\"\n[[figure]]\n\
               figure = \"loss_pct\"\nlabel = \"loss <&>\"\notherwise = \"bad\"\n\
               classes = [{ class = \"fine\", at_most = 25 }]\n";
    std::fs::write(folder.path().join("own.toml"), own).unwrap();
    let recorded = run(folder.path(), &format!("{test} own.toml --json --csv off"));
    assert_eq!(
        recorded.status.code(),
        Some(0),
        "{}",
        text(&recorded.stderr)
    );
    std::fs::write(folder.path().join("qos_events.ndjson"), &recorded.stdout).unwrap();
    let made = run(folder.path(), "report");
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("loss &lt;&amp;&gt;: 25.000, <strong>fine</strong>"));
}
