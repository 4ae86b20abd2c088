//! What may be traced without CAP_NET_RAW.

use testkit::netns::Chain;

use crate::peer::{OURS, left_out};
use crate::traced;

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
