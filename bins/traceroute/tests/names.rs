//! Names and autonomous systems are looked up beside the probing: a resolver that is dead holds
//! nothing up, and one that is slow is waited for once. Takes root and a namespaced network.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod peer;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use peer::{OURS, left_out, written};
use testkit::netns::Chain;

/// A chain whose client asks the server for names. Dropping it removes what `ip netns exec` lays
/// over /etc.
struct Resolving {
    chain: Chain,
    etc: String,
}

impl Resolving {
    fn new() -> Resolving {
        let chain = Chain::new(10).unwrap();
        let etc = format!("/etc/netns/{}", chain.namespace(0));
        fs::create_dir_all(&etc).unwrap();
        let server = format!("nameserver {}\n", chain.server_v4());
        fs::write(format!("{etc}/resolv.conf"), server).unwrap();
        Resolving { chain, etc }
    }

    /// What ours writes, and how long it takes.
    fn traced(&self, args: &[&str]) -> (String, Duration) {
        let host = self.chain.server_v4();
        let command = self.chain.command(0, OURS, &[args, &[&host]].concat());
        let begun = Instant::now();
        (written(command), begun.elapsed())
    }

    /// The least of several times, for a busy machine can only add to it.
    fn least(&self, mut time: impl FnMut(&Resolving) -> Duration) -> Duration {
        const RUNS: usize = 5;
        (0..RUNS).map(|_| time(self)).min().unwrap()
    }

    /// A script at a node, once it has said that it is ready.
    fn script(&self, node: usize, script: &str) -> Script {
        let mut child = self
            .chain
            .command(node, "python3", &["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Script { child, said }
    }
}

impl Drop for Resolving {
    fn drop(&mut self) {
        // Nor is there anything to do about it where it is gone.
        let _ = fs::remove_dir_all(&self.etc);
    }
}

/// A running script. Dropping it ends it.
struct Script {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Script {
    /// What it says to a line.
    fn told(&mut self, line: &str) -> String {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.said.read_line(&mut answer).unwrap();
        answer
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Hears every packet that comes in from the client; to any line it says the seconds from the first
/// probe to the last since the line before.
const SPAN: &str = "
import select, socket, sys, time
wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
wire.bind(('left', 0))
print('ready', flush=True)
seen = []
while True:
    ready, _, _ = select.select([wire, sys.stdin], [], [])
    if wire in ready:
        packet = wire.recv(2048)
        port = int.from_bytes(packet[22:24], 'big')
        if packet[9] == 17 and port == 33434 and packet[12:16] == bytes([10, 0, 0, 1]):
            seen.append(time.monotonic())
    elif sys.stdin.readline():
        print(len(seen), seen[-1] - seen[0], flush=True)
        seen = []
    else:
        break
";

/// Answers what a name is of an address, and what its system is. The first router's at once, all
/// others after 0.2 s each.
const SLOW_RESOLVER: &str = "
import select, socket, time
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(('0.0.0.0', 53))
print('ready', flush=True)
waiting = []
while True:
    left = max(0, waiting[0][0] - time.monotonic()) if waiting else None
    if not select.select([names], [], [], left)[0]:
        names.sendto(*waiting.pop(0)[1:])
        continue
    query, client = names.recvfrom(512)
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    question = query[12:at + 5]
    kind = query[at + 2]
    link = labels[1]
    if kind == 12:
        text = ('router' + link).encode()
        data = bytes([len(text)]) + text + b'\\x07example\\x00'
    else:
        text = ('6450' + link + ' | 192.0.2.0/24').encode()
        data = bytes([len(text)]) + text
    answer = (query[:2] + b'\\x81\\x80\\x00\\x01\\x00\\x01\\x00\\x00\\x00\\x00' + question
        + b'\\xc0\\x0c' + bytes([0, kind]) + b'\\x00\\x01\\x00\\x00\\x00\\x3c'
        + len(data).to_bytes(2, 'big') + data)
    if link == '0':
        names.sendto(answer, client)
    else:
        waiting.append((time.monotonic() + 0.2, answer, client))
";

/// A resolver that nothing comes back from, not even a refusal.
fn dead() -> Resolving {
    let resolving = Resolving::new();
    let questions = "meta l4proto { udp, tcp } th dport 53";
    resolving
        .chain
        .drop_packets(1, "forward", questions)
        .unwrap();
    resolving
}

/// Each of the 33 probes waits for the answer to the one before, so that whatever holds one up
/// shows. A name that is waited for costs 0.1 s and more.
#[test]
fn a_dead_resolver_keeps_no_probe() {
    const ALLOWED: Duration = Duration::from_millis(50);
    if left_out("a_dead_resolver_keeps_no_probe") {
        return;
    }
    let resolving = dead();
    let mut wire = resolving.script(1, SPAN);
    let mut span = |args: &[&str]| {
        resolving.least(|resolving| {
            resolving.traced(args);
            let said = wire.told("how long?");
            let (probes, seconds) = said.trim().split_once(' ').unwrap();
            assert_eq!(probes, "33");
            Duration::from_secs_f64(seconds.parse().unwrap())
        })
    };
    let without = span(&["-N1", "-n"]);
    for args in [&["-N1"][..], &["-N1", "-A"], &["-N1", "-A", "--json"]] {
        let with_names = span(args);
        assert!(
            with_names < without + ALLOWED,
            "{args:?}: {with_names:?} beside {without:?}"
        );
    }
}

/// Names and systems together: 0.1 s. (The resolver's own patience is 5 s and more for each.)
#[test]
fn a_dead_resolver_costs_the_lines_a_tenth_of_a_second() {
    const ALLOWED: Duration = Duration::from_millis(100 + 80);
    if left_out("a_dead_resolver_costs_the_lines_a_tenth_of_a_second") {
        return;
    }
    let resolving = dead();
    let took = |args: &[&str]| resolving.least(|resolving| resolving.traced(args).1);
    let without = took(&["-n"]);
    for args in [&["-A"][..], &["-A", "--json"], &["-A", "--csv"]] {
        let with_names = took(args);
        assert!(
            with_names < without + ALLOWED,
            "{args:?}: {with_names:?} beside {without:?}"
        );
    }
    let (told, _) = resolving.traced(&["-A"]);
    assert!(
        told.contains("\n11  10.0.10.2 (10.0.10.2) [*]  T ms"),
        "{told}"
    );
}

/// One behind the other, ten names and ten systems would take 4 s.
#[test]
fn slow_answers_are_waited_for_together() {
    const ALLOWED: Duration = Duration::from_secs(2);
    if left_out("slow_answers_are_waited_for_together") {
        return;
    }
    let resolving = Resolving::new();
    let _resolver = resolving.script(resolving.chain.server(), SLOW_RESOLVER);
    let (told, took) = resolving.traced(&["-A"]);
    for link in 0..=10 {
        let hop = format!("router{link}.example (10.0.{link}.2) [AS6450{link}]");
        assert!(told.contains(&hop), "{told}");
    }
    assert!(took < ALLOWED, "{took:?}");
}
