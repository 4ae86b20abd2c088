"""Measures ping beside iputils' ping and fping, in one run: a sweep, a flood, and what a round trip is
said to take.

The sweep and the flood are of loopback addresses: answers a second, and whether any was missed. The
round trips are those of a veth pair between two network namespaces, 1,000 and more by each program in
turns, ours by the kernel's stamps and, with -U, as the program itself sees them.

Takes root. Only ratios within one run count: the machine, and who else is using it, are in all of its
figures.
"""

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = {"ping": "iputils-ping", "fping": "fping", "ip": "iproute2"}
SWEPT = "127.0.0.0/16"
TARGETS = 65_534
ROUND = 250


def main():
    options = arguments()
    missing = [package for program, package in PEERS.items() if not shutil.which(program)]
    if missing:
        sys.exit(f"scripts/bench ping: missing: apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        sys.exit("scripts/bench ping: takes root, for network namespaces and raw sockets")
    if not options.no_build:
        subprocess.run(["cargo", "build", "--release", "--bin", "ping"], check=True, cwd=ROOT)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    ours = str((ROOT / target / "release" / "ping").resolve())
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f}, {options.runs} runs by turns.")
    if os.getloadavg()[0] > 0.7:
        print("**Noisy:** other programs are at work. Read no figure closely.")
    sweep(ours, options.runs)
    flood(ours, options.runs, options.flood)
    accuracy(ours, options.probes)


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench ping",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=5, help="runs of each row (default: 5)")
    parser.add_argument("--probes", type=int, default=2000, help="round trips of each row (default: 2000)")
    parser.add_argument("--flood", type=int, default=200_000, help="probes of a flood (default: 200000)")
    parser.add_argument("--no-build", action="store_true", help="take the binary as it is")
    options = parser.parse_args()
    if options.runs < 1 or options.probes < ROUND or options.flood < 1:
        parser.error(f"--runs and --flood are at least 1, --probes at least {ROUND}")
    return options


def timed(command):
    """Seconds, seconds of processor, and all that was written."""
    began, used = time.monotonic(), cpu()
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return time.monotonic() - began, cpu() - used, result.stdout + result.stderr


def cpu():
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def compare(title, unit, count, rows, runs, aim):
    """Runs each row by turns; the last is held against the first."""
    rates = {name: [] for name, _ in rows}
    costs = {name: [] for name, _ in rows}
    missed = dict.fromkeys(rates, 0)
    for _ in range(runs):
        for name, run in rows:
            seconds, used, lost = run()
            rates[name].append(count / seconds)
            costs[name].append(used * 1e6 / count)
            missed[name] += lost
    base = statistics.median(rates[rows[0][0]])
    print(f"\n### {title}\n")
    print(f"| program | {unit} a second | | × {rows[0][0]} | CPU µs each | not answered |")
    print("|---|---:|---|---:|---:|---:|")
    for name, found in rates.items():
        middle = statistics.median(found)
        spread = f"[{min(found):,.0f}–{max(found):,.0f}]"
        cost = statistics.median(costs[name])
        figures = [f"{middle:,.0f}", spread, f"{middle / base:.2f}", f"{cost:.2f}", str(missed[name])]
        print(f"| {name} | {' | '.join(figures)} |", flush=True)
    ratio = statistics.median(rates[rows[-1][0]]) / base
    print(f"\nAim: ≥ {aim} × {rows[0][0]}; it is {ratio:.2f}.")


def sweep(ours, runs):
    def fping():
        seconds, used, said = timed(["fping", "-q", "-s", "-i", "0.001", "-r", "0", "-g", SWEPT])
        alive = int(re.search(r"(\d+) alive", said)[1])
        return seconds, used, TARGETS - alive

    def mine():
        seconds, used, said = timed([ours, "-q", "--spacing", "0", "--cidr", SWEPT])
        alive = int(re.search(r"(\d+) alive", said)[1])
        return seconds, used, TARGETS - alive

    rows = [("fping -i 0.001", fping), ("ours", mine)]
    compare(f"Sweep of {SWEPT}", "targets", TARGETS, rows, runs, 2)


def flood(ours, runs, probes):
    def by(program, flags):
        def run():
            seconds, used, said = timed([program, *flags, "-c", str(probes), "127.0.0.1"])
            received = int(re.search(r"(\d+) received", said)[1])
            return seconds, used, probes - received

        return run

    # The dots of the first go into a pipe.
    for flags in (["-f"], ["-f", "-q"]):
        rows = [("iputils", by("ping", flags)), ("ours", by(ours, flags))]
        title = f"{' '.join(flags)} of 127.0.0.1, {probes:,} probes"
        compare(title, "probes", probes, rows, runs, 1.5)


def accuracy(ours, probes):
    near, far = (f"bench-ping-{os.getpid()}-{side}" for side in ("near", "far"))
    try:
        link(near, far)
        inside = ["ip", "netns", "exec", near]
        count, pause = str(ROUND), "0.002"
        rows = {
            "iputils": lambda: plain(inside + ["ping", "-n", "-c", count, "-i", pause, "10.0.0.2"]),
            "fping": lambda: fping_times(inside + ["fping", "-C", count, "-p", "2", "-q", "10.0.0.2"]),
            "ours, as it sees them (-U)": lambda: mine(inside, ours, ["-U"]),
            "ours": lambda: mine(inside, ours, []),
        }
        times = {name: [] for name in rows}
        stamped = []
        for _ in range(-(-probes // ROUND)):
            for name, run in rows.items():
                found, kernel = run()
                times[name] += found
                stamped += kernel if name == "ours" else []
    finally:
        for namespace in (near, far):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)
    print(f"\n### Round trips of a veth pair, {-(-probes // ROUND) * ROUND:,} each\n")
    print("| program | median µs | p99 µs | × ours |")
    print("|---|---:|---:|---:|")
    base = statistics.median(times["ours"])
    for name, found in times.items():
        middle, p99 = statistics.median(found), statistics.quantiles(found, n=100)[98]
        print(f"| {name} | {middle:.1f} | {p99:.1f} | {middle / base:.2f} |")
    seen = statistics.median(times["ours, as it sees them (-U)"])
    print(
        f"\nThe kernel stamped both ends of {100 * sum(stamped) / len(stamped):.1f} % of the round trips."
        f" Of the {seen:.1f} µs that the program sees, its stamps explain {seen - base:.1f} µs"
        f" ({100 * (seen - base) / seen:.0f} %) as the host's own time."
    )


def link(near, far):
    for namespace in (near, far):
        subprocess.run(["ip", "netns", "add", namespace], check=True)
    subprocess.run(
        ["ip", "link", "add", "wire", "netns", near, "type", "veth", "peer", "name", "wire", "netns", far],
        check=True,
    )
    for namespace, address in ((near, "10.0.0.1/24"), (far, "10.0.0.2/24")):
        for words in (["address", "add", address, "dev", "wire"], ["link", "set", "wire", "up"]):
            subprocess.run(["ip", "-n", namespace, *words], check=True)
    # The neighbours know each other before anything is measured.
    subprocess.run(["ip", "netns", "exec", near, "ping", "-c", "2", "-i", "0.2", "10.0.0.2"], check=True, capture_output=True)


def plain(command):
    _, _, said = timed(command)
    return [float(ms) * 1e3 for ms in re.findall(r"time=([\d.]+) ms", said)], []


def fping_times(command):
    _, _, said = timed(command)
    return [float(ms) * 1e3 for ms in re.findall(r"[\d.]+", said.split(" : ")[1])], []


def mine(inside, ours, flags):
    _, _, said = timed(inside + [ours, *flags, "--json", "-c", str(ROUND), "-i", "0.002", "10.0.0.2"])
    replies = [line for line in map(json.loads, said.splitlines()) if line["type"] == "reply"]
    kernel = [line["sent_clock"] == line["received_clock"] == "kernel" for line in replies]
    return [line["rtt_ms"] * 1e3 for line in replies], kernel


if __name__ == "__main__":
    main()
