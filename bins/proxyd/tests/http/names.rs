//! Names that stand for addresses which a client may not name, or for one that it may among them: in
//! a mount namespace whose /etc/hosts says so.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use testkit::netns;
use testkit::origin::{Answer, Origin};
use testkit::program::Program;

use crate::lab::{PATIENCE, Reply};

const ALLOWED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const HOSTS: &str = "\
127.0.0.1 loopback.example
::1 loopback6.example
169.254.169.254 metadata.example
10.1.2.3 both.example
127.0.0.1 both.example
127.0.0.1 denied-first.example
127.0.0.2 denied-first.example
::1 denied-first.example
127.0.0.2 allowed-first.example
::1 allowed-first.example
127.0.0.1 allowed-first.example
";

/// A proxy whose machine has these hosts, and which may ask [`ALLOWED`] beside the public internet.
fn proxy(hosts: &Path) -> (Program, SocketAddr) {
    let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    let hosts = hosts.to_str().unwrap();
    let mut args = vec!["-m", "sh", "-c", script, hosts];
    args.extend([env!("CARGO_BIN_EXE_proxyd"), "--port", "0"]);
    args.extend(["--udp-port", "0", "--admin", "off", "--workers", "1"]);
    args.extend(["--connect-port", "1-65535", "--allow-target", "127.0.0.2"]);
    let mut program = Program::start("unshare", args).unwrap();
    let address = program.listening("tcp").unwrap();
    (program, address)
}

/// By GET of a URL, and through a tunnel.
fn ask(proxy: SocketAddr, host: &str, port: u16) -> [Reply; 2] {
    let authority = format!("{host}:{port}");
    let rest = "Host: x\r\nConnection: close\r\n\r\n";
    let get = format!("GET http://{authority}/ HTTP/1.1\r\n{rest}");
    let inner = format!("GET / HTTP/1.1\r\n{rest}");
    let tunnel = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n{inner}");
    [get, tunnel].map(|request| {
        let exchange = testkit::peer::exchange(proxy, request.as_bytes(), PATIENCE);
        Reply::of(&exchange.unwrap().received)
    })
}

#[test]
fn a_name_leads_to_no_address_that_a_client_may_not_name() {
    const NAME: &str = "a_name_leads_to_no_address_that_a_client_may_not_name";
    if netns::left_out(NAME, &["unshare", "mount"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, HOSTS).unwrap();
    let (_program, address) = proxy(&hosts);
    let says = |words: &'static str| {
        move |_: &_| Answer::ok("Cache-Control: no-store\r\n", words).and_close()
    };
    let victim = Origin::start(says("secret"));
    let port = victim.address().port();

    let denied = [
        ("loopback.example", "loopback"),
        ("LoopBack.Example", "loopback"),
        ("loopback6.example", "loopback"),
        ("metadata.example", "link-local"),
        // Whichever is the last.
        ("both.example", "which is not of the public internet"),
    ];
    for (host, kind) in denied {
        for reply in ask(address, host, port) {
            assert_eq!(reply.status, 403, "{host}: {}", reply.text());
            assert!(reply.text().contains(kind), "{host}: {}", reply.text());
        }
    }
    // Where the one that is allowed does not listen, those that do are not tried in its place.
    let mixed = ["denied-first.example", "allowed-first.example"];
    for host in mixed {
        for reply in ask(address, host, port) {
            assert_eq!(reply.status, 502, "{host}: {}", reply.text());
            assert!(reply.text().contains("refused"), "{}", reply.text());
        }
    }
    let allowed = Origin::at((ALLOWED, port).into(), says("open"));
    for host in mixed {
        for reply in ask(address, host, port) {
            assert_eq!(reply.status, 200, "{host}: {}", reply.text());
            assert!(reply.text().ends_with("open"), "{host}: {}", reply.text());
        }
    }
    assert_eq!(allowed.seen().len(), 4);
    assert!(victim.seen().is_empty(), "{:?}", victim.seen());
}
