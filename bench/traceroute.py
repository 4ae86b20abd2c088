"""Measures traceroute beside the Linux traceroute, mtr and trippy, in one run: how long a trace takes.

Ten routers between a client and a server, each in a network namespace, in three states: all healthy;
every second router silent (it drops its own errors); and a server that has gone, behind a last router
that drops everything for it. The figure is the time from start to end of the program, by turns, the
median of several; what the start of any program costs is measured with them.

Each program has what makes it comparable: UDP, no names, three probes a hop, and a wait of one second
at most (the Linux traceroute waits five by default, and so does ours; what shortens a wait is left as
it is by default). mtr and trippy probe in rounds; they make three. Whoever takes more than a second
takes part in the first three turns only, and nobody is waited for longer than ten seconds, so that the
whole takes less than two minutes.

Takes root. Only ratios within one run count: the machine, and who else is using it, are in all of its
figures. However it ends, the namespaces are taken away; those of a run that was killed, by the next.
"""

import argparse
import ctypes
import os
import re
import select
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"traceroute": "traceroute", "ip": "iproute2", "nft": "nftables"}
OTHERS = {"mtr": "apt-get install mtr-tiny", "trip": "cargo install trippy"}
ROUTERS = 10
WAIT = 1
SLOW = 1.0
TURNS_OF_THE_SLOW = 3
PATIENCE = 10.0
NAMESPACE = "bench-trace"
CLONE_NEWNET = 0x40000000
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
START, LINUX, OURS = "(a program that does nothing)", "`traceroute -n`", "this traceroute `-n`"
SETTINGS = """cd /proc/sys/net/ipv4 && echo 1 >ip_forward && echo 0 >icmp_ratelimit &&
for bound in icmp_msgs_per_sec icmp_msgs_burst; do test ! -e $bound || echo 100000 >$bound; done"""
SILENT = "table ip bench {\nchain output {\ntype filter hook output priority 0\nicmp type time-exceeded drop\n}\n}\n"
WALL = "table ip bench {\nchain forward {\ntype filter hook forward priority 0\nip daddr %s drop\n}\n}\n"


def main():
    options = arguments()
    missing = [package for program, package in PACKAGES.items() if not shutil.which(program)]
    if missing:
        sys.exit(f"scripts/bench traceroute: missing: apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        sys.exit("scripts/bench traceroute: takes root, for network namespaces and raw sockets")
    for program, cure in OTHERS.items():
        if not shutil.which(program):
            print(f"left out: {program} ({cure})", file=sys.stderr)
    if not options.no_build:
        subprocess.run(["cargo", "build", "--release", "--bin", "traceroute"], check=True, cwd=ROOT)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    ours = options.binary or str((ROOT / target / "release" / "traceroute").resolve())
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f}, {options.runs} runs by turns.")
    if os.getloadavg()[0] > 0.7:
        print("**Noisy:** other programs are at work. Read no figure closely.")
    for name in ENDING_SIGNALS:
        signal.signal(name, lambda number, _: sys.exit(128 + number))
    remove_those_of_the_dead()
    chain = Chain()
    try:
        chain.build()
        aims = measure(chain, ours, options.runs)
    finally:
        # Whoever is in a hurry now would leave half of them behind.
        for name in ENDING_SIGNALS:
            signal.signal(name, signal.SIG_IGN)
        chain.remove()
    print("\n### Aims\n")
    for aim in aims:
        print(f"- {aim}")


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench traceroute",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=21, help="runs of each row (default: 21)")
    parser.add_argument("--no-build", action="store_true", help="take the binary as it is")
    parser.add_argument("--binary", help="take this traceroute instead of the one in target/release")
    options = parser.parse_args()
    options.no_build |= options.binary is not None
    if options.runs < 1:
        parser.error("--runs is at least 1")
    return options


class Chain:
    """A client, ten routers and a server in a row; link k is 10.0.k.0/24."""

    def __init__(self):
        self.names = [f"{NAMESPACE}-{os.getpid()}-{node}" for node in range(ROUTERS + 2)]
        self.server = f"10.0.{ROUTERS}.2"

    def build(self):
        for name in self.names:
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "netns", "exec", name, "sh", "-c", SETTINGS)
        for link in range(ROUTERS + 1):
            near, far = self.names[link : link + 2]
            run(*f"ip link add right netns {near} type veth peer name left netns {far}".split())
            for name, device, host in ((near, "right", 1), (far, "left", 2)):
                run(*f"ip -n {name} address add 10.0.{link}.{host}/24 dev {device}".split())
                run(*f"ip -n {name} link set {device} up".split())
        for node, name in enumerate(self.names):
            if node <= ROUTERS:
                run(*f"ip -n {name} route add default via 10.0.{node}.2".split())
            for link in range(node - 1):
                run(*f"ip -n {name} route add 10.0.{link}.0/24 via 10.0.{node - 1}.1".split())
        # The neighbours know each other before anything is measured.
        run(*self.inside("traceroute", "-n", self.server))

    def inside(self, *command, node=0):
        return ["ip", "netns", "exec", self.names[node], *command]

    def filter(self, node, rules):
        run(*self.inside("nft", rules, node=node))

    def enter(self):
        """This process, and what it starts from now on, is where the client is."""
        with open(f"/run/netns/{self.names[0]}", "rb") as client:
            if ctypes.CDLL(None, use_errno=True).setns(client.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "cannot enter the client's namespace")

    def remove(self):
        for name in self.names:
            remove(name)


def remove(name):
    subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def remove_those_of_the_dead():
    """The namespaces of runs that were killed and could not take them away."""
    for name in os.listdir("/run/netns") if os.path.isdir("/run/netns") else []:
        found = re.fullmatch(rf"{NAMESPACE}-(\d+)-\d+", name)
        if found and not is_bench(found[1]):
            remove(name)


def is_bench(pid):
    """Whether there is such a process and it is one like this; numbers are given out again."""
    try:
        return b"traceroute.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def run(*command):
    subprocess.run(command, check=True, capture_output=True)


def measure(chain, ours, runs):
    chain.enter()
    healthy = compare("Ten healthy hops", chain, ours, runs)
    for node in range(1, ROUTERS + 1, 2):
        chain.filter(node, SILENT)
    silent = compare("Half of ten hops silent", chain, ours, runs)
    chain.filter(ROUTERS, WALL % chain.server)
    dead = compare("Half of ten hops silent and the target dead", chain, ours, runs)
    return [
        f"ten healthy hops: ≤ 1.0 × traceroute -n; it is {healthy[OURS] / healthy[LINUX]:.2f}",
        f"half of them silent: ≤ one wait of {WAIT:.0f} s; it is {silent[OURS]:.3f} s, "
        f"beside {silent[LINUX]:.3f} s of traceroute -n",
        f"a dead target: {dead[OURS]:.3f} s, beside {dead[LINUX]:.3f} s of traceroute -n",
    ]


def programs(chain, ours):
    common = ["-n", "-w", f"{WAIT},3,10", chain.server]
    rows = {
        START: [shutil.which("true")],
        LINUX: [shutil.which("traceroute"), *common],
        OURS: [ours, *common],
    }
    if mtr := shutil.which("mtr"):
        rows["mtr, three cycles"] = [mtr, "-n", "-u", "-r", "-c", "3", "-G", str(WAIT), chain.server]
    if trippy := shutil.which("trip"):
        mode = ["--mode", "silent", "--udp", "--report-cycles", "3", "--dns-resolve-method", "system"]
        rows["trippy, three cycles"] = [trippy, *mode, chain.server]
    return rows


def compare(title, chain, ours, runs):
    """Runs each program by turns and prints what they took; the median of each in seconds."""
    rows = programs(chain, ours)
    found = {name: [] for name in rows}
    for _ in range(runs):
        for name, command in rows.items():
            is_slow = any(ended.seconds > SLOW for ended in found[name])
            if not is_slow or len(found[name]) < TURNS_OF_THE_SLOW:
                found[name].append(Ended(command))
    medians = {name: statistics.median(it.seconds for it in ends) for name, ends in found.items()}
    print(f"\n### {title}\n")
    print(f"| program | ms | | runs | × {LINUX} | CPU ms | last hop told | |")
    print("|---|---:|---|---:|---:|---:|---:|---|")
    for name, ends in found.items():
        times = sorted(it.seconds * 1e3 for it in ends)
        stopped = sum(it.stopped for it in ends)
        cells = [
            name,
            f"{medians[name] * 1e3:,.1f}",
            f"[{times[0]:,.1f}–{times[-1]:,.1f}]",
            str(len(ends)),
            "" if name == START else f"{medians[name] / medians[LINUX]:.2f}",
            f"{statistics.median(it.cpu for it in ends) * 1e3:.1f}",
            str(ends[-1].last_hop or ""),
            f"stopped after {PATIENCE:.0f} s: {stopped} of {len(ends)}" if stopped else "",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)
    return medians


class Ended:
    """A run of a program: how long it took, what it cost, and how far it got. It must end well."""

    def __init__(self, command):
        output, ours = os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, ours, 1), (os.POSIX_SPAWN_DUP2, ours, 2)]
        began = time.monotonic()
        pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
        process = os.pidfd_open(pid)
        try:
            # No output is longer than the pipe is, so it is read at the end.
            self.stopped = not select.select([process], [], [], PATIENCE)[0]
        finally:
            if not select.select([process], [], [], 0)[0]:
                os.kill(pid, signal.SIGKILL)
            _, status, used = os.wait4(pid, 0)
            self.seconds = time.monotonic() - began
            os.close(process)
            os.close(ours)
        self.cpu = used.ru_utime + used.ru_stime
        with open(output, encoding="utf-8", errors="replace") as said:
            text = said.read()
        if status != 0 and not self.stopped:
            sys.exit(f"scripts/bench traceroute: {' '.join(command)}: {text.strip()}")
        hops = re.findall(r"^ *(\d+)[ .]", text, re.MULTILINE)
        self.last_hop = int(hops[-1]) if hops else None


if __name__ == "__main__":
    main()
