//! The same trace by this traceroute and by the installed one gives the same lines, times masked.
//! Takes root and a namespaced network.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod marks;
mod peer;
mod unanswered;
mod unprivileged;

use peer::{OURS, THEIRS, left_out, written};
use testkit::netns::Chain;

/// What a program writes at the client, its times masked.
fn traced(chain: &Chain, program: &str, args: &[&str]) -> String {
    written(chain.command(0, program, args))
}

/// Without it, the installed one gives up on answers that a busy machine is late with.
const PATIENT: &str = "-w 5";

/// By UDP, which is what three probes a hop are by default, by ICMP and by TCP.
const METHODS: [&str; 3] = ["-q3", "-I", "-T"];

/// What both write, which must be the same.
fn compare(chain: &Chain, args: &str) -> String {
    let args = format!("{PATIENT} {args}");
    let args: Vec<&str> = args.split_whitespace().collect();
    let ours = traced(chain, OURS, &args);
    let theirs = traced(chain, THEIRS, &args);
    assert_eq!(ours, theirs, "traceroute {args:?}");
    ours
}

#[test]
fn a_chain_of_routers_reads_as_in_the_linux_traceroute() {
    if left_out("a_chain_of_routers_reads_as_in_the_linux_traceroute") {
        return;
    }
    let chain = Chain::new(4).unwrap();
    for host in [chain.server_v4(), chain.server_v6()] {
        for options in [
            "-n",
            "",
            "-I -n",
            "-n -f 3 -m 4",
            "-n -q 1",
            "-n -m 2",
            "-U -n",
            "-U -n -p 99",
            "-UL -n",
            "-P 253 -n",
            "-M tcp -n",
            "-M icmp -n",
            "-M udp -n",
            "-M udplite -n",
            "-M raw -n",
            "-F -n",
            "-t 16 -n",
            "-z 20 -n",
            "-n --sport=5555",
            "-n -i right",
            "-n -e",
            "-n --back",
            "-n --mtu",
            "-n --mtu -I",
        ] {
            compare(&chain, &format!("{options} {host}"));
        }
        // More than the first link takes.
        compare(&chain, &format!("-n -F {host} 1600"));
    }
    compare(&chain, &format!("-n {} 100", chain.server_v4()));
    compare(&chain, &format!("-n -s 10.0.0.1 {}", chain.server_v4()));
}

/// By UDP, by ICMP, by TCP to a port that refuses and to one that accepts.
#[test]
fn ten_routers_are_found_by_every_method() {
    if left_out("ten_routers_are_found_by_every_method") {
        return;
    }
    let chain = Chain::new(10).unwrap();
    let accepting = "import socket\n\
                     s = socket.create_server(('::', 8000), family=socket.AF_INET6, \
                     dualstack_ipv6=True)\n\
                     print('listening', flush=True)\n\
                     s.accept()\nprint('accepted', flush=True)\ninput()\n";
    let mut server = chain
        .command(chain.server(), "python3", &["-c", accepting])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(server.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert_eq!(line, "listening\n");
    for host in [chain.server_v4(), chain.server_v6()] {
        for method in ["-n", "-n -I", "-n -T", "-n -T -p 8000"] {
            let ours = compare(&chain, &format!("{method} {host}"));
            let hops: Vec<&str> = ours
                .lines()
                .skip(1)
                .filter_map(|line| line.split_whitespace().nth(1))
                .collect();
            let route: Vec<String> = (0..=10)
                .map(|link| match (host.contains(':'), link) {
                    (false, _) => format!("10.0.{link}.2"),
                    (true, 0) => "fd00::2".to_owned(),
                    (true, _) => format!("fd00:0:0:{link}::2"),
                })
                .collect();
            assert_eq!(hops, route, "{method} {host}");
            assert!(!ours.contains('*'), "{ours}");
        }
    }
    // Half-open connections never reach the application.
    server.kill().unwrap();
    server.wait().unwrap();
    line.clear();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert_eq!(line, "");
}

#[test]
fn a_loose_source_route_is_followed() {
    if left_out("a_loose_source_route_is_followed") {
        return;
    }
    let chain = Chain::new(3).unwrap();
    // The errors come back by the reversed route.
    for node in 0..=chain.server() {
        let allow = "for f in /proc/sys/net/ipv4/conf/*/accept_source_route; do echo 1 >$f; done";
        chain.run(node, "sh", &["-c", allow]).unwrap();
    }
    let host = chain.server_v4();
    let routed = traced(&chain, OURS, &["-n", "-g", "10.0.1.2", &host]);
    // The installed one sees nothing before the gateway, where the quote names the gateway.
    assert!(routed.starts_with("traceroute to 10.0.3.2 (10.0.3.2), 30 hops max, 72 byte packets"));
    for hop in ["1  10.0.0.2", "2  10.0.1.2", "3  10.0.2.2", "4  10.0.3.2"] {
        assert!(routed.contains(hop), "{routed}");
    }
}

#[test]
fn a_link_of_1400_octets_is_told_by_its_router_or_found_without_a_word() {
    if left_out("a_link_of_1400_octets_is_told_by_its_router_or_found_without_a_word") {
        return;
    }
    for silent in [false, true] {
        let chain = Chain::new(4).unwrap();
        for (node, device) in [(3, "right"), (4, "left")] {
            let link = ["link", "set", device, "mtu", "1400"];
            chain.run(node, "ip", &link).unwrap();
        }
        if silent {
            let rule = "icmp type destination-unreachable icmp code frag-needed drop\n\
                        icmpv6 type packet-too-big";
            chain.drop_packets(3, "output", rule).unwrap();
        }
        for host in [chain.server_v4(), chain.server_v6()] {
            if silent {
                let told = traced(&chain, OURS, &["-n", "--mtu", &host]);
                let hop = told.lines().find(|line| line.starts_with(" 4 ")).unwrap();
                assert!(hop.contains(" T ms F~1400"), "{told}");
                assert_eq!(told.matches("1400").count(), 1, "{told}");
            } else {
                let told = compare(&chain, &format!("-n --mtu {host}"));
                let hop = told.lines().find(|line| line.starts_with(" 4 ")).unwrap();
                assert!(hop.contains(" T ms F=1400"), "{told}");
                let told = compare(&chain, &format!("-n -F {host} 1450"));
                assert!(told.contains("!F-1400"), "{told}");
            }
        }
    }
}

#[test]
fn a_way_back_of_another_length_is_told() {
    if left_out("a_way_back_of_another_length_is_told") {
        return;
    }
    let chain = Chain::new(4).unwrap();
    // Two routers more on the way back, as far as the TTL tells.
    let rule = "ip ttl set 62\nip6 hoplimit set 62";
    chain.filter(3, "output", rule).unwrap();
    for host in [chain.server_v4(), chain.server_v6()] {
        let told = compare(&chain, &format!("-n --back {host}"));
        let hop = told.lines().find(|line| line.starts_with(" 3 ")).unwrap();
        assert!(hop.contains(" '-5'"), "{told}");
        assert_eq!(told.matches("'-").count(), 1, "{told}");
    }
}
