"""Measures qos-client's flood beside iperf3, in one run: datagrams as fast as the sender sends them.

qos-client floods the echo of webserverd, so each datagram goes both ways. iperf3 sends to a server that
counts them and answers nothing (one way), and with --bidir both send to each other at once, which is
what the echo's work is nearest to. The client has core 1, the server core 0. What arrived is what the
other side counted; of an echo that is not known, so it is what came back. CPU time is user and system
time by the system's accounts, for each datagram that went over a socket of the client, sent or
received.

Takes root, for a network of its own that is gone when this script is, however it ends. Only ratios
within one run count: the machine, and who else is using it, are in all of its figures.
"""

import json
import os
import resource
import statistics
import subprocess
import sys

import peers
from measure import BenchError, Server, run as output_of

SCRIPT = "scripts/bench flood"
PEERS = {"iperf3": "iperf3", "ip": "iproute2", "taskset": "util-linux"}
ECHO_PORT, IPERF_PORT = 9000, 5201
CLIENT_CORE = 1


def main():
    parser = peers.flags(SCRIPT, __doc__)
    parser.add_argument(
        "--payloads",
        type=peers.numbers,
        default=[128, 1400],
        metavar="N,…",
        help="bytes of each datagram (default: 128,1400)",
    )
    options = peers.parse(parser)
    if not all(64 <= payload <= 65_000 for payload in options.payloads):
        parser.error("--payloads are 64 to 65000")
    if not {0, 1} <= os.sched_getaffinity(0):
        raise BenchError("needs cores 0 and 1, one for the server and one for the client")
    peers.compare("Flood", SCRIPT, PEERS, options, compare_all)


def compare_all(options, programs, folder):
    echo = [programs / "webserverd", "--root", folder, "--port", 0, "--udp-port", ECHO_PORT]
    echo += ["--admin", "off", "--log-format", "off", "--workers", 1]
    iperf3 = ["iperf3", "-s", "-B", "127.0.0.1", "-p", IPERF_PORT]
    servers = [
        Server("webserverd", "", echo, None, 0, ECHO_PORT, folder / "echo.log"),
        Server("iperf3 -s", "", iperf3, IPERF_PORT, 0, None, folder / "iperf3.log"),
    ]
    try:
        for server in servers:
            server.wait_until_up()
        rows = {
            "iperf3, one way": lambda *order: iperf([], *order),
            "iperf3 --bidir": lambda *order: iperf(["--bidir"], *order),
            "qos-client, echoed": lambda *order: ours(programs, *order),
        }
        print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f} before the run.")
        print(f"{options.runs} runs of {options.seconds} s, by turns; medians, [least–most] beside them.")
        for payload in options.payloads:
            compare(payload, rows, options)
    finally:
        for server in servers:
            server.stop()


class Run:
    """Datagrams of one run: how many the client sent, how many of them the other side got, and how
    many came to the client; and the CPU seconds of the client."""

    def __init__(self, sent, arrived, answers, seconds, cpu):
        self.sent, self.arrived, self.answers = sent / seconds, arrived / seconds, answers / seconds
        self.lost_pct = 100 * (sent - arrived) / sent
        self.cpu_us = cpu * 1e6 / (sent + answers)


def client(command):
    """What it says, and its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = output_of(["taskset", "-c", str(CLIENT_CORE), *map(str, command)])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return said, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ours(programs, payload, seconds):
    command = [programs / "qos-client", "udp", "--flood", "--json", "--csv", "off"]
    command += ["--udp-port", ECHO_PORT, "--payload", payload, "--duration", f"{seconds}s"]
    said, cpu = client(command)
    figures = json.loads(said.splitlines()[-1])["results"][0]["figures"]
    sent, answers = figures["packets_sent"], figures["packets_answered"]
    return Run(sent, answers, answers, seconds, cpu)


def iperf(more, payload, seconds):
    command = ["iperf3", "-u", "-b", 0, "-c", "127.0.0.1", "-p", IPERF_PORT, "--json"]
    said, cpu = client([*command, "-l", payload, "-t", seconds, *more])
    end = json.loads(said)["end"]

    def got(direction):
        return direction["packets"] - direction["lost_packets"] if direction else 0

    back = end.get("sum_received_bidir_reverse")
    return Run(end["sum_sent"]["packets"], got(end["sum_received"]), got(back), seconds, cpu)


def compare(payload, rows, options):
    """Runs each program by turns."""
    runs = {name: [] for name in rows}
    for _ in range(options.runs):
        for name, program in rows.items():
            runs[name].append(program(payload, options.seconds))
    print(f"\n### {payload} bytes each, as fast as it goes\n")
    print("| program | sent a second | arrived | came back | Mbit/s arrived | lost % | client's CPU µs each |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, found in runs.items():
        cells = [
            spread(found, lambda run: run.sent),
            spread(found, lambda run: run.arrived),
            spread(found, lambda run: run.answers),
            f"{statistics.median(run.arrived for run in found) * payload * 8 / 1e6:,.0f}",
            spread(found, lambda run: run.lost_pct, 1),
            spread(found, lambda run: run.cpu_us, 2),
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def spread(runs, figure, digits=0):
    figures = list(map(figure, runs))
    middle = statistics.median(figures)
    return f"{middle:,.{digits}f} [{min(figures):,.{digits}f}–{max(figures):,.{digits}f}]"


if __name__ == "__main__":
    try:
        main()
    except (BenchError, subprocess.CalledProcessError) as error:
        sys.exit(f"scripts/bench flood: {error}")
