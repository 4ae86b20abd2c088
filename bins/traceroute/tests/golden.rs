//! The same trace by this traceroute and by the installed one gives the same lines, times masked.
//! Takes root and a namespaced network.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod peer;

use std::time::{Duration, Instant};

use peer::{OURS, THEIRS, left_out, written};
use testkit::netns::Chain;

/// What a program writes at the client, its times masked.
fn traced(chain: &Chain, program: &str, args: &[&str]) -> String {
    written(chain.command(0, program, args))
}

/// Without it, the installed one gives up on answers that a busy machine is late with.
const PATIENT: &str = "-w 5";

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
fn refusals_have_the_marks_of_the_linux_traceroute() {
    if left_out("refusals_have_the_marks_of_the_linux_traceroute") {
        return;
    }
    for (rule, mark) in [
        ("ip ttl > 0 reject with icmp type net-unreachable", " !N"),
        ("ip ttl > 0 reject with icmp type host-unreachable", " !H"),
        ("ip ttl > 0 reject with icmp type prot-unreachable", " !P"),
        ("ip ttl > 0 reject with icmp type admin-prohibited", " !X"),
        ("ip6 hoplimit > 0 reject with icmpv6 type no-route", " !N"),
        (
            "ip6 hoplimit > 0 reject with icmpv6 type addr-unreachable",
            " !H",
        ),
        (
            "ip6 hoplimit > 0 reject with icmpv6 type admin-prohibited",
            " !X",
        ),
    ] {
        let chain = Chain::new(2).unwrap();
        chain.filter(2, "forward", rule).unwrap();
        let host = if rule.starts_with("ip6") {
            chain.server_v6()
        } else {
            chain.server_v4()
        };
        for method in ["", "-I ", "-T "] {
            let told = compare(&chain, &format!("-n {method}{host}"));
            assert!(told.contains(mark), "{method}{rule}");
        }
    }
}

#[test]
fn a_target_that_is_not_there_or_behind_a_wall_reads_as_in_the_linux_traceroute() {
    const NAME: &str =
        "a_target_that_is_not_there_or_behind_a_wall_reads_as_in_the_linux_traceroute";
    if left_out(NAME) {
        return;
    }
    let chain = Chain::new(3).unwrap();
    // Nobody has the address: the last router asks its link in vain.
    for host in ["10.0.3.99", "fd00:0:0:3::99"] {
        let told = compare(&chain, &format!("-n -w 5 {host}"));
        assert!(told.contains("!H"), "{told}");
    }
    chain.drop_packets(3, "forward", "ip ttl > 0").unwrap();
    let told = compare(&chain, &format!("-n -w 1 -m 7 {}", chain.server_v4()));
    assert!(told.contains("3  10.0.2.2"), "{told}");
    assert!(told.contains("\n  7  * * *"), "{told}");
    let begun = Instant::now();
    let told = traced(
        &chain,
        OURS,
        &["-n", "--gap", "3", "-w", "1", &chain.server_v4()],
    );
    assert!(
        told.contains("\n  6  * * *") && !told.contains("\n  7"),
        "{told}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
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
                let hop = told.lines().find(|line| line.starts_with("  4 ")).unwrap();
                assert!(hop.contains(" T ms F~1400"), "{told}");
                assert_eq!(told.matches("1400").count(), 1, "{told}");
            } else {
                let told = compare(&chain, &format!("-n --mtu {host}"));
                let hop = told.lines().find(|line| line.starts_with("  4 ")).unwrap();
                assert!(hop.contains(" T ms F=1400"), "{told}");
                let told = compare(&chain, &format!("-n -F {host} 1450"));
                assert!(told.contains("!F-1400"), "{told}");
            }
        }
    }
}

#[test]
fn a_silent_router_is_stars_and_is_not_waited_for_once_later_ones_answered() {
    if left_out("a_silent_router_is_stars_and_is_not_waited_for_once_later_ones_answered") {
        return;
    }
    let chain = Chain::new(3).unwrap();
    let own_errors = "icmp type time-exceeded drop\nicmpv6 type time-exceeded";
    chain.drop_packets(2, "output", own_errors).unwrap();
    for (host, third) in [
        (chain.server_v4(), "10.0.2.2"),
        (chain.server_v6(), "fd00:0:0:2::2"),
    ] {
        for method in ["-q3", "-I", "-T"] {
            let begun = Instant::now();
            let ours = traced(&chain, OURS, &["-n", method, &host]);
            let took = begun.elapsed();
            let expected = format!("\n  2  * * * \n  3  {third}");
            assert!(ours.contains(&expected), "{ours}");
            assert!(took < Duration::from_secs(1), "{took:?}");
        }
        let args = format!("-n -w 1 {host}");
        assert!(compare(&chain, &args).contains("2  * * *"));
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
        let hop = told.lines().find(|line| line.starts_with("  3 ")).unwrap();
        assert!(hop.contains(" '-5'"), "{told}");
        assert_eq!(told.matches("'-").count(), 1, "{told}");
    }
}

#[test]
fn without_root_udp_goes_by_the_error_queue_and_echo_by_datagram_sockets() {
    if left_out("without_root_udp_goes_by_the_error_queue_and_echo_by_datagram_sockets") {
        return;
    }
    let chain = Chain::new(3).unwrap();
    let anyone = "echo '0 2147483647' >/proc/sys/net/ipv4/ping_group_range";
    chain.run(0, "sh", &["-c", anyone]).unwrap();
    for host in [chain.server_v4(), chain.server_v6()] {
        for method in ["-q3", "-I"] {
            let as_root = traced(&chain, OURS, &["-n", method, &host]);
            let args = [
                "--bounding-set=-net_raw",
                "--inh-caps=-net_raw",
                OURS,
                "-n",
                method,
                &host,
            ];
            assert_eq!(traced(&chain, "setpriv", &args), as_root);
        }
    }
}

#[test]
fn who_may_not_open_a_raw_socket_is_told_what_grants_one_and_nothing_else() {
    if left_out("who_may_not_open_a_raw_socket_is_told_what_grants_one_and_nothing_else") {
        return;
    }
    let chain = Chain::new(1).unwrap();
    // It grants datagram sockets, so that to advise it would lead in a circle.
    let anyone = "echo '0 2147483647' >/proc/sys/net/ipv4/ping_group_range";
    chain.run(0, "sh", &["-c", anyone]).unwrap();
    let asked = [
        "-T",
        "-UL",
        "-P47",
        "-e",
        "-Ie",
        "--mda",
        "--diagnose",
        "--confirm",
        "--report",
        "--live",
    ];
    for host in [chain.server_v4(), chain.server_v6()] {
        for flag in asked {
            let args = [
                "--bounding-set=-net_raw",
                "--inh-caps=-net_raw",
                OURS,
                flag,
                &host,
            ];
            let refused = chain.command(0, "setpriv", &args).output().unwrap();
            assert_eq!(refused.status.code(), Some(2), "{flag}");
            let said = String::from_utf8_lossy(&refused.stderr);
            assert!(said.contains("setcap cap_net_raw+ep"), "{flag}: {said}");
            assert!(!said.contains("ping_group_range"), "{flag}: {said}");
            assert_eq!(said.lines().count(), 1, "{flag}: {said}");
        }
    }
}
