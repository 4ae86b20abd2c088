//! Every path through networks of namespaces whose first router shares the load. Takes root.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod peer;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use peer::{OURS, left_out, written};

const TARGET: &str = "10.3.0.2";

/// Numbers the networks of this process.
static NETWORKS: AtomicU32 = AtomicU32::new(0);

/// A client, a router that shares the load over `width` others by ports, one where they meet
/// again, and a server. Dropping it removes it.
struct Diamond {
    prefix: String,
    width: usize,
}

impl Diamond {
    fn new(width: usize) -> Diamond {
        let number = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let diamond = Diamond {
            prefix: format!("wirelab-{}-mda{number}", std::process::id()),
            width,
        };
        for node in diamond.nodes() {
            ip(&["netns", "add", &diamond.name(&node)]);
            let settings = "cd /proc/sys/net/ipv4 && echo 1 >ip_forward && echo 0 >icmp_ratelimit \
                 && echo 1 >fib_multipath_hash_policy && echo 0 >conf/all/rp_filter && \
                 echo 0 >conf/default/rp_filter && \
                 for bound in icmp_msgs_per_sec icmp_msgs_burst; do \
                     test ! -e $bound || echo 100000 >$bound || exit; done";
            let name = diamond.name(&node);
            ip(&["netns", "exec", &name, "sh", "-c", settings]);
            ip(&["-n", &name, "link", "set", "lo", "up"]);
        }
        diamond.link("client", "split", "10.0.0");
        diamond.link("meet", "server", "10.3.0");
        let mut shared = vec!["10.3.0.0/24".to_owned()];
        for branch in 1..=width {
            let middle = format!("m{branch}");
            diamond.link("split", &middle, &format!("10.1.{branch}"));
            diamond.link(&middle, "meet", &format!("10.2.{branch}"));
            diamond.route(
                &middle,
                &["10.3.0.0/24", "via", &format!("10.2.{branch}.2")],
            );
            diamond.route(
                &middle,
                &["10.0.0.0/24", "via", &format!("10.1.{branch}.1")],
            );
            shared.extend(["nexthop", "via"].map(str::to_owned));
            shared.push(format!("10.1.{branch}.2"));
        }
        let shared: Vec<&str> = shared.iter().map(String::as_str).collect();
        diamond.route("split", &shared);
        diamond.route("client", &["default", "via", "10.0.0.2"]);
        diamond.route("meet", &["10.0.0.0/24", "via", "10.2.1.1"]);
        diamond.route("server", &["default", "via", "10.3.0.1"]);
        diamond
    }

    fn nodes(&self) -> Vec<String> {
        let middles = (1..=self.width).map(|branch| format!("m{branch}"));
        let ends = ["client", "split", "meet", "server"].map(str::to_owned);
        ends.into_iter().chain(middles).collect()
    }

    fn name(&self, node: &str) -> String {
        format!("{}-{node}", self.prefix)
    }

    fn route(&self, node: &str, route: &[&str]) {
        let name = self.name(node);
        ip(&[&["-n", &name, "route", "add"], route].concat());
    }

    /// Links two nodes by a network, of which the first has `.1`.
    fn link(&self, near: &str, far: &str, network: &str) {
        let (near, far) = (self.name(near), self.name(far));
        let device = |host: u8| format!("v{}-{host}", network.replace('.', "-"));
        let (left, right) = (device(1), device(2));
        ip(&[
            "link", "add", &left, "netns", &near, "type", "veth", "peer", "name", &right, "netns",
            &far,
        ]);
        for (name, device, host) in [(&near, &left, 1), (&far, &right, 2)] {
            let address = format!("{network}.{host}/24");
            ip(&["-n", name, "address", "add", &address, "dev", device]);
            ip(&["-n", name, "link", "set", device, "up"]);
        }
    }

    /// What ours writes at the client, its times masked.
    fn traced(&self, args: &[&str]) -> String {
        let client = self.name("client");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &client, OURS]).args(args);
        written(command)
    }

    /// Every edge that there is.
    fn edges(&self) -> BTreeSet<String> {
        let mut edges = BTreeSet::from(["\"3 10.2.1.2\" -> \"4 10.3.0.2\"".to_owned()]);
        for branch in 1..=self.width {
            edges.insert(format!("\"1 10.0.0.2\" -> \"2 10.1.{branch}.2\""));
            edges.insert(format!("\"2 10.1.{branch}.2\" -> \"3 10.2.1.2\""));
        }
        edges
    }
}

fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().unwrap();
    assert!(output.status.success(), "ip {args:?}: {output:?}");
}

impl Drop for Diamond {
    fn drop(&mut self) {
        for node in self.nodes() {
            // One that was never made cannot be removed.
            let name = self.name(&node);
            let _ = Command::new("ip").args(["netns", "delete", &name]).output();
        }
    }
}

#[test]
fn diamonds_of_two_four_and_eight_are_found_whole() {
    if left_out("diamonds_of_two_four_and_eight_are_found_whole") {
        return;
    }
    for width in [2, 4, 8] {
        let diamond = Diamond::new(width);
        // So sure that the test does not fail by chance.
        for method in ["-M default", "-T"] {
            let method: Vec<&str> = method.split(' ').collect();
            let args = [
                &["--mda", "--confidence", "99.99", "--dot", "-w", "2"],
                &method[..],
                &[TARGET],
            ];
            let dot = diamond.traced(&args.concat());
            let edges: BTreeSet<String> = dot
                .lines()
                .filter(|line| line.contains("->"))
                .map(|line| line.trim().trim_end_matches(';').to_owned())
                .collect();
            assert_eq!(edges, diamond.edges(), "{method:?}, {width} wide: {dot}");
        }
        let text = diamond.traced(&["--mda", "-w", "2", TARGET]);
        assert!(text.contains("10.0.0.2"), "{text}");
        assert!(text.contains("0% of"), "{text}");
    }
}

#[test]
fn an_ordinary_trace_stays_on_one_branch() {
    if left_out("an_ordinary_trace_stays_on_one_branch") {
        return;
    }
    let diamond = Diamond::new(8);
    for method in ["-q3", "-I", "-T"] {
        let told = diamond.traced(&["-n", method, "-q", "10", TARGET]);
        assert_eq!(told.matches("10.1.").count(), 1, "{method}: {told}");
    }
    // The old way is spread: ten probes on one of eight branches have a chance of 8^-9.
    let told = diamond.traced(&["-n", "--classic", "-q", "10", TARGET]);
    assert!(told.matches("10.1.").count() > 1, "{told}");
}
