//! What a multipath trace found: routers, and which follow which.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use netproto::icmp::Version;

use crate::mark::Mark;

/// A router at a hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// How many probes it answered.
    pub answered: u32,
    /// How many of the same flow and TTL went unanswered before.
    pub unanswered: u32,
    /// The shortest round trip.
    pub least_rtt: Duration,
    /// What it said last.
    pub mark: Mark,
}

/// From a hop's router to one of the next hop: at least one flow showed both.
pub type Edge = (u8, IpAddr, IpAddr);

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    /// By TTL and address.
    pub nodes: BTreeMap<(u8, IpAddr), Node>,
    /// Which follow which.
    pub edges: BTreeSet<Edge>,
    /// The hops at which packets of one flow met several routers.
    pub per_packet: BTreeSet<u8>,
    /// How many probes it took.
    pub probes: usize,
    /// Whether a limit ended the search before the rule did.
    pub incomplete: bool,
}

impl Graph {
    pub(super) fn seen(
        &mut self,
        ttl: u8,
        from: IpAddr,
        mark: Mark,
        rtt: Duration,
        unanswered: u32,
    ) {
        let node = self.nodes.entry((ttl, from)).or_insert(Node {
            answered: 0,
            unanswered: 0,
            least_rtt: rtt,
            mark,
        });
        node.answered += 1;
        node.unanswered += unanswered;
        node.least_rtt = node.least_rtt.min(rtt);
        node.mark = mark;
    }

    pub(super) fn edge(&mut self, ttl: u8, from: IpAddr, to: IpAddr) {
        self.edges.insert((ttl, from, to));
    }

    /// Two packets of a flow show an edge only if they went the same way. Where packets are balanced,
    /// that is sure at a hop of one router only.
    pub(super) fn forget_what_is_uncertain(&mut self) {
        let mut widths: BTreeMap<u8, usize> = BTreeMap::new();
        for (ttl, _) in self.nodes.keys() {
            *widths.entry(*ttl).or_default() += 1;
        }
        let is_single = |ttl: u8| widths.get(&ttl) == Some(&1);
        let per_packet = &self.per_packet;
        self.edges.retain(|(ttl, _, _)| {
            let scattered = per_packet.contains(ttl) || per_packet.contains(&(ttl + 1));
            !scattered || is_single(*ttl) || is_single(ttl + 1)
        });
    }

    /// The routers of each hop with what follows them, a line each.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut last = 0;
        for ((ttl, address), node) in &self.nodes {
            let hop = if *ttl == last {
                "  ".to_owned()
            } else {
                format!("{ttl:2}")
            };
            last = *ttl;
            let all = node.answered + node.unanswered;
            let loss = f64::from(node.unanswered) * 100.0 / f64::from(all);
            let ms = node.least_rtt.as_secs_f64() * 1e3;
            let _ = write!(
                text,
                "{hop}  {address}  {ms:.3} ms  {loss:.0}% of {all} lost"
            );
            if let Some(sign) = node.mark.sign(Version::of(*address)) {
                let _ = write!(text, "  {sign}");
            }
            let next: Vec<String> = self
                .edges
                .iter()
                .filter(|(its, from, _)| its == ttl && from == address)
                .map(|(_, _, to)| to.to_string())
                .collect();
            if !next.is_empty() {
                let _ = write!(text, "  -> {}", next.join(" "));
            }
            text.push('\n');
        }
        for ttl in &self.per_packet {
            let _ = writeln!(
                text,
                "hop {ttl}: packets of one flow met several routers: balanced packet by packet, not \
                 flow by flow"
            );
        }
        if self.incomplete {
            text.push_str("a limit on flows ended the search: there may be more\n");
        }
        text
    }

    /// The graph for graphviz.
    pub fn dot(&self) -> String {
        let mut dot = String::from("digraph path {\n  rankdir=LR;\n  node [shape=box];\n");
        for ((ttl, address), node) in &self.nodes {
            let ms = node.least_rtt.as_secs_f64() * 1e3;
            let _ = writeln!(
                dot,
                "  \"{ttl} {address}\" [label=\"{address}\\nhop {ttl}, {ms:.3} ms\"];"
            );
        }
        for (ttl, from, to) in &self.edges {
            let next = ttl + 1;
            let _ = writeln!(dot, "  \"{ttl} {from}\" -> \"{next} {to}\";");
        }
        dot.push_str("}\n");
        dot
    }
}
