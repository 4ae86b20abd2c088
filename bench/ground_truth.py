"""Holds what qos-client measures against what proxyd was ordered to do.

  scripts/ground-truth                 build (release), run every order, print the table
  scripts/ground-truth --bin FOLDER    take the three programs from this folder instead
  scripts/ground-truth --markdown      the table as it stands in docs/ground_truth.md

Each row is one run of qos-client through proxyd (--impair ORDER --seed 7) to webserverd's echo, all
three on free ports of this machine. "Ordered" is what the order means for the figure, by arithmetic;
"allowed" is the 95 % interval for a sample of that size around it. Delays are counted from a run
without faults, and may be 0.5 ms longer: timers never fire early, and scheduling takes its time.
Of many such intervals one in twenty misses by chance, but what is drawn depends on the seed alone.

Exit status: 0 every figure lies within its interval, 1 one does not, 2 wrong usage.
"""

import argparse
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
    """One run: its order, its shape, and the figures to hold."""

    def __init__(self, order, arguments, *figures):
        self.order, self.arguments, self.figures = order, arguments, figures


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


RUNS = [
    Run("delay=20ms", "--packets 500 --interval 4ms",
        ("RTT mean", "rtt_mean_ns", "40 ms more", lambda n, base: around(40 + base, 0, LATE_MS)),
        ("loss", "loss_pct", "0 %", lambda n, base: (0, 0))),
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
    """A program that listens on a free UDP port until the block ends."""

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


def measure(programs, echo, order, arguments):
    faults = ["--impair", order, "--seed", str(SEED)] if order else []
    with Daemon(programs / "proxyd", "--port", "0", "--udp-port", "0", "--admin", "off",
                "--udp-target", f"127.0.0.1:{echo.port}", *faults) as proxy:
        command = [programs / "qos-client", "udp", "--json", "--csv", "off", "--warmup", "0",
                   "--udp-port", proxy.port, *arguments.split()]
        output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                check=True, text=True).stdout
    return json.loads(output.splitlines()[-1])["results"][0]["figures"]


def value(figures, name):
    figure = figures[name]
    return figure / 1e6 if name.endswith("_ns") else figure


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
    with Daemon(programs / "webserverd", "--root", ROOT / "www", "--port", "0", "--udp-port", "0",
                "--admin", "off") as echo:
        base = value(measure(programs, echo, None, "--packets 500 --interval 4ms"), "rtt_mean_ns")
        for run in RUNS:
            figures = measure(programs, echo, run.order, run.arguments)
            for name, column, ordered, allowed in run.figures:
                measured, n = value(figures, column), figures["packets_answered"]
                low, high = allowed(n, base)
                holds = low <= measured <= high
                inside &= holds
                rows.append([run.order, name, ordered, f"{shown(low)} to {shown(high)}",
                             shown(measured), str(figures["packets_sent"]),
                             "yes" if holds else "NO"])
    header = ["order", "figure", "ordered", "allowed", "measured", "packets", "inside"]
    if arguments.markdown:
        print("|", " | ".join(header), "|")
        print("|" + "---|" * len(header))
        for order, *cells in rows:
            print("|", " | ".join([f"`{order}`", *cells]), "|")
    else:
        widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
        for row in [header, *rows]:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print(f"\nRTT without faults: {base:.3f} ms")
    sys.exit(0 if inside else 1)


if __name__ == "__main__":
    main()
