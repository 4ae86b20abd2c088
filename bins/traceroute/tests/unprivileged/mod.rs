//! What may be traced by somebody who is not root and has no capability.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use tempfile::TempDir;
use testkit::netns::Chain;

use crate::peer::{OURS, THEIRS, left_out, masked};

/// A network and what nobody can run in it: a copy, for the folder that it was built in may be
/// closed to strangers.
struct Nobody {
    chain: Chain,
    folder: TempDir,
}

impl Nobody {
    /// `datagrams` says whether the kernel gives datagram ICMP sockets to anyone.
    fn new(routers: usize, datagrams: bool) -> Nobody {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::copy(OURS, folder.path().join("traceroute")).unwrap();
        let chain = Chain::new(routers).unwrap();
        let range = if datagrams { "0 2147483647" } else { "1 0" };
        let script = format!("echo '{range}' >/proc/sys/net/ipv4/ping_group_range");
        chain.run(0, "sh", &["-c", &script]).unwrap();
        Nobody { chain, folder }
    }

    fn ours(&self) -> String {
        let ours = self.folder.path().join("traceroute");
        ours.to_str().unwrap().to_owned()
    }

    /// Runs a program at the client as nobody.
    fn run(&self, program: &str, args: &[&str]) -> Output {
        let as_nobody = [
            "--reuid=nobody",
            "--regid=nogroup",
            "--clear-groups",
            "--bounding-set=-all",
            program,
        ];
        let args = [&as_nobody, args].concat();
        self.chain.command(0, "setpriv", &args).output().unwrap()
    }

    /// What a program writes to nobody, its times masked.
    fn traced(&self, program: &str, args: &[&str]) -> String {
        let output = self.run(program, args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        masked(&String::from_utf8_lossy(&output.stdout))
    }

    /// What ours writes, which must be what it writes to root. By UDP the installed one writes the
    /// same; by datagram ICMP it misses answers by chance.
    fn compare(&self, method: &str, args: &[&str]) -> String {
        let args = [&["-n", "-w", "1", method], args].concat();
        let told = self.traced(&self.ours(), &args);
        assert_eq!(told, crate::traced(&self.chain, OURS, &args), "{args:?}");
        if method != "-I" {
            assert_eq!(told, self.traced(THEIRS, &args), "{args:?}");
        }
        told
    }

    /// The one line on stderr of a run that was refused.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.run(&self.ours(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{args:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        said
    }
}

/// UDP by the socket's error queue, echo requests by datagram sockets: routers, a silent one, the
/// target, and a filter's refusal.
#[test]
fn without_root_udp_and_echo_read_as_with_it() {
    if left_out("without_root_udp_and_echo_read_as_with_it") {
        return;
    }
    let nobody = Nobody::new(4, true);
    let chain = &nobody.chain;
    let silent = "icmp type time-exceeded drop\nicmpv6 type time-exceeded";
    chain.drop_packets(2, "output", silent).unwrap();
    let rules = "ip daddr 10.0.4.2 ip dscp 1 reject with icmp type admin-prohibited\n\
                 ip6 daddr fd00:0:0:4::2 ip6 dscp 1 reject with icmpv6 type admin-prohibited";
    chain.filter(3, "forward", rules).unwrap();
    let check = |method: &str, target: &str, wall: &str| {
        let told = nobody.compare(method, &[target]);
        assert!(told.contains("\n 2  * * *\n 3  "), "{told}");
        let last = format!("\n 5  {target}  T ms  T ms  T ms\n");
        assert!(told.ends_with(&last), "{method}: {told}");
        // DSCP 1.
        let told = nobody.compare(method, &["-t", "4", target]);
        let last = format!("\n 4  {wall}  T ms !X  T ms !X  T ms !X\n");
        assert!(told.ends_with(&last), "{method}: {told}");
    };
    std::thread::scope(|scope| {
        for method in ["-q3", "-I"] {
            scope.spawn(|| check(method, "10.0.4.2", "10.0.2.2"));
            scope.spawn(|| check(method, "fd00:0:0:4::2", "fd00:0:0:2::2"));
        }
    });
}

#[test]
fn who_may_not_open_a_raw_socket_is_told_what_grants_one_and_nothing_else() {
    if left_out("who_may_not_open_a_raw_socket_is_told_what_grants_one_and_nothing_else") {
        return;
    }
    // It grants datagram sockets, so that to advise it would lead in a circle.
    let nobody = Nobody::new(1, true);
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
    for host in [nobody.chain.server_v4(), nobody.chain.server_v6()] {
        for flag in asked {
            let said = nobody.refused(&[flag, &host]);
            assert!(said.contains("setcap cap_net_raw+ep"), "{flag}: {said}");
            assert!(!said.contains("ping_group_range"), "{flag}: {said}");
        }
    }
}

#[test]
fn who_may_not_open_a_datagram_socket_is_told_both_ways_to_one_and_udp_goes_on() {
    if left_out("who_may_not_open_a_datagram_socket_is_told_both_ways_to_one_and_udp_goes_on") {
        return;
    }
    let nobody = Nobody::new(1, false);
    for host in [nobody.chain.server_v4(), nobody.chain.server_v6()] {
        let said = nobody.refused(&["-n", "-I", &host]);
        for cure in ["ping_group_range", "setcap cap_net_raw+ep"] {
            assert!(said.contains(cure), "{said}");
        }
        nobody.compare("-q3", &[&host]);
    }
}
