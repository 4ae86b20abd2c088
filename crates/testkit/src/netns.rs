//! Networks made of network namespaces and veth pairs, for tests that need routers and loss.
//!
//! A [`Chain`] is a client, some routers and a server in a row. It takes root, `ip` and, for loss
//! and silence, `nft`; a test for which something is missing is [`left_out`] and says so by name.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// How long a new network may take until its ends reach each other.
const READY_DEADLINE: Duration = Duration::from_secs(10);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// Where nobody listens, so that the server refuses.
const CLOSED_PORT: u16 = 9;

/// Numbers the networks of this process, so that tests may run beside each other.
static NETWORKS: AtomicU32 = AtomicU32::new(0);

/// Why no network can be made here, if none can: not root, no `ip`, or another of `tools`.
fn unavailable(tools: &[&str]) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let missing = |tool: &&&str| {
        Command::new("sh")
            .args(["-c", "command -v \"$0\"", tool])
            .output()
            .is_ok_and(|found| !found.status.success())
    };
    let missing = ["ip"].iter().chain(tools).find(missing)?;
    Some(format!("no {missing} on this machine"))
}

/// Whether `test` is left out because no network can be made here or one of `tools` is missing;
/// says so, with the reason.
pub fn left_out(test: &str, tools: &[&str]) -> bool {
    let why = unavailable(tools);
    if let Some(why) = &why {
        eprintln!("left out: {test}: {why}");
    }
    why.is_some()
}

/// A client, `routers` routers and a server, each in a namespace, linked in a row.
///
/// Link k (counted from 0 at the client) has the networks `10.0.k.0/24` and `fd00:0:0:k::/64`; on
/// each, the end nearer to the client is `.1` and the other `.2`. Dropping the chain removes it.
#[derive(Debug)]
pub struct Chain {
    namespaces: Vec<String>,
}

impl Chain {
    /// Builds the chain.
    pub fn new(routers: usize) -> Result<Chain> {
        let number = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("wirelab-{}-{number}", std::process::id());
        let names = (0..routers + 2).map(|node| format!("{prefix}-{node}"));
        let chain = Chain {
            namespaces: names.collect(),
        };
        let links = routers + 1;
        for (node, name) in chain.namespaces.iter().enumerate() {
            ip(&["netns", "add", name])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
            chain.prepare(node)?;
        }
        for link in 0..links {
            chain.connect(link)?;
        }
        for node in 0..chain.namespaces.len() {
            chain.route(node, links)?;
        }
        for server in [chain.server_v4(), chain.server_v6()] {
            chain.await_answer(&server)?;
        }
        Ok(chain)
    }

    /// Waits until the client can reach `server`. Neighbour discovery over a new link may take a
    /// second, which is no part of what a test measures.
    fn await_answer(&self, server: &str) -> Result<()> {
        let server: IpAddr = server.parse()?;
        let namespace = File::open(format!("/var/run/netns/{}", self.namespaces[0]))?;
        let asking = move || -> Result<()> {
            // This thread ends in the namespace; the others of the process stay where they are.
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            let socket = match server {
                IpAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
                IpAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?,
            };
            socket.set_read_timeout(Some(ASK_AGAIN_AFTER))?;
            socket.connect((server, CLOSED_PORT))?;
            let end = Instant::now() + READY_DEADLINE;
            while Instant::now() < end {
                // A refusal is an answer: the way there and back is open.
                let refused = |error: std::io::Error| error.kind() == ErrorKind::ConnectionRefused;
                if socket.send(b"?").is_err_and(refused)
                    || socket.recv(&mut [0]).is_err_and(refused)
                {
                    return Ok(());
                }
            }
            bail!("{server} did not answer within {READY_DEADLINE:?}")
        };
        match std::thread::spawn(asking).join() {
            Ok(answered) => answered,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Joins node `link` and the next.
    fn connect(&self, link: usize) -> Result<()> {
        let [near, far] = [&self.namespaces[link], &self.namespaces[link + 1]];
        ip(&[
            "link", "add", "right", "netns", near, "type", "veth", "peer", "name", "left", "netns",
            far,
        ])?;
        for (name, device, host) in [(near, "right", 1), (far, "left", 2)] {
            let v4 = format!("10.0.{link}.{host}/24");
            let v6 = format!("fd00:0:0:{link}::{host}/64");
            ip(&["-n", name, "address", "add", &v4, "dev", device])?;
            ip(&["-n", name, "address", "add", &v6, "dev", device, "nodad"])?;
            ip(&["-n", name, "link", "set", device, "up"])?;
        }
        Ok(())
    }

    /// Has a node forward, answer without a rate limit, and use IPv6 addresses at once: duplicate
    /// address detection would hold link-local ones, and with them neighbour discovery, for a
    /// second.
    fn prepare(&self, node: usize) -> Result<()> {
        let settings = "cd /proc/sys/net && \
            echo 1 >ipv4/ip_forward && echo 1 >ipv6/conf/all/forwarding && \
            echo 0 >ipv4/icmp_ratelimit && echo 0 >ipv6/icmp/ratelimit && \
            for bound in ipv4/icmp_msgs_per_sec ipv4/icmp_msgs_burst; do \
                test ! -e $bound || echo 100000 >$bound || exit; done && \
            echo 0 >ipv6/conf/all/accept_dad && echo 0 >ipv6/conf/default/accept_dad";
        self.run(node, "sh", &["-c", settings]).map(|_| ())
    }

    /// Gives a node its routes.
    fn route(&self, node: usize, links: usize) -> Result<()> {
        let name = &self.namespaces[node];
        for link in 0..links {
            let v4 = format!("10.0.{link}.0/24");
            let v6 = format!("fd00:0:0:{link}::/64");
            // Towards the server by the link on the right, towards the client by the left one.
            let via = match link {
                _ if link > node => (node, 2),
                _ if link + 1 < node => (node - 1, 1),
                _ => continue,
            };
            let gateway_4 = format!("10.0.{}.{}", via.0, via.1);
            let gateway_6 = format!("fd00:0:0:{}::{}", via.0, via.1);
            ip(&["-n", name, "route", "add", &v4, "via", &gateway_4])?;
            ip(&["-n", name, "route", "add", &v6, "via", &gateway_6])?;
        }
        Ok(())
    }

    /// The namespace of a node: 0 is the client, the last is the server.
    pub fn namespace(&self, node: usize) -> &str {
        &self.namespaces[node]
    }

    /// The number of the server.
    pub fn server(&self) -> usize {
        self.namespaces.len() - 1
    }

    /// The server's IPv4 address.
    pub fn server_v4(&self) -> String {
        format!("10.0.{}.2", self.server() - 1)
    }

    /// The server's IPv6 address.
    pub fn server_v6(&self) -> String {
        format!("fd00:0:0:{}::2", self.server() - 1)
    }

    /// A command that runs in a node's namespace. Its process is the program itself, so that a
    /// signal to it reaches the program.
    pub fn command(&self, node: usize, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespaces[node], program])
            .args(args);
        command
    }

    /// Runs a program in a node's namespace to its end, which must be a success.
    pub fn run(&self, node: usize, program: &str, args: &[&str]) -> Result<Output> {
        succeed(self.command(node, program, args))
    }

    /// Has a node drop what an nft rule matches, at one of nft's hooks (`input`, `output`,
    /// `forward`); `numgen random mod 100 < 30` is a loss of 30 %.
    pub fn drop_packets(&self, node: usize, hook: &str, matching: &str) -> Result<()> {
        self.filter(node, hook, &format!("{matching} drop"))
    }

    /// Gives a node an nft rule of any kind at one of nft's hooks.
    pub fn filter(&self, node: usize, hook: &str, rule: &str) -> Result<()> {
        let rules = format!(
            "table inet wirelab {{\nchain {hook} {{\n\
             type filter hook {hook} priority 0\n{rule}\n}}\n}}\n"
        );
        self.run(node, "nft", &[&rules]).map(|_| ())
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        for name in &self.namespaces {
            // One that was never made cannot be removed; nor is there anything to do about it.
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
        }
    }
}

pub(crate) fn ip(args: &[&str]) -> Result<Output> {
    let mut command = Command::new("ip");
    command.args(args);
    succeed(command)
}

fn succeed(mut command: Command) -> Result<Output> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output)
}
