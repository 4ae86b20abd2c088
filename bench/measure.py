"""Programs under test, their CPU time, and the tables of what was measured."""

import ctypes
import os
import re
import signal
import socket
import statistics
import subprocess
import time
from pathlib import Path

START_DEADLINE = 10
STOP_DEADLINE = 3
TICK = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None)


class BenchError(Exception):
    """Something that the user can see to."""


def exit_on_signals():
    """Has a signal end this process as an error would, through all that is still to be cleaned up."""

    def stop(number, _frame):
        raise SystemExit(128 + number)

    # Set even if our parent ignores them, as a shell does for what it runs in the background.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def own_network():
    """Takes this process into a network of its own with nothing but loopback. It has no name, so it
    is gone with the last process in it."""
    if LIBC.unshare(CLONE_NEWNET) != 0:
        raise BenchError("the system does not allow a network of its own (root, CAP_SYS_ADMIN)")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def die_with_parent():
    """Of a child, before it becomes its program: should we be killed, the kernel stops it."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def busy_seconds():
    """What all cores together have worked, and what the hypervisor took of them, since they started."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    # proc(5): user, nice, system, idle, iowait, irq, softirq, steal.
    user, nice, system, _, _, irq, softirq, steal = map(int, fields[1:9])
    return (user + nice + system + irq + softirq) / TICK, steal / TICK


class Server:
    """A program pinned to one core (or to none), with all the processes that it starts."""

    def __init__(
        self, name, version, command, port, core=0, udp_port=None, log=None, scheme="http"
    ):
        self.name, self.version, self.port, self.udp_port = name, version, port, udp_port
        self.scheme = scheme
        self.command = [str(part) for part in command]
        self.log = log
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Not the terminal's: Ctrl-C comes to us, and we stop the others.
                start_new_session=True,
                preexec_fn=lambda: (
                    core is None or os.sched_setaffinity(0, {core}),
                    die_with_parent(),
                ),
            )

    def wait_until_up(self):
        """Waits until the TCP port takes connections, or the UDP port is bound."""
        end = time.monotonic() + START_DEADLINE
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            if self.is_up():
                return
            time.sleep(0.02)
        output = Path(self.log).read_text(errors="replace").strip() or "it said nothing"
        raise BenchError(f"{self.name} does not come up ({' '.join(self.command)}): {output}")

    def is_up(self):
        if self.port:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                    return False
        if self.udp_port:
            with socket.socket(type=socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind(("127.0.0.1", self.udp_port))
                except OSError:
                    return True
                return False
        return True

    def processes(self):
        """The process ids of the program and all that descend from it."""
        found, unseen = [], [self.process.pid]
        while unseen:
            pid = unseen.pop()
            found.append(pid)
            try:
                for task in Path(f"/proc/{pid}/task").iterdir():
                    unseen += map(int, (task / "children").read_text().split())
            except OSError:
                continue
        return found

    def cpu_seconds(self):
        ticks = 0
        for pid in self.processes():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            # proc(5): utime and stime are fields 14 and 15; the split begins with field 3.
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICK

    def memory_kib(self):
        """Resident memory; what several processes share is divided among them."""
        total = 0
        for pid in self.processes():
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+)", rollup, re.M)[1])
        return total

    def stop(self):
        """Ends the program and what it has started, each by its process id."""
        if self.process.poll() is not None:
            return
        pids = self.processes()
        self.process.terminate()
        try:
            self.process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            pass
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Run:
    """One run: the figure (less is better), and answers a second where they are counted."""

    def __init__(self, figure, per_second=None, note=""):
        self.figure, self.per_second, self.note = figure, per_second, note

    @staticmethod
    def of_cpu(cpu_seconds, answers, seconds, note=""):
        """CPU microseconds for each answer."""
        if answers == 0:
            raise BenchError("no answer at all in a whole run")
        return Run(cpu_seconds * 1e6 / answers, answers / seconds, note)


def run_wrk(server, path, seconds, connections, *more):
    """wrk, with `more` of its arguments, over TLS where the server speaks that."""
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", *more]
    before = server.cpu_seconds()
    output = run(command + [f"{server.scheme}://127.0.0.1:{server.port}{path}"])
    cpu = server.cpu_seconds() - before
    done = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m)", output)
    if not done:
        raise BenchError(f"wrk said nothing of requests:\n{output}")
    unit = {"ms": 0.001, "s": 1, "m": 60}[done[3]]
    problems = re.findall(r"(Socket errors: .*|Non-2xx or 3xx responses: .*)", output)
    return Run.of_cpu(cpu, int(done[1]), float(done[2]) * unit, "; ".join(problems))


def run_rate(program, server, path, per_second, seconds, connections):
    """The 99th percentile of the time to an answer, in microseconds, at a fixed rate."""
    command = ["taskset", "-c", "1", program, server.port, path, per_second, seconds, connections]
    figures = dict(part.split("=") for part in run(list(map(str, command))).split())
    note = f"median {figures['p50_us']}, greatest {figures['max_us']}"
    if figures["unsent"] != "0":
        note += f", {figures['unsent']} not sent in time"
    return Run(float(figures["p99_us"]), float(figures["per_second"]), note)


def hold_idle(server, path, count):
    """Memory, in KiB, of a server with so many connections that each had an answer and are idle."""
    before = server.memory_kib()
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    held = []
    try:
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            held.append(connection)
            connection.sendall(request)
            if not connection.recv(65536).startswith(b"HTTP/1.1 200"):
                raise BenchError(f"{server.name} does not answer connection {len(held)}")
        time.sleep(1)
        now = server.memory_kib()
    finally:
        for connection in held:
            connection.close()
    each = (now - before) * 1024 / count
    return Run(now, None, f"{before:,} KiB without any; {each:,.0f} B a connection")


def run_udp_load(program, server, how, seconds):
    mode, _, flows = how.partition(" ")
    command = ["taskset", "-c", "1", program, server.udp_port, seconds, 128, 64, mode, flows or 1]
    before = server.cpu_seconds()
    rate, lost = map(int, run(list(map(str, command))).split())
    cpu = server.cpu_seconds() - before
    note = f"{lost} lost" if lost else ""
    return Run.of_cpu(cpu, round(rate * seconds), seconds, note)


def run(command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise BenchError(f"{' '.join(command)}: {result.stderr.strip() or result.stdout.strip()}")
    return result.stdout


class Table:
    """The runs of several servers doing the same; the first is what the others are held against."""

    def __init__(self, title, servers, unit="CPU µs each"):
        self.title, self.unit = title, unit
        self.rows = {server: [] for server in servers}

    def add(self, server, run):
        self.rows[server].append(run)

    def median(self, name):
        for server, runs in self.rows.items():
            if server.name == name:
                return statistics.median(run.figure for run in runs)
        return None

    def per_second(self, server):
        """The median of the answers a second."""
        return statistics.median(run.per_second for run in self.rows[server])

    def best_peer(self, ours):
        """Who of the other servers has the least."""
        peers = [s.name for s in self.rows if s.name != ours and not s.name.startswith("floor")]
        return min(peers, key=self.median, default=None)

    def show(self):
        first = next(iter(self.rows))
        base = self.median(first.name)
        print(f"\n### {self.title}\n")
        print(f"| server | version | {self.unit} | | × {first.name} | each second | |")
        print("|---|---|---:|---|---:|---:|---|")
        for server, runs in self.rows.items():
            figures = [run.figure for run in runs]
            middle = statistics.median(figures)
            rates = [run.per_second for run in runs if run.per_second is not None]
            rate = f"{statistics.median(rates):,.0f}" if rates else ""
            note = next((run.note for run in runs if run.note), "")
            print(
                f"| {server.name} | {server.version} | {middle:,.2f} | [{min(figures):,.2f}–{max(figures):,.2f}]"
                f" | {middle / base:.2f} | {rate} | {note} |",
                flush=True,
            )

    def aim(self, ours, other, aim):
        """A line for the table of aims; none if either is left out, or did too little to be measured."""
        mine, theirs = self.median(ours), self.median(other) if other else None
        # 0: a run in which the clock of CPU time did not tick once.
        if mine is None or not theirs:
            return None
        ratio = mine / theirs
        verdict = "met" if ratio <= aim else "missed"
        return f"| {ours}: {self.title} | {other} | {ratio:.2f} | ≤ {aim:.2f} | {verdict} |"
