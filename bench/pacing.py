"""Measures how exactly qos-client keeps its schedule, beside irtt, in one run.

Each sends 128 bytes 100, 1,000 and 10,000 times a second to an echo of its own on loopback:
qos-client to webserverd, irtt to its server, with each of irtt's timers but the plain one. They take
turns, and one clock judges all: dumpcap has the kernel stamp what they send, and the error is how far
the time from one datagram to the next was from the interval that was ordered. Beside it stands what
each says of itself: qos-client the median and the 99th percentile of how late it sent, irtt the mean
and the largest of its timer error. A program that leaves slots out sends fewer datagrams than ordered.
Of the same runs: the round trips, the jitter (mean |ΔRTT|) and the loss that each of them reports.

Takes root, for a network of its own that is gone when this script is, however it ends. What other
programs and the hypervisor took of the machine during a run is in the last columns. Of what a hypervisor
takes no program can know, so every per cent of it is in the 99th percentile of them all.
"""

import json
import math
import os
import resource
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import peers
from measure import (
    START_DEADLINE,
    STOP_DEADLINE,
    BenchError,
    Server,
    busy_seconds,
    die_with_parent,
    run as output_of,
)

SCRIPT = "scripts/bench pacing"
PEERS = {"irtt": "irtt", "dumpcap": "wireshark-common", "ip": "iproute2"}
TIMERS = ("comp", "hybrid", "busy")
PAYLOAD = 128
# Ethernet, IPv4 and UDP around it.
FRAME = 14 + 20 + 8 + PAYLOAD
ECHO_PORT, IRTT_PORT = 9000, 2112
AIM_RATE, AIM_US = 10_000, 20


def main():
    parser = peers.flags(SCRIPT, __doc__)
    parser.add_argument(
        "--rates",
        type=peers.numbers,
        default=[100, 1_000, 10_000],
        metavar="N,…",
        help="datagrams a second (default: 100,1000,10000)",
    )
    options = peers.parse(parser)
    if not all(100 <= rate <= 10_000 for rate in options.rates):
        parser.error("--rates are 100 to 10000")
    peers.compare("Pacing", SCRIPT, PEERS, options, compare_all)


def compare_all(options, programs, folder):
    echo_command = [programs / "webserverd", "--root", folder, "--port", 0, "--udp-port", ECHO_PORT]
    echo_command += ["--admin", "off", "--log-format", "off"]
    irtt_command = ["irtt", "server", "-b", f"127.0.0.1:{IRTT_PORT}", "-i", "0"]
    servers = [
        Server("webserverd", "", echo_command, None, None, ECHO_PORT, folder / "echo.log"),
        Server("irtt server", "", irtt_command, None, None, IRTT_PORT, folder / "irtt.log"),
    ]
    try:
        for server in servers:
            server.wait_until_up()
        rows = {"qos-client": (lambda *order: ours(programs, *order), ECHO_PORT)}
        for timer in TIMERS:
            rows[f"irtt, {timer}"] = (lambda *order, timer=timer: irtts(timer, *order), IRTT_PORT)
        print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f} before the run.")
        print(f"{options.runs} runs of {options.seconds:g} s, by turns; medians, [least–most] beside them.")
        for rate in options.rates:
            compare(rate, rows, servers, options, folder)
    finally:
        for server in servers:
            server.stop()


class Run:
    """What one run of a program came to; times in microseconds."""

    def __init__(self, own_error, own_p99, sent, rtts, ipdv, lost_pct):
        self.own_error, self.own_p99, self.sent = own_error, own_p99, sent
        self.rtt_p50, self.rtt_p99 = rtts
        self.ipdv, self.lost_pct = ipdv, lost_pct
        # By the witness, the system's accounts, and those of the rest of the machine.
        self.errors, self.cpu_pct, self.others_pct, self.stolen_pct = [], math.nan, math.nan, math.nan


def ours(programs, rate, seconds):
    command = [programs / "qos-client", "udp", "--json", "--csv", "off", "--udp-port", ECHO_PORT]
    command += ["--interval", f"{1e6 / rate:g}us", "--packets", round(rate * seconds)]
    command += ["--payload", PAYLOAD, "--warmup", 0]
    said = output_of(list(map(str, command)))
    figures = json.loads(said.splitlines()[-1])["results"][0]["figures"]

    def us(name):
        return math.nan if figures[name] is None else figures[name] / 1e3

    p50, p99 = us("pacing_error_p50_ns"), us("pacing_error_p99_ns")
    rtts = us("rtt_p50_ns"), us("rtt_p99_ns")
    sent, lost = figures["packets_sent"], figures["loss_pct"]
    return Run(f"p50 {p50:.1f}, p99 {p99:.1f}", p99, sent, rtts, us("ipdv_abs_mean_ns"), lost)


def irtts(timer, rate, seconds):
    command = ["irtt", "client", "-Q", "-o", "-", f"--timer={timer}", "--wait=1s"]
    command += ["-i", f"{1e6 / rate:g}us", "-d", f"{seconds:g}s", "-l", str(PAYLOAD)]
    found = json.loads(output_of([*command, f"127.0.0.1:{IRTT_PORT}"]))
    stats = found["stats"]
    mean, worst = (stats["timer_error"][name] / 1e3 for name in ("mean", "max"))
    delays = (trip["delay"].get("rtt") for trip in found["round_trips"])
    rtts = sorted(delay / 1e3 for delay in delays if delay is not None)
    percentiles = nearest_rank(rtts, 0.50), nearest_rank(rtts, 0.99)
    ipdv = stats["ipdv_round_trip"]["mean"] / 1e3
    sent, lost = stats["packets_sent"], stats["packet_loss_percent"]
    return Run(f"mean {mean:.1f}, worst {worst:.0f}", None, sent, percentiles, ipdv, lost)


def nearest_rank(values, share):
    """Of values in order."""
    return values[math.ceil(share * len(values)) - 1] if values else math.nan


class Witness:
    """dumpcap, which has the kernel stamp what is sent to a port while the block runs."""

    def __init__(self, port, folder):
        self.file = folder / "sent.pcap"
        self.command = ["dumpcap", "-q", "-P", "-i", "lo", "-f", f"udp dst port {port}"]
        self.command += ["-s", "64", "-B", "64", "-w", str(self.file)]

    def __enter__(self):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=self.log, preexec_fn=die_with_parent
        )
        end = time.monotonic() + START_DEADLINE
        while time.monotonic() < end and self.process.poll() is None:
            # It names its file once it takes packets.
            if "File: " in self.said():
                return self
            time.sleep(0.02)
        raise BenchError(f"dumpcap does not capture: {self.said().strip()}")

    def __exit__(self, *_):
        # The last of what it has taken is on its way to the file.
        time.sleep(0.3)
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_DEADLINE)
        finally:
            self.process.kill()
            self.log.close()

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def times(self):
        """When each datagram of the test went by, in microseconds (pcap, in this machine's order)."""
        data = self.file.read_bytes()
        (magic,) = struct.unpack_from("=I", data)
        per_us = {0xA1B2C3D4: 1, 0xA1B23C4D: 1000}[magic]
        times, at = [], 24
        while at < len(data):
            seconds, fraction, kept, length = struct.unpack_from("=4I", data, at)
            if length == FRAME:
                times.append(seconds * 1_000_000 + fraction / per_us)
            at += 16 + kept
        return times


def one_run(program, port, servers, rate, options, folder):
    with Witness(port, folder) as witness:
        began, (busy, stolen) = time.monotonic(), busy_seconds()
        served, used = sum(server.cpu_seconds() for server in servers), children_seconds()
        run = program(rate, options.seconds)
        passed, used = time.monotonic() - began, children_seconds() - used
        served = sum(server.cpu_seconds() for server in servers) - served
        busy_now, stolen_now = busy_seconds()
    machine = passed * os.cpu_count()
    run.cpu_pct = 100 * used / passed
    run.others_pct = 100 * max(0, busy_now - busy - used - served) / machine
    run.stolen_pct = 100 * (stolen_now - stolen) / machine
    times = witness.times()
    run.errors = sorted(abs(after - before - 1e6 / rate) for before, after in zip(times, times[1:]))
    return run


def children_seconds():
    """CPU time of the programs that have run to their end."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def compare(rate, rows, servers, options, folder):
    """Runs each program by turns."""
    runs = {name: [] for name in rows}
    for _ in range(options.runs):
        for name, (program, port) in rows.items():
            runs[name].append(one_run(program, port, servers, rate, options, folder))
    ordered = round(rate * options.seconds)
    print(f"\n### {rate:,} datagrams a second\n")
    print("| program | error µs, p50 | p99 | by its own account | sent | CPU % | RTT µs, p50 | p99 |", end="")
    print(" jitter µs | loss % | others % | stolen % |")
    print("|---|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name, found in runs.items():
        middle = sorted(found, key=lambda run: nearest_rank(run.errors, 0.99))[len(found) // 2]
        cells = [
            spread(found, lambda run: nearest_rank(run.errors, 0.50)),
            spread(found, lambda run: nearest_rank(run.errors, 0.99)),
            middle.own_error,
            f"{statistics.median(run.sent for run in found):,.0f} of {ordered:,}",
            median(found, lambda run: run.cpu_pct),
            median(found, lambda run: run.rtt_p50),
            median(found, lambda run: run.rtt_p99),
            median(found, lambda run: run.ipdv),
            spread(found, lambda run: run.lost_pct, 2),
            median(found, lambda run: run.others_pct, 0),
            spread(found, lambda run: run.stolen_pct, 1),
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    if rate == AIM_RATE:
        own = statistics.median(run.own_p99 for run in runs["qos-client"])
        print(f"\nAim: p99 ≤ {AIM_US} µs by its own account; it is {own:.1f}.")


def median(runs, figure, digits=1):
    return f"{statistics.median(map(figure, runs)):,.{digits}f}"


def spread(runs, figure, digits=1):
    figures = list(map(figure, runs))
    return f"{median(runs, figure, digits)} [{min(figures):,.{digits}f}–{max(figures):,.{digits}f}]"


if __name__ == "__main__":
    try:
        main()
    except (BenchError, subprocess.CalledProcessError) as error:
        sys.exit(f"scripts/bench pacing: {error}")
