//! The admin endpoint over real sockets: its own pages, a program's routes, and who is kept out.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says why and fails"
)]

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use netio::admin::{self, Answer, Panel};
use netio::listen;
use netio::shutdown::{self, Stopper};
use netio::telemetry::Metrics;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use serde::Serialize;
use testkit::peer::exchange;
use tokio::runtime::{Builder, LocalOptions};

const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Room {
    stored_bytes: u64,
}

fn panel() -> Panel {
    let mut panel = Panel::new("lab", "1.2.3", Metrics::new("lab"));
    panel.section("room", || Room { stored_bytes: 7 });
    let kept = std::rc::Rc::new(Cell::new(0_usize));
    let shown = std::rc::Rc::clone(&kept);
    panel.route(Method::Get, "/kept", move |_| {
        Answer::json(StatusCode::OK, &shown.get())
    });
    panel.route(Method::Put, "/kept", move |asked| {
        kept.set(asked.body.len());
        Answer::done()
    });
    panel.route(Method::Delete, "/item", |asked| {
        match asked.parameter("url") {
            Some(url) => Answer::text(StatusCode::OK, format!("removed {url}")),
            None => Answer::text(StatusCode::BAD_REQUEST, "which? ?url=URL"),
        }
    });
    panel
}

/// An endpoint on `bind`, until the stopper is dropped.
fn start(bind: &str) -> (SocketAddr, Stopper) {
    let mut listeners = listen::tcp(bind.parse().unwrap(), 1).unwrap();
    let listener = listeners.pop().unwrap();
    let address = listener.local_addr().unwrap();
    let (stopper, stop) = shutdown::channel();
    std::thread::spawn(move || {
        let options = LocalOptions::default();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(options)
            .unwrap();
        runtime
            .block_on(admin::run(listener, panel(), stop))
            .unwrap();
    });
    (address, stopper)
}

/// The status and the text of the answer to `request` (`METHOD target`) with these fields and body.
fn ask(to: SocketAddr, request: &str, host: &str, fields: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let message = format!(
        "{request} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n{fields}\r\n{body}"
    );
    let answer = exchange(to, message.as_bytes(), PATIENCE).unwrap();
    (answer.status().unwrap(), answer.text())
}

#[test]
fn a_route_is_asked_with_its_method_path_query_and_body() {
    let (address, _stopper) = start("127.0.0.1:0");
    let long = "x".repeat(70_000);
    for (request, body, status, says) in [
        ("GET /healthz", "", 200, "\r\n\r\nok\n"),
        ("GET /kept", "", 200, "\r\n\r\n0\n"),
        ("PUT /kept", "delay=40ms", 204, ""),
        ("GET /kept?again", "", 200, "\r\n\r\n10\n"),
        ("PUT /kept", &long, 413, ""),
        ("GET /kept", "", 200, "\r\n\r\n10\n"),
        ("POST /kept", "", 405, "Allow: GET, HEAD, PUT\r\n"),
        ("DELETE /healthz", "", 405, "Allow: GET, HEAD\r\n"),
        (
            "DELETE /item?url=http%3A%2F%2Fa%2F+b",
            "",
            200,
            "removed http://a/ b\n",
        ),
        ("DELETE /item", "", 400, "?url=URL"),
        ("GET /nothing", "", 404, "PUT /kept"),
        ("OPTIONS *", "", 404, "GET /status.json"),
    ] {
        let answer = ask(address, request, "localhost", "", body);
        assert_eq!(answer.0, status, "{request}: {}", answer.1);
        assert!(answer.1.contains(says), "{request}: {}", answer.1);
    }
}

#[test]
fn the_status_is_one_json_object_with_a_section_for_each_part() {
    let (address, _stopper) = start("127.0.0.1:0");
    let (status, answer) = ask(address, "GET /status.json", "127.0.0.1", "", "");
    assert_eq!(status, 200);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("Content-Type: application/json\r\n"),
        "{head}"
    );
    assert!(head.contains("Cache-Control: no-store\r\n"), "{head}");
    let value: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(value["version"], 1);
    assert_eq!(value["program"], "lab");
    assert_eq!(value["program_version"], "1.2.3");
    assert_eq!(value["room"]["stored_bytes"], 7);
    assert!(value["uptime_seconds"].is_u64());
}

#[test]
fn what_a_web_page_can_make_a_browser_send_is_refused() {
    let (local, _stopper) = start("127.0.0.1:0");
    let (exposed, _other) = start("0.0.0.0:0");
    let exposed = SocketAddr::new("127.0.0.1".parse().unwrap(), exposed.port());
    for (to, request, host, origin, status) in [
        // A name that somebody else's name server may have pointed here.
        (local, "GET /metrics", "rebound.example:8001", "", 403),
        (local, "GET /metrics", "localhost.example", "", 403),
        (local, "GET /metrics", "127.0.0.1.example", "", 403),
        (
            local,
            "PUT /kept",
            "rebound.example",
            "http://rebound.example",
            403,
        ),
        // A page elsewhere that sends without being able to read.
        (
            local,
            "PUT /kept",
            "127.0.0.1:8001",
            "http://evil.example",
            403,
        ),
        (local, "PUT /kept", "127.0.0.1:8001", "null", 403),
        (
            local,
            "PUT /kept",
            "127.0.0.1:8001",
            "http://127.0.0.1:3000",
            403,
        ),
        (
            local,
            "DELETE /item?url=a",
            "localhost",
            "https://localhost",
            403,
        ),
        // People at a terminal, and pages of this endpoint.
        (
            local,
            "PUT /kept",
            "127.0.0.1:8001",
            "http://127.0.0.1:8001",
            204,
        ),
        (local, "PUT /kept", "LOCALHOST:8001", "", 204),
        (local, "GET /metrics", "[::1]:8001", "", 200),
        // Prometheus asks by name, where somebody chose to be asked from elsewhere.
        (exposed, "GET /metrics", "proxyd:8081", "", 200),
        (exposed, "PUT /kept", "proxyd:8081", "", 403),
        (exposed, "PUT /kept", "10.0.0.7:8081", "", 204),
    ] {
        let fields = match origin {
            "" => String::new(),
            origin => format!("Origin: {origin}\r\n"),
        };
        let answer = ask(to, request, host, &fields, "");
        assert_eq!(
            answer.0, status,
            "{request} of {host} from {origin}: {}",
            answer.1
        );
    }
}
