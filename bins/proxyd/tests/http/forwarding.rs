//! What goes to the origin and comes back: fields, bodies, connections, and what can go wrong.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use testkit::origin::{Answer, Origin};

use crate::lab::{Client, Lab, PATIENCE, Reply, proxy};

#[test]
fn fields_of_one_connection_are_not_passed_on_in_either_direction() {
    let lab = Lab::start(|_| {
        Answer::raw(
            "HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\nX-Hop: secret\r\nKeep-Alive: timeout=5\r\n\
             Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-End: kept\r\nVia: 1.0 inner\r\n\
             Content-Length: 1\r\n\r\nx",
        )
        .and_close()
    });
    let reply = lab.ask(
        "GET",
        "/",
        "Connection: X-Secret, keep-alive\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n\
         Proxy-Authorization: Basic YQ==\r\nProxy-Connection: keep-alive\r\nUpgrade: websocket\r\n\
         X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nVia: 1.1 outer\r\nX-End: kept\r\n",
    );
    let seen = &lab.origin.seen()[0];
    for gone in [
        "x-secret",
        "connection",
        "keep-alive",
        "te",
        "proxy-authorization",
        "proxy-connection",
        "upgrade",
    ] {
        assert_eq!(seen.field(gone), None, "{gone} reached the origin");
    }
    let expected = [
        ("host", "lab"),
        ("x-end", "kept"),
        ("forwarded", "for=127.0.0.1;host=\"lab\";proto=http"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "lab"),
        ("x-forwarded-proto", "http"),
    ];
    for (name, value) in expected {
        assert_eq!(seen.field(name).as_deref(), Some(value), "{}", seen.head());
    }
    let via = seen.field("via").unwrap();
    assert!(via.starts_with("1.1 outer, 1.1 proxyd ("), "{via}");
    for gone in ["x-hop", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert_eq!(reply.field(gone), None, "{gone} reached the client");
    }
    assert_eq!(reply.field("x-end"), Some("kept"));
    let via: Vec<_> = reply
        .head
        .lines()
        .filter(|line| line.starts_with("Via: "))
        .collect();
    assert_eq!(via, ["Via: 1.0 inner", "Via: 1.1 proxyd"]);
}

#[test]
fn where_nothing_is_forwarded_the_origin_is_asked_for_what_an_absolute_target_names() {
    let lab = Lab::with(Origin::start(|_| Answer::ok("", "x")), &["--reverse-only"]);
    lab.get("http://example.com:8000/a?b");
    let seen = &lab.origin.seen()[0];
    assert!(
        seen.head()
            .starts_with("GET /a?b HTTP/1.1\r\nHost: example.com:8000\r\n")
    );
}

#[test]
fn the_origin_is_asked_for_the_host_in_the_spelling_of_the_key() {
    let lab = Lab::start(|_| Answer::ok("", "x"));
    lab.send("GET /a HTTP/1.1\r\nHost: EXAMPLE.com:80\r\nConnection: close\r\n\r\n");
    lab.send("GET /b HTTP/1.1\r\nHost: Example.COM:8000\r\nConnection: close\r\n\r\n");
    for (seen, host) in lab
        .origin
        .seen()
        .iter()
        .zip(["example.com", "example.com:8000"])
    {
        assert_eq!(seen.field("host").as_deref(), Some(host));
        assert_eq!(seen.field("x-forwarded-host").as_deref(), Some(host));
        let forwarded = format!("for=127.0.0.1;host=\"{host}\";proto=http");
        assert_eq!(seen.field("forwarded"), Some(forwarded));
    }
}

#[test]
fn bodies_go_through_in_their_own_framing() {
    let lab = Lab::start(|seen| Answer::ok("", &String::from_utf8_lossy(seen.body())));
    let length = lab.send(
        "POST / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    );
    assert_eq!(Reply::of(&length.received).text(), "hello");
    let chunked = "POST / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n";
    let reply = Reply::of(&lab.send(chunked).received);
    assert_eq!(reply.text(), "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert_eq!(reply.cache(), "fwd=method");
}

#[test]
fn an_origin_that_answers_before_the_body_has_come_is_heard() {
    let refusal = "HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\n\r\nmuch";
    let lab = Lab::before(Origin::hasty(move |_| Answer::raw(refusal)));
    let mut client = Client::connect(lab.address);
    client.write("POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 1000000\r\n\r\nbeginning");
    let reply = client.read();
    assert_eq!((reply.status, reply.text().as_str()), (413, "much"));
}

#[test]
fn an_origin_that_speaks_while_it_reads_gets_the_whole_body() {
    const BYTES: usize = 5_000_000;
    // What it says behind the head of the request, and behind the body.
    let cases = [
        (
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok"),
    ];
    for (early, late) in cases {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let origin = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            stream.write_all(early.as_bytes()).unwrap();
            let mut body = (&stream).take(BYTES as u64);
            let read = std::io::copy(&mut body, &mut std::io::sink());
            stream.write_all(late.as_bytes()).unwrap();
            read.unwrap_or(0)
        });
        let (_program, address) = proxy(&address.to_string(), &[]);
        let mut client = Client::connect(address);
        client.write(format!(
            "PUT / HTTP/1.1\r\nHost: lab\r\nContent-Length: {BYTES}\r\n\r\n"
        ));
        client.write(vec![b'x'; BYTES]);
        let mut reply = client.read();
        while reply.status == 103 {
            reply = client.read();
        }
        assert_eq!(reply.text(), "ok", "{early}");
        assert_eq!(origin.join().unwrap(), BYTES as u64, "{early}");
    }
}

#[test]
fn a_connection_to_the_origin_carries_many_requests() {
    let lab = Lab::start(|_| Answer::ok("Cache-Control: no-store\r\n", "x"));
    for number in 0..5 {
        assert_eq!(lab.get(&format!("/{number}")).status, 200);
    }
    assert!(lab.origin.seen().iter().all(|seen| seen.connection == 0));
}

#[test]
fn a_connection_found_dead_is_replaced_once_for_what_may_be_sent_twice() {
    // Each connection answers once. The second request on it finds it closed: the origin has read
    // it, or has not, and nobody can tell.
    let lab = Lab::start(|seen| match seen.target().as_str() {
        "/last" => Answer::default().and_close(),
        _ => Answer::ok("Cache-Control: no-store\r\n", "x"),
    });
    lab.get("/first");
    let reply = lab.get("/last");
    assert_eq!(
        reply.status, 502,
        "a fresh connection that closes is not tried again"
    );
    assert_eq!(lab.origin.count("/last"), 2);

    lab.get("/first");
    let post = lab.ask("POST", "/last", "Content-Length: 0\r\n");
    assert_eq!(post.status, 502);
    assert_eq!(lab.origin.count("/last"), 3, "a POST is not sent twice");
}

#[test]
fn what_may_not_be_sent_twice_takes_no_connection_that_was_idle_for_long() {
    let lab = Lab::start(|_| Answer::ok("", "x"));
    let post = "POST /a HTTP/1.1\r\nHost: lab\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
    lab.get("/");
    lab.send(post);
    // RFC 9112 §9.3.1: it could not be sent again, should the origin be closing just now.
    std::thread::sleep(Duration::from_millis(2300));
    lab.send(post);
    lab.get("/");
    let seen = lab.origin.seen();
    let connections: Vec<usize> = seen.iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 0, 1, 1]);
}

#[test]
fn an_origin_that_restarts_costs_no_request() {
    // Every connection closes a moment after its first answer, as an origin does that restarts.
    let lab = Lab::start(|_| Answer::ok("Cache-Control: no-store\r\n", "x").and_close());
    for _ in 0..20 {
        assert_eq!(lab.get("/").status, 200);
    }
}

#[test]
fn an_origin_that_gives_no_answer_is_named_with_the_cause() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (_program, address) = proxy(&closed.to_string(), &[]);
    let mut client = Client::connect(address);
    let refused = client.get("/");
    assert_eq!(refused.status, 502);
    let expected = format!(
        "502 Bad Gateway: no answer from the origin http://{closed}: cannot connect: connection refused\n"
    );
    assert_eq!(refused.text(), expected);
    let proxy_status = format!("proxyd; error=connection_refused; next-hop=\"{closed}\"");
    assert_eq!(refused.field("proxy-status"), Some(&*proxy_status));
    assert_eq!(refused.cache(), "fwd=uri-miss");
    assert_eq!(
        client.get("/").status,
        502,
        "the client's connection goes on"
    );
}

#[test]
fn a_name_without_an_address_is_a_502() {
    let (_program, address) = proxy("no-such-host.invalid:8000", &[]);
    let reply = Client::connect(address).get("/");
    assert_eq!(reply.status, 502);
    assert!(
        reply
            .text()
            .contains("http://no-such-host.invalid:8000: its name has no address")
    );
}

#[test]
fn an_origin_that_comes_back_is_asked_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (_program, proxy) = proxy(&address.to_string(), &[]);
    let mut client = Client::connect(proxy);
    assert_eq!(client.get("/").status, 502);
    let _origin = Origin::at(address, |_| Answer::ok("", "back"));
    assert_eq!(client.get("/").text(), "back");
}

#[test]
fn a_slow_body_reaches_the_client_as_it_comes() {
    let lab = Lab::start(|_| {
        Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
            .and(Duration::from_secs(2), "cd")
    });
    let start = Instant::now();
    let mut client = Client::connect(lab.address);
    client.write("GET / HTTP/1.1\r\nHost: lab\r\n\r\n");
    assert_eq!(client.read_head().status, 200);
    assert_eq!(client.read_exact(2), b"ab");
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(client.read_exact(2), b"cd");
}

#[test]
fn what_this_proxy_does_not_do_is_said_by_itself() {
    let asked = AtomicUsize::new(0);
    let lab = Lab::start(move |_| {
        asked.fetch_add(1, Ordering::SeqCst);
        Answer::ok("", "x")
    });
    assert_eq!(lab.ask("TRACE", "/", "").status, 405);
    assert_eq!(lab.get("https://example.com/").status, 501);
    let options = lab.ask("OPTIONS", "*", "Max-Forwards: 0\r\n");
    assert_eq!(options.status, 200);
    assert!(options.field("allow").is_some());
    assert!(lab.origin.seen().is_empty());
    assert_eq!(lab.ask("OPTIONS", "*", "Max-Forwards: 2\r\n").text(), "x");
    let seen = &lab.origin.seen()[0];
    assert!(seen.head().starts_with("OPTIONS * HTTP/1.1\r\n"));
    assert_eq!(seen.field("max-forwards").as_deref(), Some("1"));
}
