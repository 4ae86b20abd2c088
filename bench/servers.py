"""The servers that are compared: where they are, how they are set up, and what is left out."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

from measure import (
    BenchError,
    Server,
    Table,
    free_port,
    hold_idle,
    run_rate,
    run_udp_load,
    run_wrk,
)

# The package of Debian that has each program.
PACKAGES = {
    "gcc": "gcc",
    "wrk": "wrk",
    "nginx": "nginx-light",
    "ngx_stream_module.so": "libnginx-mod-stream",
    "lighttpd": "lighttpd",
    "haproxy": "haproxy",
    "varnishd": "varnish",
    "squid": "squid",
    "openssl": "openssl",
}
STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
POLICY = Path("/usr/sbin/policy-rc.d")
CONNECTIONS = 64


def found(program):
    if program == STREAM_MODULE.name:
        return STREAM_MODULE.exists()
    # Servers lie in /usr/sbin, which not every user's PATH has,
    # and what cargo installs in a folder of its own.
    more = f":/usr/sbin:/usr/local/sbin:{Path.home()}/.cargo/bin"
    return shutil.which(program, path=os.environ.get("PATH", "") + more)


def install(packages):
    print(f"installing {' '.join(packages)}", file=sys.stderr)
    # invoke-rc.d(8): a policy that answers 101 keeps the packages from starting their services.
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        quiet = {"stdout": sys.stderr, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
        subprocess.run(command, check=False, **quiet)
    finally:
        if ours:
            POLICY.unlink()


class Lab:
    """Everything that runs, in one temporary folder."""

    def __init__(self, folder, seconds, runs):
        self.folder, self.seconds, self.runs = folder, seconds, runs
        self.daemons, self.started = {}, []

    def start(self, name, version, command, **kind):
        log = self.folder / f"{len(self.started)}.log"
        server = Server(name, version, command, log=log, **kind)
        self.started.append(server)
        server.wait_until_up()
        return server

    def stop_all(self):
        for server in reversed(self.started):
            server.stop()

    def compare(self, title, rows, size, cached=None, connections=CONNECTIONS, more=()):
        """Runs wrk on each row in turn, with `more` of its arguments. `cached` says whether proxies
        are to answer from a cache."""
        table = Table(title, [server for server, _ in rows])
        for server, path in rows:
            check(server, path, size, None if server.name == "floor" else cached)
        for _ in range(self.runs):
            for server, path in rows:
                table.add(server, run_wrk(server, path, self.seconds, connections, *more))
        table.show()
        return table

    def compare_latency(self, title, rows, saturated):
        """The 99th percentile at half of what the slowest of the rows reached in `saturated`."""
        per_second = round(min(saturated.per_second(server) for server, _ in rows) / 2)
        title = f"{title}, {per_second:,} requests a second"
        table = Table(title, [server for server, _ in rows], "p99 µs")
        program = self.folder / "http_rate"
        for _ in range(self.runs):
            for server, path in rows:
                run = run_rate(program, server, path, per_second, self.seconds, CONNECTIONS)
                table.add(server, run)
        table.show()
        return table

    def compare_idle(self, title, rows, count):
        """Once for each: the memory of a server hardly depends on who else is at work."""
        table = Table(title, [server for server, _ in rows], "KiB resident")
        for server, path in rows:
            table.add(server, hold_idle(server, path, count))
        table.show()
        return table

    def certificate(self):
        """A self-signed certificate and its key, made once; None without openssl."""
        cert, key = self.folder / "cert.pem", self.folder / "key.pem"
        if not found("openssl"):
            left_out("TLS", PACKAGES["openssl"])
            return None
        if not cert.exists():
            command = ["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]
            command += ["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=localhost"]
            command += ["-keyout", key, "-out", cert]
            subprocess.run(command, check=True, capture_output=True)
        return cert, key

    def compare_udp(self, title, rows):
        table = Table(title, [server for server, _ in rows])
        for _ in range(self.runs):
            for server, how in rows:
                load = self.folder / "udp_load"
                table.add(server, run_udp_load(load, server, how, self.seconds))
        table.show()
        return table


def check(server, path, size, cached):
    """Asks twice, so that a cache is warm, and holds the answer against what it must be."""
    trusting = ssl._create_unverified_context()
    url = f"{server.scheme}://127.0.0.1:{server.port}{path}"
    for _ in range(2):
        with urllib.request.urlopen(url, timeout=5, context=trusting) as answer:
            body = answer.read()
            if answer.status != 200 or len(body) != size:
                raise BenchError(f"{server.name} answers {answer.status} with {len(body)} bytes")
    # Who says nothing of its cache itself gives Age to what comes from there, and only to that.
    if "X-Cache-Hits" in answer.headers:
        hit = answer.headers["X-Cache-Hits"] != "0"
    elif "X-Cache" in answer.headers:
        hit = "HIT" in answer.headers["X-Cache"]
    else:
        hit = "Age" in answer.headers
    if cached is not None and hit != cached:
        raise BenchError(f"{server.name} answers {'from' if hit else 'past'} its cache")


def version_of(command, pattern):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    match = re.search(pattern, result.stdout + result.stderr)
    return match[1] if match else "?"


def left_out(name, package):
    print(f"left out: {name} (apt-get install {package})", file=sys.stderr)


def http_floor(lab, size, cache_control, name, core=0):
    port = free_port()
    command = [lab.folder / "http_floor", port, size, cache_control]
    return lab.start(name, "", command, port=port, core=core)


def udp_floor(lab, how):
    port = free_port(socket.SOCK_DGRAM)
    name = {"plain": "floor, one by one", "batch": "floor, batched"}[how]
    command = [lab.folder / "udp_floor", how, port]
    return lab.start(name, "", command, port=None, udp_port=port)


def webserverd(lab, root, core=0, tls=None):
    port, udp_port = free_port(), free_port(socket.SOCK_DGRAM)
    command = [lab.daemons["webserverd"], "--root", root, "--bind", "127.0.0.1"]
    command += ["--port", port, "--udp-port", udp_port]
    command += ["--admin", "off", "--workers", 1, "--log-format", "off"]
    scheme = "http"
    if tls:
        scheme = "https"
        command += ["--tls-cert", tls[0], "--tls-key", tls[1]]
    return lab.start(
        "webserverd", "", command, port=port, udp_port=udp_port, core=core, scheme=scheme
    )


def proxyd(lab, origin, udp_target):
    port, udp_port = free_port(), free_port(socket.SOCK_DGRAM)
    command = [lab.daemons["proxyd"], "--origin", f"http://127.0.0.1:{origin}"]
    command += ["--udp-target", f"127.0.0.1:{udp_target or 9}", "--bind", "127.0.0.1"]
    command += ["--port", port, "--udp-port", udp_port, "--cache-size", "64MiB"]
    command += ["--admin", "off", "--workers", 1, "--log-format", "off"]
    return lab.start("proxyd", "", command, port=port, udp_port=udp_port)


def nginx(lab, name, text, modules="", **kind):
    if not found("nginx"):
        left_out("nginx", PACKAGES["nginx"])
        return None
    folder = lab.folder / name
    folder.mkdir(exist_ok=True)
    # Root would give its files to a user who cannot reach this folder.
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(f"""{modules}
{user}
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log crit;
worker_rlimit_nofile 30000;
events {{ worker_connections 20000; }}
{text}
""")
    program = found("nginx")
    version = version_of([program, "-v"], r"nginx/([\d.]+)")
    command = [program, "-c", config, "-p", folder, "-e", folder / "error.log"]
    return lab.start("nginx", version, command, **kind)


NGINX_HTTP = """
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    open_file_cache max=1000;
    client_body_temp_path body; proxy_temp_path proxy;
"""


def nginx_static(lab, root, tls=None):
    port = free_port()
    secure = f"ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]};" if tls else ""
    listen = f"{port} ssl" if tls else port
    text = f"""http {{
    types {{ text/html html; }}
    {NGINX_HTTP}
    server {{ listen 127.0.0.1:{listen}; root {root}; {secure} }}
}}"""
    name, scheme = ("nginx-tls", "https") if tls else ("nginx-static", "http")
    return nginx(lab, name, text, port=port, scheme=scheme)


def nginx_proxy(lab, origin, cached):
    port = free_port()
    cache = "proxy_cache lab; add_header X-Cache $upstream_cache_status;" if cached else ""
    text = f"""http {{
    {NGINX_HTTP}
    proxy_cache_path cache levels=1:2 keys_zone=lab:10m max_size=64m;
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            {cache}
        }}
    }}
}}"""
    return nginx(lab, f"nginx-proxy-{port}", text, port=port)


def nginx_relay(lab, target):
    if not STREAM_MODULE.exists():
        left_out("nginx as a UDP relay", PACKAGES[STREAM_MODULE.name])
        return None
    port = free_port(socket.SOCK_DGRAM)
    text = f"""stream {{
    server {{ listen 127.0.0.1:{port} udp; proxy_pass 127.0.0.1:{target}; proxy_timeout 60s; }}
}}"""
    modules = f"load_module {STREAM_MODULE};"
    return nginx(lab, "nginx-relay", text, modules, port=None, udp_port=port)


def lighttpd(lab, root):
    program = found("lighttpd")
    if not program:
        left_out("lighttpd", PACKAGES["lighttpd"])
        return None
    port = free_port()
    config = lab.folder / "lighttpd.conf"
    config.write_text(f"""
server.document-root = "{root}"
server.bind = "127.0.0.1"
server.port = {port}
server.max-keep-alive-requests = 65535
server.max-fds = 30000
server.max-connections = 20000
server.max-keep-alive-idle = 120
mimetype.assign = ( ".html" => "text/html" )
""")
    version = version_of([program, "-v"], r"lighttpd/([\d.]+)")
    return lab.start("lighttpd", version, [program, "-D", "-f", config], port=port)


def static_web_server(lab, root):
    program = found("static-web-server")
    if not program:
        print("left out: static-web-server (cargo install static-web-server)", file=sys.stderr)
        return None
    port = free_port()
    command = [program, "--host", "127.0.0.1", "--port", port, "--root", root]
    command += ["--log-level", "error", "--threads-multiplier", 1]
    # Its caching fields and its compression are what webserverd is not asked for either.
    command += ["--compression", "false"]
    version = version_of([program, "--version"], r"([\d.]+)")
    return lab.start("static-web-server", version, command, port=port)


def varnish(lab, origin, cached):
    program = found("varnishd")
    if not program:
        left_out("Varnish", PACKAGES["varnishd"])
        return None
    port = free_port()
    folder = lab.folder / f"varnish-{port}"
    config = lab.folder / f"varnish-{port}.vcl"
    receive = "return (hash);" if cached else "return (pass);"
    config.write_text(f"""vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{origin}"; }}
sub vcl_recv {{ {receive} }}
sub vcl_deliver {{ set resp.http.X-Cache-Hits = obj.hits; }}
""")
    command = [program, "-F", "-j", "none", "-n", folder, "-f", config, "-s", "malloc,64m"]
    command += ["-a", f"127.0.0.1:{port}", "-T", "none"]
    command += ["-p", "thread_pools=1", "-p", "thread_pool_min=100"]
    version = version_of([program, "-V"], r"varnish-([\d.]+)")
    return lab.start("Varnish", version, command, port=port)


def squid(lab, origin, cached):
    program = found("squid")
    if not program:
        left_out("Squid", PACKAGES["squid"])
        return None
    port = free_port()
    folder = lab.folder / f"squid-{port}"
    folder.mkdir()
    if os.geteuid() == 0:
        # It will not be root: it becomes the user that the package has made for it.
        shutil.chown(folder, "proxy")
    config = folder / "squid.conf"
    config.write_text(f"""
http_port 127.0.0.1:{port} accel defaultsite=127.0.0.1:{origin} no-vhost
cache_peer 127.0.0.1 parent {origin} 0 no-query no-digest originserver
http_access allow all
cache {"allow" if cached else "deny"} all
cache_mem 64 MB
maximum_object_size_in_memory 1 MB
memory_cache_shared off
access_log none
cache_log {folder}/cache.log
cache_store_log none
pid_filename {folder}/pid
coredump_dir {folder}
pinger_enable off
shutdown_lifetime 0 seconds
""")
    command = [program, "-N", "-n", f"bench{port}", "-f", config]
    version = version_of([program, "-v"], r"Version ([\d.]+)")
    return lab.start("Squid", version, command, port=port)


def haproxy(lab, origin, cached):
    program = found("haproxy")
    if not program:
        left_out("HAProxy", PACKAGES["haproxy"])
        return None
    port = free_port()
    rules = "http-request cache-use lab\n    http-response cache-store lab" if cached else ""
    config = lab.folder / f"haproxy-{port}.conf"
    config.write_text(f"""
global
    nbthread 1
    maxconn 4096
cache lab
    total-max-size 64
    max-object-size 1048576
    max-age 3600
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend lab
    bind 127.0.0.1:{port}
    default_backend origin
backend origin
    {rules}
    server origin 127.0.0.1:{origin}
""")
    version = version_of([program, "-v"], r"version ([\d.]+)")
    return lab.start("HAProxy", version, [program, "-f", config, "-db"], port=port)
