//! Open and closed loops of requests against a server that stalls.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use qos_client::http::Plan;
use qos_client::http::series::{Outcome, Series, run};
use qos_client::interrupt::Interrupt;
use qos_client::target::{Endpoint, Service};

const STALL: Duration = Duration::from_millis(600);

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// Answers at once, one after the other, but stalls for [`STALL`] at its `stalls_at`th request: who
/// comes then waits behind it.
fn stalling(stalls_at: u32) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let served = Arc::new(AtomicU32::new(0));
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if served.fetch_add(1, Ordering::Relaxed) + 1 == stalls_at {
                thread::sleep(STALL);
            }
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nHi");
        }
    });
    address
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint {
        service: Service::Tcp,
        host: address.ip().to_string(),
        port: address.port(),
    }
}

fn outcome(address: SocketAddr, requests: u64, rate: Option<f64>, clients: u64) -> Outcome {
    let series = Series::new(Plan::default(), requests, rate, Some(clients)).unwrap();
    run(&endpoint(address), &series, &Interrupt::manual()).unwrap()
}

#[test]
fn in_an_open_loop_a_stall_shows_in_every_request_that_was_due_in_it() {
    // 100 a second for 1.2 s by one client; request 21 stalls 600 ms. Those due 0, 10, 20, … ms
    // into the stall wait for the rest of it: some 60 of 120, so half of the latencies are above
    // 0 ms and a quarter above 300 ms.
    let outcome = outcome(stalling(21), 120, Some(100.0), 1);
    assert_eq!((outcome.made, outcome.answered), (120, 120));
    let slow = |delays: &netstats::summary::Summary, per_mille| {
        let quantile = netstats::quantile::Quantile::per_mille(per_mille).unwrap();
        delays.quantile(quantile).unwrap()
    };
    // By its own start only one request was slow: that is coordinated omission.
    assert!(slow(&outcome.service, 950) < ms(200), "{outcome:?}");
    assert!(outcome.service.max().unwrap() >= STALL);
    assert!(slow(&outcome.latency, 800) > ms(200), "{outcome:?}");
    assert!(slow(&outcome.latency, 950) > ms(450), "{outcome:?}");
}

#[test]
fn in_a_closed_loop_requests_wait_for_each_other_and_latency_is_service_time() {
    let outcome = outcome(stalling(5), 20, None, 1);
    assert_eq!(outcome.answered, 20);
    let apart = outcome
        .latency
        .max()
        .unwrap()
        .abs_diff(outcome.service.max().unwrap());
    assert!(apart < ms(50), "{outcome:?}");
    // 20 answers in the stall and what the others took.
    assert!(outcome.rate_rps.unwrap() < 20.0 / STALL.as_secs_f64());
}

#[test]
fn hundreds_of_clients_ask_at_once_and_failures_are_counted_apart() {
    let outcome = outcome(stalling(0), 400, None, 200);
    assert_eq!(
        (outcome.made, outcome.answered, outcome.refused),
        (400, 400, 0)
    );
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let series = Series::new(Plan::default(), 3, None, None).unwrap();
    let error = run(&endpoint(closed), &series, &Interrupt::manual()).unwrap_err();
    assert!(
        error.to_string().starts_with("nothing listens on tcp"),
        "{error}"
    );
}

#[test]
fn requests_that_were_not_due_when_the_user_ended_the_series_were_not_made() {
    // 200 clients wait for their turn, one every 50 ms; after 475 ms 10 have had it.
    let series = Series::new(Plan::default(), 1000, Some(20.0), Some(200)).unwrap();
    let interrupt = Interrupt::manual();
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(ms(475));
            interrupt.ask();
        });
        run(&endpoint(stalling(0)), &series, &interrupt).unwrap()
    });
    assert!(outcome.interrupted);
    assert!(outcome.made <= 20, "{outcome:?}");
    assert!(outcome.answered + 1 >= outcome.made, "{outcome:?}");
}

#[test]
fn bounds_are_named() {
    for (requests, rate, clients, said) in [
        (0, None, None, "a series has 1 to 1000000 requests, not 0"),
        (
            1,
            Some(0.0),
            None,
            "a rate is 0.001 to 100000 requests a second, not 0",
        ),
        // A request in 10²⁵ s is due after the end of time.
        (1, Some(1e-25), None, "a rate is 0.001 to 100000"),
        (1, Some(f64::NAN), None, "a rate is 0.001 to 100000"),
        (
            1,
            None,
            Some(513),
            "1 to 512 requests can be under way at once, not 513",
        ),
    ] {
        let error = Series::new(Plan::default(), requests, rate, clients).unwrap_err();
        assert!(error.to_string().starts_with(said), "{error}");
    }
}
