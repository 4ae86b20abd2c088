"""Measures traceroute beside the Linux traceroute, mtr and trippy, in one run: how long a trace takes.

Ten routers between a client and a server, each in a network namespace, in three states: all healthy;
every second router silent (it drops its own errors); and a server that has gone, behind a last router
that drops everything for it. The figure is the time from start to end of the program, by turns, the
median of several.

Each program has what makes it comparable: UDP, no names, three probes a hop, and a wait of one second
at most (the Linux traceroute waits five by default, and so does ours; what shortens a wait is left as
it is by default). mtr and trippy
probe in rounds; they make three.

Takes root. Only ratios within one run count: the machine, and who else is using it, are in all of its
figures.
"""

import argparse
import os
import resource
import shutil
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
    chain = Chain()
    try:
        chain.build()
        aims = measure(chain, ours, options.runs)
    finally:
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
    parser.add_argument("--runs", type=int, default=7, help="runs of each row (default: 7)")
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
        self.names = [f"bench-trace-{os.getpid()}-{node}" for node in range(ROUTERS + 2)]
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

    def remove(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def run(*command):
    subprocess.run(command, check=True, capture_output=True)


def measure(chain, ours, runs):
    healthy = compare("Ten healthy hops", chain, ours, runs)
    for node in range(1, ROUTERS + 1, 2):
        chain.filter(node, SILENT)
    silent = compare("Half of ten hops silent", chain, ours, runs)
    chain.filter(ROUTERS, WALL % chain.server)
    dead = compare("Half of ten hops silent and the target dead", chain, ours, runs)
    ratio = healthy["ours"] / healthy["traceroute"]
    return [
        f"ten healthy hops: ≤ 1.0 × traceroute -n; it is {ratio:.2f}",
        f"half of them silent: ≤ one wait of {WAIT:.0f} s; it is {silent['ours']:.3f} s",
        f"a dead target: {dead['ours']:.3f} s, beside {dead['traceroute']:.3f} s of traceroute -n",
    ]


def programs(chain, ours):
    common = ["-n", "-w", f"{WAIT},3,10", chain.server]
    rows = {
        "traceroute": ["traceroute", *common],
        "ours": [ours, *common],
    }
    if shutil.which("mtr"):
        rows["mtr"] = ["mtr", "-n", "-u", "-r", "-c", "3", "-G", str(WAIT), chain.server]
    if shutil.which("trip"):
        mode = ["--mode", "silent", "--udp", "--report-cycles", "3", "--dns-resolve-method", "system"]
        rows["trippy"] = ["trip", *mode, chain.server]
    return {name: chain.inside(*command) for name, command in rows.items()}


def compare(title, chain, ours, runs):
    """Runs each program by turns; the median of each in seconds."""
    rows = programs(chain, ours)
    times = {name: [] for name in rows}
    costs = {name: [] for name in rows}
    for _ in range(runs):
        for name, command in rows.items():
            seconds, used = timed(command)
            times[name].append(seconds)
            costs[name].append(used)
    medians = {name: statistics.median(found) for name, found in times.items()}
    print(f"\n### {title}\n")
    print("| program | ms | | × traceroute -n | CPU ms |")
    print("|---|---:|---|---:|---:|")
    for name, found in times.items():
        spread = f"[{min(found) * 1e3:,.1f}–{max(found) * 1e3:,.1f}]"
        ratio = medians[name] / medians["traceroute"]
        cost = statistics.median(costs[name]) * 1e3
        label = "traceroute -n" if name == "traceroute" else name
        print(f"| {label} | {medians[name] * 1e3:,.1f} | {spread} | {ratio:.2f} | {cost:.1f} |", flush=True)
    return medians


def timed(command):
    """Seconds, and seconds of processor. The program must end well."""
    began, used = time.monotonic(), cpu()
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if result.returncode != 0:
        sys.exit(f"scripts/bench traceroute: {' '.join(command)}: {result.stderr.strip()}")
    return seconds, cpu() - used


def cpu():
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
