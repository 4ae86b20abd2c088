"""Measures webserverd and proxyd beside other servers and beside bare floors, in one run.

Unless a table says otherwise, the figure is the CPU time of the server for each request or datagram (user and system time of all
its threads and processes, from /proc), median of several runs, with the requests a second beside it.
At the load generator's limit, requests a second no longer tell servers apart; CPU time does. Each
server has core 0 and one worker, the load generator (and the origin, or the target of a relay) has
core 1; nobody writes an access log. The floor does nothing but the system calls.

Only ratios within one run count: the machine, and who else is using it, are in all of its figures.
"""

import argparse
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import measure
import page
import servers
from measure import BenchError

GROUPS = ("static", "connections", "tls", "latency", "idle", "proxy", "udp")
KIB = 1024
IDLE = 10_000
ROOT = Path(__file__).resolve().parent.parent


EPILOG = """groups:
  static       a file of 1 KiB, 100 KiB (64 kept connections) and 10 MiB (8)
  connections  1 KiB, and a connection for each request
  tls          1 KiB over TLS 1.3, 64 kept connections
  latency      1 KiB: the 99th percentile of the time to an answer at half of the rate that the
               slowest of the servers can keep up, the same for all. Requests are sent when they
               are due, whether the server has kept up or not (bench/http_rate.c)
  idle         resident memory with 10,000 connections that each had an answer and are idle
  proxy        1 KiB and 100 KiB from a proxy's cache, 1 KiB passed on
  udp          128 B through an echo and through a relay, 1 and 64 flows, alone and in trains

Programs of their own, each with --help: scripts/bench pacing (qos-client's schedule beside irtt), flood
(its throughput beside iperf3), ping (beside iputils and fping), traceroute (beside the Linux one, mtr
and trippy).
"""


def main():
    options = arguments()
    measure.exit_on_signals()
    with tempfile.TemporaryDirectory(prefix="bench.") as folder:
        # Servers that change their user must still read it.
        os.chmod(folder, 0o755)
        lab = servers.Lab(Path(folder), options.seconds, options.runs)
        try:
            prepare(lab, options)
            with page.section("The daemons", "scripts/bench", options.write):
                for line in header(options):
                    print(line)
                aims = []
                for group in options.groups:
                    aims += MEASURE[group](lab)
                report_aims(aims)
        finally:
            lab.stop_all()


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "groups",
        nargs="*",
        metavar="GROUP",
        help=f"what to measure: {', '.join(GROUPS)} (default: all; --help says what each is)",
    )
    parser.add_argument("--seconds", type=float, default=3, help="length of each run (default: 3)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each row (default: 3)")
    parser.add_argument("--quick", action="store_true", help="one run of one second: a look only")
    parser.add_argument("--no-build", action="store_true", help="take the binaries as they are")
    parser.add_argument("--no-install", action="store_true", help="leave out peers that are missing")
    page.add_option(parser)
    options = parser.parse_args()
    for group in options.groups:
        if group not in GROUPS:
            parser.error(f"no group {group!r}; there are {', '.join(GROUPS)}")
    options.groups = options.groups or list(GROUPS)
    if options.quick:
        options.seconds, options.runs = 1, 1
    if not 0.1 <= options.seconds <= 600 or not 1 <= options.runs <= 100:
        parser.error("--seconds is 0.1 to 600, --runs is 1 to 100")
    if not {0, 1} <= os.sched_getaffinity(0):
        sys.exit("scripts/bench: needs cores 0 and 1, one for the server and one for the load")
    return options


def prepare(lab, options):
    """Has the peers, the floors and the daemons ready; says what is left out."""
    missing = {
        package
        for program, package in servers.PACKAGES.items()
        if not servers.found(program)
    }
    if missing and os.geteuid() == 0 and shutil.which("apt-get") and not options.no_install:
        servers.install(sorted(missing))
    for needed in ("gcc", "wrk"):
        if not servers.found(needed) and (needed == "gcc" or options.groups != ["udp"]):
            raise BenchError(f"{needed} is missing: apt-get install {servers.PACKAGES[needed]}")
    for program in ("http_floor", "http_rate", "udp_floor", "udp_load"):
        source = ROOT / "bench" / f"{program}.c"
        command = ["gcc", "-O2", "-o", lab.folder / program, source]
        subprocess.run(command, check=True)
    if not options.no_build:
        command = ["cargo", "build", "--release", "--bin", "webserverd", "--bin", "proxyd"]
        subprocess.run(command, check=True, cwd=ROOT)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    for daemon in ("webserverd", "proxyd"):
        lab.daemons[daemon] = (ROOT / target / "release" / daemon).resolve()
        if not lab.daemons[daemon].exists():
            raise BenchError(f"{lab.daemons[daemon]} does not exist; leave out --no-build")


def header(options):
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    yield f"Machine: {model}, {os.cpu_count()} cores, Linux {platform.release()}."
    yield f"Load average before the run: {os.getloadavg()[0]:.2f}."
    runs = "One run" if options.runs == 1 else f"Median of {options.runs} runs"
    yield f"{runs} of {options.seconds:g} s, in rounds; [least–most] beside it."
    if options.runs < 3 or os.getloadavg()[0] > 0.7:
        yield "**Noisy:** fewer than three runs, or other programs at work. Read no figure closely."


def static(lab):
    """A file from the disk, over connections that are kept."""
    folder = lab.folder / "www"
    folder.mkdir()
    sizes = [("1 KiB", KIB), ("100 KiB", 100 * KIB)]
    for _, size in sizes:
        (folder / f"{size}.html").write_bytes(b"x" * size)
    peers = static_servers(lab, folder)
    aims = []
    for name, size in sizes:
        floor = servers.http_floor(lab, size, "max-age=60", "floor")
        rows = [(server, f"/{size}.html") for server in [floor, *peers]]
        table = lab.compare(f"Static file, {name}, 64 kept connections", rows, size)
        if size == KIB:
            aims.append(table.aim("webserverd", "floor", 1.10))
        aims.append(table.aim("webserverd", table.best_peer("webserverd"), 1.0))
        floor.stop()
    rows = [(server, "/large.html") for server in peers]
    (folder / "large.html").write_bytes(b"x" * 10 * KIB * KIB)
    table = lab.compare("Static file, 10 MiB, 8 kept connections", rows, 10 * KIB * KIB, connections=8)
    aims.append(table.aim("webserverd", table.best_peer("webserverd"), 1.0))
    for peer in peers:
        peer.stop()
    return aims


def static_servers(lab, folder):
    peers = [
        servers.nginx_static(lab, folder),
        servers.lighttpd(lab, folder),
        servers.static_web_server(lab, folder),
        servers.webserverd(lab, folder),
    ]
    return [peer for peer in peers if peer]


def small_site(lab):
    """A folder with one file of 1 KiB."""
    folder = lab.folder / "small"
    folder.mkdir(exist_ok=True)
    (folder / "small.html").write_bytes(b"x" * KIB)
    return folder


def connections(lab):
    """A new connection for each request."""
    peers = static_servers(lab, small_site(lab))
    rows = [(server, "/small.html") for server in peers]
    title = "Static file, 1 KiB, a connection for each request"
    table = lab.compare(title, rows, KIB, more=["-H", "Connection: close"])
    for peer in peers:
        peer.stop()
    return [table.aim("webserverd", table.best_peer("webserverd"), 1.0)]


def tls(lab):
    """Encrypted, by a handshake that is long done."""
    pair = lab.certificate()
    if not pair:
        return []
    folder = small_site(lab)
    peers = [servers.nginx_static(lab, folder, pair), servers.webserverd(lab, folder, tls=pair)]
    rows = [(server, "/small.html") for server in peers if server]
    table = lab.compare("Static file, 1 KiB over TLS, 64 kept connections", rows, KIB)
    for server, _ in rows:
        server.stop()
    return [table.aim("webserverd", "nginx", 1.0)]


def latency(lab):
    """How long answers take while nobody is overloaded."""
    peers = static_servers(lab, small_site(lab))
    rows = [(server, "/small.html") for server in peers]
    title = "Static file, 1 KiB, 64 kept connections"
    saturated = lab.compare(f"{title}, as fast as it goes", rows, KIB)
    table = lab.compare_latency(title, rows, saturated)
    for peer in peers:
        peer.stop()
    return [table.aim("webserverd", table.best_peer("webserverd"), 1.0)]


def idle(lab):
    """What a connection costs that nobody uses at the moment."""
    need = IDLE + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < need:
        print(f"left out: idle connections (ulimit -n allows {hard}, they need {need})", file=sys.stderr)
        return []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, need), hard))
    peers = static_servers(lab, small_site(lab))
    rows = [(server, "/small.html") for server in peers]
    table = lab.compare_idle(f"{IDLE:,} idle kept connections", rows, IDLE)
    for peer in peers:
        peer.stop()
    return [table.aim("webserverd", table.best_peer("webserverd"), 1.0)]


def proxy(lab):
    """The same through a proxy: from its cache, and passed on to the origin."""
    aims = []
    for name, size in [("1 KiB", KIB), ("100 KiB", 100 * KIB)]:
        origin = servers.http_floor(lab, size, "max-age=3600", "origin", core=1)
        floor = servers.http_floor(lab, size, "max-age=60", "floor")
        peers = proxies(lab, origin.port, cached=True)
        rows = [(server, "/answer.html") for server in [floor, *peers]]
        title = f"Cached by a proxy, {name}, 64 kept connections"
        table = lab.compare(title, rows, size, cached=True)
        if size == KIB:
            aims.append(table.aim("proxyd", "floor", 1.15))
        aims.append(table.aim("proxyd", table.best_peer("proxyd"), 1.0))
        for server in [*peers, floor, origin]:
            server.stop()
    origin = servers.http_floor(lab, KIB, "no-store", "origin", core=1)
    peers = proxies(lab, origin.port, cached=False)
    rows = [(server, "/answer.html") for server in peers]
    title = "Passed on by a proxy, 1 KiB, 64 kept connections"
    table = lab.compare(title, rows, KIB, cached=False)
    aims.append(table.aim("proxyd", "HAProxy", 1.0))
    for server in [*peers, origin]:
        server.stop()
    return aims


def proxies(lab, origin, cached):
    peers = [
        servers.nginx_proxy(lab, origin, cached),
        servers.haproxy(lab, origin, cached),
        servers.varnish(lab, origin, cached),
        servers.squid(lab, origin, cached),
        servers.proxyd(lab, origin, None),
    ]
    return [peer for peer in peers if peer]


def udp(lab):
    """128 bytes, 64 in flight: each a message of its own, and in trains that the kernel cuts."""
    plain = servers.udp_floor(lab, "plain")
    batch = servers.udp_floor(lab, "batch")
    www = lab.folder / "empty"
    www.mkdir()
    echo = servers.webserverd(lab, www)
    aims = []
    for name, how in [("each sent alone", "one"), ("sent as trains (GSO)", "train")]:
        rows = [(server, how) for server in (batch, plain, echo)]
        table = lab.compare_udp(f"UDP echo, 128 B, 64 in flight, one flow, {name}", rows)
        aims.append(table.aim("webserverd", "floor, batched", 1.0 if how == "one" else 0.5))
    rows = [(server, "one 64") for server in (batch, plain, echo)]
    lab.compare_udp("UDP echo, 128 B, 64 flows with one in flight each", rows)
    for server in (plain, batch, echo):
        server.stop()
    # Behind every relay the same target, on the load generator's core.
    target = servers.webserverd(lab, www, core=1)
    peers = [servers.nginx_relay(lab, target.udp_port), servers.proxyd(lab, 1, target.udp_port)]
    peers = [peer for peer in peers if peer]
    for name, how in [("each sent alone", "one"), ("sent as trains (GSO)", "train")]:
        rows = [(server, how) for server in peers]
        table = lab.compare_udp(f"UDP relay, 128 B, 64 in flight, one flow, {name}", rows)
        aims.append(table.aim("proxyd", "nginx", 1 / 3))
    rows = [(server, "one 64") for server in peers]
    lab.compare_udp("UDP relay, 128 B, 64 flows with one in flight each", rows)
    for server in [*peers, target]:
        server.stop()
    return aims


MEASURE = {
    "static": static,
    "connections": connections,
    "tls": tls,
    "latency": latency,
    "idle": idle,
    "proxy": proxy,
    "udp": udp,
}


def report_aims(aims):
    aims = [aim for aim in aims if aim]
    if aims:
        print("\n### Aims\n")
        print("| CPU time, p99 or memory of … | beside | is | aim | |")
        print("|---|---|---:|---:|---|")
        for aim in aims:
            print(aim)


if __name__ == "__main__":
    try:
        main()
    except (BenchError, subprocess.CalledProcessError) as error:
        sys.exit(f"scripts/bench: {error}")
