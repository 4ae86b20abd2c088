"""What the comparisons of qos-client with another program have in common: their flags, and a network
and a section of the page of their own."""

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import page
from measure import BenchError, exit_on_signals, own_network

ROOT = Path(__file__).resolve().parent.parent


def flags(script, description):
    parser = argparse.ArgumentParser(
        prog=script,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=5, help="runs of each row (default: 5)")
    parser.add_argument("--seconds", type=int, default=3, help="length of each run (default: 3)")
    parser.add_argument("--no-build", action="store_true", help="take the binaries as they are")
    page.add_option(parser)
    return parser


def numbers(text):
    """A flag's list of them."""
    return [int(number) for number in text.split(",")]


def parse(parser):
    options = parser.parse_args()
    if options.runs < 1 or not 1 <= options.seconds <= 60:
        parser.error("--runs is at least 1, --seconds 1 to 60")
    return options


def compare(title, script, peers, options, compare_all):
    """Calls `compare_all` with the options, the folder of our programs and one for files, in a network
    of its own; what it prints may become the section of that title. `peers` are programs and the
    packages they are in."""
    missing = [package for program, package in peers.items() if not shutil.which(program)]
    if missing:
        raise BenchError(f"missing: apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        raise BenchError("takes root, for a network of its own")
    exit_on_signals()
    if not options.no_build:
        command = ["cargo", "build", "--release", "--bin", "webserverd", "--bin", "qos-client"]
        subprocess.run(command, check=True, cwd=ROOT)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    programs = (ROOT / target / "release").resolve()
    own_network()
    with tempfile.TemporaryDirectory(prefix="bench.") as folder:
        with page.section(title, script, options.write):
            compare_all(options, programs, Path(folder))
