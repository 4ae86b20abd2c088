//! Networks made of network namespaces and veth pairs, for tests that need routers and loss.
//!
//! A [`Chain`] is a client, some routers and a server in a row. It takes root, `ip` and, for loss
//! and silence, `nft`; [`unavailable`] says what is missing, so that a test can say by name that
//! it was left out.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};

/// Numbers the networks of this process, so that tests may run beside each other.
static NETWORKS: AtomicU32 = AtomicU32::new(0);

/// Why no network can be made here, if none can: not root, no `ip`, or another of `tools`.
pub fn unavailable(tools: &[&str]) -> Option<String> {
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
        for name in &chain.namespaces {
            ip(&["netns", "add", name])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        for link in 0..links {
            chain.connect(link)?;
        }
        for node in 0..chain.namespaces.len() {
            chain.route(node, links)?;
        }
        Ok(chain)
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
            // Without duplicate address detection the address can be used at once.
            ip(&["-n", name, "address", "add", &v6, "dev", device, "nodad"])?;
            ip(&["-n", name, "link", "set", device, "up"])?;
        }
        Ok(())
    }

    /// Gives a node its routes, and has it forward and answer without a rate limit.
    fn route(&self, node: usize, links: usize) -> Result<()> {
        let name = &self.namespaces[node];
        self.run(
            node,
            "sh",
            &[
                "-c",
                "cd /proc/sys/net && echo 1 >ipv4/ip_forward && echo 1 >ipv6/conf/all/forwarding \
                 && echo 0 >ipv4/icmp_ratelimit && echo 0 >ipv6/icmp/ratelimit",
            ],
        )?;
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
            "table inet wirelab {{ chain {hook} {{ type filter hook {hook} priority 0; {rule}; }} }}"
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

fn ip(args: &[&str]) -> Result<Output> {
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
