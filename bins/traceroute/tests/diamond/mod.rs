//! A network of namespaces whose first router shares the load.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::peer::OURS;

pub(crate) const TARGET: &str = "10.3.0.2";
pub(crate) const TARGET_V6: &str = "fd00:10:3:0::2";

/// How long a new network may take until its nodes reach each other.
const READY_DEADLINE: Duration = Duration::from_secs(20);

/// Numbers the networks of this process.
static NETWORKS: AtomicU32 = AtomicU32::new(0);

/// A client, a router that shares the load over `width` others by ports, one where they meet
/// again, and a server. Dropping it removes it.
pub(crate) struct Diamond {
    prefix: String,
    width: usize,
}

impl Diamond {
    pub(crate) fn new(width: usize) -> Diamond {
        let number = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let diamond = Diamond {
            prefix: format!("wirelab-{}-mda{number}", std::process::id()),
            width,
        };
        for node in diamond.nodes() {
            ip(&["netns", "add", &diamond.name(&node)]);
            let settings = "cd /proc/sys/net/ipv6 && echo 1 >conf/all/forwarding && \
                 echo 0 >icmp/ratelimit && echo 0 >conf/all/accept_dad && \
                 echo 0 >conf/default/accept_dad && echo 1 >fib_multipath_hash_policy && cd /proc/sys/net/ipv4 && echo 1 >ip_forward && echo 0 >icmp_ratelimit \
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
        diamond.warm_up();
        diamond
    }

    /// Waits until all neighbours know each other, which over new links takes IPv6 a while: until
    /// flows enough to meet every branch are answered at every hop.
    fn warm_up(&self) {
        let end = Instant::now() + READY_DEADLINE;
        for port in 33_434..33_434 + 8 * self.width {
            let port = port.to_string();
            let args = [
                "-n", "-q", "1", "-w", "1", "-m", "4", "-p", &port, TARGET_V6,
            ];
            let answered = || {
                let told = self.command(&args).output().unwrap().stdout;
                let told = String::from_utf8_lossy(&told).into_owned();
                told.lines().count() == 5 && !told.contains('*')
            };
            while !answered() {
                assert!(Instant::now() < end, "the network is not ready");
            }
        }
    }

    fn nodes(&self) -> Vec<String> {
        let middles = (1..=self.width).map(|branch| format!("m{branch}"));
        let ends = ["client", "split", "meet", "server"].map(str::to_owned);
        ends.into_iter().chain(middles).collect()
    }

    pub(crate) fn name(&self, node: &str) -> String {
        format!("{}-{node}", self.prefix)
    }

    /// Adds a route, and the same for IPv6.
    fn route(&self, node: &str, route: &[&str]) {
        let name = self.name(node);
        ip(&[&["-n", &name, "route", "add"], route].concat());
        let in_v6 = |word: &&str| match word.rsplit_once('.') {
            Some((network, "0/24")) => format!("{}::/64", v6_network(network)),
            Some((network, host)) => format!("{}::{host}", v6_network(network)),
            None => (*word).to_owned(),
        };
        let route: Vec<String> = route.iter().map(in_v6).collect();
        let route: Vec<&str> = route.iter().map(String::as_str).collect();
        ip(&[&["-n", &name, "-6", "route", "add"], &route[..]].concat());
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
            let address = format!("{}::{host}/64", v6_network(network));
            ip(&[
                "-n", name, "address", "add", &address, "dev", device, "nodad",
            ]);
            ip(&["-n", name, "link", "set", device, "up"]);
        }
    }

    /// Ours at the client.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.at_client(OURS, args)
    }

    /// A program at the client.
    pub(crate) fn at_client(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name("client"), program]);
        command.args(args);
        command
    }
}

/// The IPv6 network beside an IPv4 one, such as fd00:10:1:2 beside 10.1.2.
pub(crate) fn v6_network(network: &str) -> String {
    format!("fd00:{}", network.replace('.', ":"))
}

pub(crate) fn ip(args: &[&str]) {
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
