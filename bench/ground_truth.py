"""Holds what qos-client measures against what proxyd was ordered to do.

  scripts/ground-truth                 build (release), run every order, print the table
  scripts/ground-truth --bin FOLDER    take the three programs from this folder instead
  scripts/ground-truth --markdown      the table as it stands in docs/ground_truth.md

Each order is one run of qos-client through proxyd (--impair ORDER --seed 7) to webserverd's echo, all
three on free ports of this machine; one run is without proxyd. "Ordered" is what the order means for the figure, by arithmetic;
"allowed" is the 95 % interval for a sample of that size around it. Delays are counted from a run
without faults, and may be 0.5 ms longer: timers never fire early, and scheduling takes its time.
Of many such intervals one in twenty misses by chance, but what is drawn depends on the seed alone.

Exit status: 0 every figure lies within its interval, 1 one does not, 2 wrong usage.
"""

import argparse
import contextlib
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEED = 7
IPV4, IPV6 = "127.0.0.1", "::1"
Z = 1.96
LATE_MS = 0.5  # what timers and scheduling may add to a delay, there and back together


def wilson(share, n):
    """The 95 % score interval around an expected share, both in per cent."""
    p = share / 100
    centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return 100 * max(0, centre - half), 100 * min(1, centre + half)


def around(value, deviation, late=0.0):
    return value - Z * deviation, value + Z * deviation + late


class Run:
    """One run: its order (None for the echo without a relay), its shape, and the figures to hold."""

    def __init__(self, order, arguments, *figures, host=IPV4):
        self.order, self.arguments, self.figures, self.host = order, arguments, figures, host
        name = "no relay" if order is None else f"`{order}`" if order else "a relay without faults"
        self.name = f"{name}, IPv6" if host == IPV6 else name


def uniform_ipdv(width_ms, n):
    """Mean |difference| of two uniform draws from an interval of this width: width/3, deviation
    width/sqrt(18); neighbours share a draw, so half of them count as independent."""
    return around(width_ms / 3, width_ms / math.sqrt(18) / math.sqrt(n / 2), LATE_MS)


def running_jitter(width_ms, _n):
    """RFC 3550's filter has the same mean; its deviation is that of a draw times sqrt(1/31), and
    what neighbours share adds a third."""
    return around(width_ms / 3, width_ms / math.sqrt(18) * math.sqrt(1 / 31) * 1.33, LATE_MS)


def uniform_stddev(width_ms, n):
    """Deviation of a uniform draw; its own deviation is sigma * sqrt((kurtosis - 1) / (4 n))."""
    sigma = width_ms / math.sqrt(12)
    return around(sigma, sigma * math.sqrt((1.8 - 1) / (4 * n)), LATE_MS)


def gilbert_loss(p, r, n):
    """Losses that come in runs: the binomial deviation times sqrt((1 + rho) / (1 - rho))."""
    share, rho = p / (p + r), 1 - p - r
    deviation = math.sqrt(share * (1 - share) / n * (1 + rho) / (1 - rho))
    return tuple(100 * max(0, end) for end in around(share, deviation))


def gilbert_run(p, r, n):
    """Runs of losses are geometric with mean 1/r; there are about n p r / (p + r) of them."""
    return around(1 / r, math.sqrt(1 - r) / r / math.sqrt(n * p * r / (p + r)))


def constant_rate(kbps, span_ms):
    """From the first answer to the last, of which either may be late: the first by more, since it
    opens sessions and fills caches on its way."""
    return tuple(kbps * span_ms / (span_ms + late) for late in (LATE_MS, -2 * LATE_MS))


def link_losses(packets, interval_ms, packet_ms, queue):
    """What a link does not take that sends a packet in packet_ms: until the last comes it has sent one
    after another, and then the queue is full. Which packet finds it full hangs on microseconds."""
    taken = (packets - 1) * interval_ms / packet_ms + queue
    return tuple(100 * (packets - taken + off) / packets for off in (-2, 2))


NOTHING_ELSE = [
    (name, column, "0", lambda n, base: (0, 0))
    for name, column in (("loss", "loss_pct"), ("duplicates", "duplicates"), ("reordered", "reordered"))
]
RUNS = [
    # 128 bytes every 2 ms.
    Run(None, "--packets 1000 --interval 2ms", *NOTHING_ELSE,
        ("throughput", "achieved_kbps", "512 kbit/s", lambda n, base: constant_rate(512, 1998))),
    Run("", "--packets 1000 --interval 2ms", *NOTHING_ELSE,
        ("throughput", "achieved_kbps", "512 kbit/s", lambda n, base: constant_rate(512, 1998))),
    Run("delay=20ms", "--packets 500 --interval 4ms",
        ("RTT mean", "rtt_mean_ns", "40 ms more", lambda n, base: around(40 + base, 0, LATE_MS)),
        ("loss", "loss_pct", "0 %", lambda n, base: (0, 0))),
    Run("delay=20ms", "--packets 500 --interval 4ms",
        ("RTT mean", "rtt_mean_ns", "40 ms more", lambda n, base: around(40 + base, 0, LATE_MS)),
        ("loss", "loss_pct", "0 %", lambda n, base: (0, 0)), host=IPV6),
    Run("delay=20ms", "--hops --packets 500 --interval 4ms",
        ("in the relay, p50", "hop_proxy_residence_p50_ns", "40 ms",
         lambda n, base: around(40, 0, base + LATE_MS))),
    Run("to-client: delay=20ms jitter=5ms", "--packets 1000 --interval 12ms",
        ("RTT mean", "rtt_mean_ns", "20 ms more",
         lambda n, base: around(20 + base, 10 / math.sqrt(12 * n), LATE_MS)),
        ("jitter, mean abs. ΔRTT", "ipdv_abs_mean_ns", "3.333 ms", lambda n, base: uniform_ipdv(10, n)),
        ("jitter, RFC 3550", "jitter_rfc3550_ns", "3.333 ms", lambda n, base: running_jitter(10, n)),
        ("RTT stddev", "rtt_stddev_ns", "2.887 ms", lambda n, base: uniform_stddev(10, n)),
        ("reordered", "reordered", "0", lambda n, base: (0, 0))),
    Run("to-target: loss=5%", "--packets 3000 --interval 2ms --loss-deadline 500ms",
        ("loss", "loss_pct", "5 %", lambda n, base: wilson(5, 3000)),
        ("losses in a row", "loss_run_mean", "1.053",
         lambda n, base: around(1 / 0.95, math.sqrt(0.05) / 0.95 / math.sqrt(3000 * 0.05)))),
    Run("to-target: loss=5%", "--packets 3000 --interval 2ms --loss-deadline 500ms",
        ("loss", "loss_pct", "5 %", lambda n, base: wilson(5, 3000)), host=IPV6),
    Run("loss=1%", "--packets 3000 --interval 2ms --loss-deadline 500ms",
        ("loss, both ways", "loss_pct", "1.99 %", lambda n, base: wilson(1.99, 3000))),
    Run("to-client: gemodel=1%,25%", "--packets 6000 --interval 1ms --loss-deadline 500ms",
        ("burst loss", "loss_pct", "3.846 %", lambda n, base: gilbert_loss(0.01, 0.25, 6000)),
        ("losses in a row", "loss_run_mean", "4", lambda n, base: gilbert_run(0.01, 0.25, 6000))),
    Run("to-client: duplicate=3%", "--packets 3000 --interval 2ms",
        ("duplicates", "duplicates", "90 of 3000",
         lambda n, base: tuple(30 * end for end in wilson(3, 3000))),
        ("loss", "loss_pct", "0 %", lambda n, base: (0, 0))),
    Run("to-client: delay=8ms reorder=10%", "--packets 2000 --interval 5ms",
        ("reordered", "reordered", "180 of 2000",
         lambda n, base: tuple(20 * end for end in wilson(9, 2000))),
        ("extent", "reorder_extent_max", "1", lambda n, base: (1, 1))),
    Run("to-client: corrupt=2%", "--packets 2000 --interval 2ms --loss-deadline 500ms",
        ("damaged, not received", "loss_pct", "2 %", lambda n, base: wilson(2, 2000))),
    # From 50 to 150 ms, evenly: a quarter takes longer than 125.
    Run("to-client: delay=100ms jitter=50ms", "--packets 1000 --interval 2ms --loss-deadline 125ms",
        ("late", "packets_late", "250 of 1000",
         lambda n, base: (10 * wilson(25, 1000)[0], 10 * wilson(25 + base + LATE_MS, 1000)[1]))),
    # Packets of 1000 bytes, 2 Mbit/s of them; the link takes 8 ms for one and holds 16.
    Run("to-target: rate=1mbit queue=16000",
        "--packets 500 --interval 4ms --payload 972 --loss-deadline 500ms",
        ("loss", "loss_pct", "46.9 %", lambda n, base: link_losses(500, 4, 8, 16)),
        ("throughput of IP", "achieved_ip_kbps", "1000 kbit/s",
         lambda n, base: constant_rate(1000, 8 * (n - 1))),
        ("RTT max", "rtt_max_ns", "up to 128 ms more",
         lambda n, base: (124 + base, 128 + base + LATE_MS))),
]


def build():
    command = ["cargo", "build", "--release", "--locked", "--message-format=json-render-diagnostics"]
    for program in ("webserverd", "proxyd", "qos-client"):
        command += ["-p", program]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    for line in built.stdout.splitlines():
        executable = json.loads(line).get("executable")
        if executable:
            return pathlib.Path(executable).parent
    sys.exit("ground-truth: cargo names no program that it built")


class Daemon:
    """A program that listens on a free UDP port of its host until the block ends."""

    def __init__(self, *command):
        self.command = command

    def __enter__(self):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(self.command, stderr=self.log, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.process.poll() is None:
            self.log.seek(0)
            found = re.search(r"^listening udp \S+:(\d+)$", self.log.read(), re.MULTILINE)
            if found:
                self.port = found.group(1)
                return self
            time.sleep(0.02)
        self.log.seek(0)
        sys.exit(f"ground-truth: {self.command[0]} does not listen: {self.log.read()}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def echo(programs, host):
    return Daemon(programs / "webserverd", "--root", ROOT / "www", "--bind", host, "--port", "0",
                  "--udp-port", "0", "--admin", "off")


def relay(programs, host, port, order):
    faults = ["--impair", order, "--seed", str(SEED)] if order else []
    target = f"[{host}]:{port}" if host == IPV6 else f"{host}:{port}"
    return Daemon(programs / "proxyd", "--bind", host, "--port", "0", "--udp-port", "0",
                  "--admin", "off", "--udp-target", target, *faults)


def measure(programs, run):
    with contextlib.ExitStack() as running:
        port = running.enter_context(echo(programs, run.host)).port
        if run.order is not None:
            port = running.enter_context(relay(programs, run.host, port, run.order)).port
        command = [programs / "qos-client", "udp", "--json", "--csv", "off", "--warmup", "0",
                   "--host", run.host, "--udp-port", port, *run.arguments.split()]
        output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                check=True, text=True).stdout
    return json.loads(output.splitlines()[-1])["results"][0]["figures"]


def value(figures, name):
    """Times in milliseconds, rates in kbit/s."""
    if name.endswith("_kbps"):
        return figures[name.replace("_kbps", "_bps")] / 1e3
    return figures[name] / 1e6 if name.endswith("_ns") else figures[name]


def shown(number):
    return f"{number:.3f}".rstrip("0").rstrip(".")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, metavar="FOLDER", help="of the programs")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    arguments = parser.parse_args()
    programs = arguments.bin or build()
    rows, inside = [], True
    base = value(measure(programs, Run("", "--packets 500 --interval 4ms")), "rtt_mean_ns")
    for run in RUNS:
        figures = measure(programs, run)
        for name, column, ordered, allowed in run.figures:
            measured, n = value(figures, column), figures["packets_answered"]
            low, high = allowed(n, base)
            holds = low <= measured <= high
            inside &= holds
            rows.append([run.name, name, ordered, f"{shown(low)} to {shown(high)}", shown(measured),
                         str(figures["packets_sent"]), "yes" if holds else "NO"])
    header = ["order", "figure", "ordered", "allowed", "measured", "packets", "inside"]
    if arguments.markdown:
        print("|", " | ".join(header), "|")
        print("|" + "---|" * len(header))
        for row in rows:
            print("|", " | ".join(row), "|")
    else:
        widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
        for row in [header, *rows]:
            row[0] = row[0].replace("`", "")
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print(f"\nRTT without faults: {base:.3f} ms")
    sys.exit(0 if inside else 1)


if __name__ == "__main__":
    main()
