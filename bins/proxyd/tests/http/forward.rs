//! The forward proxy: what clients ask of servers that they name, and what is denied to them,
//! however they ask for it.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use testkit::origin::{Answer, Origin};

use crate::lab::{Client, Lab, PATIENCE, Reply, proxy};

/// The lab's servers are on loopback, which no client may name unless it is allowed.
const LOOPBACK: [&str; 2] = ["--allow-target", "127.0.0.0/8"];
const FRESH: &str = "Cache-Control: max-age=60\r\n";

fn send(to: SocketAddr, request: &str) -> Reply {
    let exchange = testkit::peer::exchange(to, request.as_bytes(), PATIENCE).unwrap();
    Reply::of(&exchange.received)
}

/// GET of a URL, on a connection that ends with it.
fn get(proxy: SocketAddr, url: &str) -> Reply {
    send(
        proxy,
        &format!("GET {url} HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n"),
    )
}

fn connect(proxy: SocketAddr, to: &str) -> Reply {
    send(
        proxy,
        &format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n"),
    )
}

/// Says who it is.
fn named(name: &'static str) -> Origin {
    Origin::start(move |_| Answer::ok(FRESH, name))
}

#[test]
fn the_server_that_the_url_names_is_asked_and_its_answer_stored_under_that_url() {
    let other = named("other");
    let lab = Lab::with(named("origin"), &LOOPBACK);
    let url = format!("http://{}/a?b", other.address());
    let reply = get(lab.address, &url);
    assert_eq!(reply.text(), "other");
    let seen = &other.seen()[0];
    let expected = format!("GET /a?b HTTP/1.1\r\nHost: {}\r\n", other.address());
    assert!(seen.head().starts_with(&expected), "{}", seen.head());
    assert_eq!(seen.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert!(get(lab.address, &url).cache().starts_with("hit"));
    assert_eq!(lab.origin.seen().len(), 0);
}

#[test]
fn what_an_origin_says_of_a_host_is_not_what_that_host_says() {
    let other = named("other");
    let lab = Lab::with(named("origin"), &LOOPBACK);
    let authority = other.address();
    let of_origin = format!("GET / HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    let url = format!("http://{authority}/");
    for _ in 0..2 {
        assert_eq!(send(lab.address, &of_origin).text(), "origin");
        assert_eq!(get(lab.address, &url).text(), "other");
    }
    assert_eq!((lab.origin.seen().len(), other.seen().len()), (1, 1));
}

#[test]
fn an_address_that_is_not_public_is_denied_in_every_spelling() {
    let victim = Origin::start(|_| Answer::ok("", "secret"));
    let port = victim.address().port();
    let lab = Lab::with(named("origin"), &["--connect-port", "1-65535"]);
    // Those that the system may take for a name and know no address of are a 502; none is asked.
    let hosts = [
        ("127.0.0.1", Some("loopback")),
        ("localhost", Some("loopback")),
        ("LOCALHOST", Some("loopback")),
        ("localhost.", None),
        ("ip6-localhost", None),
        ("127.1", Some("loopback")),
        ("127.0.1", Some("loopback")),
        ("0177.0.0.1", Some("loopback")),
        ("0177.1", Some("loopback")),
        ("0x7f.1", Some("loopback")),
        ("0x7f000001", Some("loopback")),
        ("2130706433", Some("loopback")),
        ("017700000001", Some("loopback")),
        ("0", Some("unspecified")),
        ("0.0.0.0", Some("unspecified")),
        ("[::]", Some("unspecified")),
        ("[::1]", Some("loopback")),
        ("[0:0:0:0:0:0:0:1]", Some("loopback")),
        ("[::ffff:127.0.0.1]", Some("loopback")),
        ("[::ffff:7f00:1]", Some("loopback")),
        ("[::127.0.0.1]", Some("loopback")),
        ("[64:ff9b::127.0.0.1]", Some("loopback")),
        ("[2002:7f00:1::1]", Some("loopback")),
        ("[::ffff:169.254.169.254]", Some("link-local")),
        ("169.254.169.254", Some("link-local")),
        ("10.1.2.3", Some("private")),
        ("[fd00::1]", Some("unique local")),
        ("255.255.255.255", Some("broadcast")),
    ];
    for (host, kind) in hosts {
        let target = format!("{host}:{port}");
        for reply in [
            get(lab.address, &format!("http://{target}/")),
            connect(lab.address, &target),
        ] {
            let text = reply.text();
            let Some(kind) = kind else {
                assert!([403, 502].contains(&reply.status), "{target}: {text}");
                continue;
            };
            assert_eq!(reply.status, 403, "{target}: {text}");
            assert!(text.contains(kind), "{target}: {text}");
            assert!(text.contains("--allow-target "), "{target}: {text}");
            let proxy_status = reply.field("proxy-status").unwrap();
            let error = "proxyd; error=destination_ip_prohibited; next-hop=";
            assert!(proxy_status.starts_with(error), "{proxy_status}");
        }
    }
    assert!(victim.seen().is_empty(), "{:?}", victim.seen());
}

#[test]
fn a_connection_that_waits_to_the_origin_is_no_way_round_the_rules() {
    let lab = Lab::with(named("origin"), &[]);
    assert_eq!(lab.get("/a").text(), "origin");
    let url = format!("http://{}/b", lab.origin.address());
    assert_eq!(get(lab.address, &url).status, 403);
    assert_eq!(lab.origin.seen().len(), 1);
}

#[test]
fn a_redirect_to_an_address_that_is_denied_leads_nowhere() {
    let victim = TcpListener::bind("127.0.0.2:0").unwrap();
    victim.set_nonblocking(true).unwrap();
    let location = format!("http://{}/", victim.local_addr().unwrap());
    let said = location.clone();
    let server = Origin::start(move |_| {
        let fields = format!("Location: {said}\r\nContent-Length: 0\r\n");
        Answer::raw(format!("HTTP/1.1 302 Found\r\n{fields}\r\n"))
    });
    let lab = Lab::with(named("origin"), &["--allow-target", "127.0.0.1"]);
    let reply = get(lab.address, &format!("http://{}/", server.address()));
    assert_eq!(reply.field("location"), Some(&*location));
    assert_eq!(get(lab.address, &location).status, 403);
    assert!(victim.accept().is_err(), "it was connected to");
}

#[test]
fn its_own_listeners_are_no_targets_whatever_is_allowed() {
    let everything = ["--allow-target", "0.0.0.0/0", "--allow-target", "::/0"];
    let origin = named("origin");
    let flags = [
        &everything[..],
        &["--admin", "127.0.0.1:0", "--connect-port", "1-65535"],
    ];
    let (mut program, address) = proxy(&origin.address().to_string(), &flags.concat());
    let admin = program.listening("admin").unwrap();
    for port in [address.port(), admin.port()] {
        for host in ["127.0.0.1", "127.1", "[::ffff:127.0.0.1]", "0", "[::]"] {
            let target = format!("{host}:{port}");
            for reply in [
                get(address, &format!("http://{target}/healthz")),
                connect(address, &target),
            ] {
                assert_eq!(reply.status, 403, "{target}: {}", reply.text());
                assert!(reply.text().contains("this proxy itself"), "{target}");
            }
        }
    }
    let allowed = format!("http://{}/", origin.address());
    assert_eq!(get(address, &allowed).text(), "origin");
}

#[test]
fn a_request_that_comes_back_is_a_loop_and_one_that_passes_two_proxies_is_none() {
    let end = named("origin");
    let (_inner, inner) = proxy(&end.address().to_string(), &[]);
    let (_outer, outer) = proxy(&inner.to_string(), &[]);
    assert_eq!(Client::connect(outer).get("/").text(), "origin");

    // Two that have each other for an origin. The port of the second is free when the first starts.
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let second = held.local_addr().unwrap();
    let (first_program, first) = proxy(&second.to_string(), &[]);
    drop(held);
    let port = second.port().to_string();
    let (_second, second) = proxy(&first.to_string(), &["--port", &port]);
    for address in [first, second] {
        let reply = Client::connect(address).get("/");
        assert_eq!(reply.status, 502, "{}", reply.text());
        assert!(reply.text().contains("through this proxy before"));
    }
    assert!(first_program.stdout().lines().count() < 10);
}

#[test]
fn tunnels_go_to_443_unless_another_port_is_allowed() {
    let lab = Lab::with(named("origin"), &LOOPBACK);
    let reply = connect(lab.address, &lab.origin.address().to_string());
    assert_eq!(reply.status, 403);
    let flag = format!("(--connect-port {} ", lab.origin.address().port());
    assert!(reply.text().contains(&flag), "{}", reply.text());
    let proxy_status = reply.field("proxy-status").unwrap();
    assert!(proxy_status.contains("error=http_request_denied"));
    assert!(lab.origin.seen().is_empty());
    assert_eq!(lab.labels(1), ["DENIED"]);
}

#[test]
fn clients_of_other_machines_are_served_only_if_they_are_allowed() {
    // An address of this machine that is not loopback: who comes from it might be anybody.
    let probe = UdpSocket::bind("0.0.0.0:0").unwrap();
    let own = probe
        .connect("192.0.2.1:9")
        .and_then(|()| probe.local_addr());
    let Some(own) = own.ok().map(|own| own.ip()).filter(|ip| !ip.is_loopback()) else {
        eprintln!(
            "clients_of_other_machines_are_served_only_if_they_are_allowed: left out, as this \
             machine has no address but loopback"
        );
        return;
    };
    let server = named("server");
    let url = format!("http://{}/", server.address());
    let tunnel = server.address().to_string();
    let flags = [
        &LOOPBACK[..],
        &["--bind", "0.0.0.0", "--connect-port", "1-65535"],
    ]
    .concat();
    let lab = Lab::with(named("origin"), &flags);
    let port = lab.address.port();
    let (near, far) = (
        SocketAddr::from(([127, 0, 0, 1], port)),
        SocketAddr::new(own, port),
    );
    assert_eq!(get(near, &url).text(), "server");
    assert_eq!(
        get(far, "/").text(),
        "origin",
        "the origin is for everybody"
    );
    // Not what is stored either.
    for reply in [get(far, &url), connect(far, &tunnel)] {
        assert_eq!(reply.status, 403);
        let flag = format!("(--allow {own} ");
        assert!(reply.text().contains(&flag), "{}", reply.text());
    }
    let net = format!("{own}/32");
    let allowed = [&flags[..], &["--allow", &net]].concat();
    let lab = Lab::with(named("origin"), &allowed);
    let far = SocketAddr::new(own, lab.address.port());
    assert_eq!(get(far, &url).text(), "server");
}

#[test]
fn a_server_that_cannot_be_asked_is_named_with_the_cause() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let closed = closed.unwrap().to_string();
    let flags = [&LOOPBACK[..], &["--connect-port", "1-65535"]].concat();
    let lab = Lab::with(named("origin"), &flags);
    let unknown = "no-such-host.invalid:443";
    let cases = [
        (
            &*closed,
            "connection_refused",
            "cannot connect: connection refused",
        ),
        (unknown, "dns_error", "its name has no address: "),
    ];
    for (target, error, words) in cases {
        for reply in [
            get(lab.address, &format!("http://{target}/")),
            connect(lab.address, target),
        ] {
            assert_eq!(reply.status, 502);
            let text = format!("502 Bad Gateway: no answer from {target}: {words}");
            assert!(reply.text().starts_with(&text), "{}", reply.text());
            let field = format!("proxyd; error={error}; next-hop=\"{target}\"");
            assert_eq!(reply.field("proxy-status"), Some(&*field));
        }
    }
}

#[test]
fn what_is_no_http_url_is_not_forwarded() {
    let lab = Lab::start(|_| Answer::ok("", "x"));
    for url in [
        "https://example.com/",
        "ftp://example.com/",
        "ws://example.com/",
    ] {
        assert_eq!(get(lab.address, url).status, 501, "{url}");
    }
    let lab = Lab::with(named("origin"), &["--reverse-only"]);
    assert_eq!(connect(lab.address, "example.com:443").status, 501);
}

#[test]
fn who_is_a_trusted_proxy_is_believed_what_it_says_of_its_clients() {
    let fields = "Forwarded: for=192.0.2.7;proto=https\r\nX-Forwarded-For: 192.0.2.7\r\n\
                  X-Forwarded-Proto: https\r\nX-Forwarded-Host: front\r\n";
    let cases = [
        (
            &["--trust-forwarded", "127.0.0.1"][..],
            [
                (
                    "forwarded",
                    "for=192.0.2.7;proto=https, for=127.0.0.1;host=\"lab\";proto=http",
                ),
                ("x-forwarded-for", "192.0.2.7, 127.0.0.1"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "front"),
            ],
        ),
        (
            &["--trust-forwarded", "10.0.0.0/8"],
            [
                ("forwarded", "for=127.0.0.1;host=\"lab\";proto=http"),
                ("x-forwarded-for", "127.0.0.1"),
                ("x-forwarded-proto", "http"),
                ("x-forwarded-host", "lab"),
            ],
        ),
    ];
    for (flags, expected) in cases {
        let lab = Lab::with(named("origin"), flags);
        lab.ask("GET", "/", fields);
        let seen = &lab.origin.seen()[0];
        for (name, value) in expected {
            assert_eq!(seen.field(name).as_deref(), Some(value), "{}", seen.head());
        }
    }
}
