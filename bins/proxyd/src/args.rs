//! The command line. Nothing else knows clap.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Parser;
use ipnet::IpNet;
use netio::daemon::args::{DaemonArgs, network, patience};
use netio::http::client::Patience;
use netio::usage::{AdminAddress, Refusal};
use netproto::http::method::Method;
use netproto::http::target::Target;

use crate::access::{Access, Ports};
use crate::config::{Config, Endpoint, Origin};
use crate::impair::Impairment;
use crate::impair::http::HttpFaults;
use crate::upstream::origins::Balance;

/// The least that the cache may be given: below this, hardly a page would fit.
const SMALLEST_CACHE: ByteSize = ByteSize::mib(1);

const EXAMPLES: &str = "\
Examples:
  proxyd                                      http://127.0.0.1:8080/ before http://127.0.0.1:8000/
  proxyd --origin http://10.0.0.7:3000        another origin
  proxyd --origin http://10.0.0.7:3000 --origin http://10.0.0.8:3000 --health-check /healthz
                                              two, of which one may fail
  curl -x http://127.0.0.1:8080 https://example.com/    as a forward proxy
  proxyd --bind 0.0.0.0 --cache-size 2GiB     for everybody, with a larger cache
  proxyd --log-format json | jq .             the access log as JSON
  proxyd --impair 'delay=40ms jitter=5ms loss=1%' --seed 7
                                              a bad network for the relay's datagrams
  proxyd --check                              ask a running one if it is well

Every answer says in its Cache-Status field what the cache did, and the access log (on stdout)
in its last column: HIT, MISS, STALE, REVALIDATED, BYPASS, TUNNEL or DENIED. Every address that
is bound is told in a line on stderr (listening tcp 127.0.0.1:8080). SIGTERM and SIGINT end it
after the requests under way.

Faults (--impair), by spaces; each holds for both directions, or for one after to-target: or
to-client: (--impair 'delay=20ms to-client: loss=5%'):
  delay=TIME          each datagram is held for so long: 40ms, 250us; both ways makes twice the RTT
  jitter=TIME         and so much more or less, by distribution=uniform (the default), normal,
                      pareto or paretonormal, as tc-netem has them
  loss=PCT            so many are lost, each by itself: 1%, 0.1%
  gemodel=P,R[,1-H[,1-K]]
                      lost in bursts (Gilbert-Elliott): P good to bad, R bad to good, losses in
                      the bad state (100%) and in the good one (0%): 1%,25%
  duplicate=PCT       so many arrive twice
  corrupt=PCT         so many have one bit turned over
  reorder=PCT         so many are not held by delay and overtake; gap=N: at most every Nth
  rate=RATE           one link for all sessions: 2mbit, 500kbit of IP packets a second;
                      queue=64KiB and queue-datagrams=1000 bound what waits, the rest is dropped
Faults for answers over HTTP (--impair-http), in Toxiproxy's terms, for connections made since:
  latency=TIME        bytes arrive so much later; jitter=TIME, and distribution= as above
  bandwidth=RATE      of each connection: 1mbit, 64kbit
  slicer=SIZE         bytes go in pieces of so many; slicer_delay=TIME between two
  slow_close=TIME     the end of a connection comes so much later
  limit_data=SIZE     a connection is closed after so many bytes
  timeout=TIME        nothing arrives, and the connection is closed after so long
  reset_peer=TIME     nothing arrives, and the connection is reset after so long
  fail=STATUS:PCT     so many requests are answered with this status: 503:5%

The same seed gives datagram N of session M the same fate, with any number of workers.

Exit status: 0 after a stop signal, or when --check finds it well; 1 when it cannot run (a port
is taken), or had to cut connections at the drain deadline; 2 for a bad command line.";

/// A caching HTTP proxy, before origins and to any server, and a UDP relay.
#[derive(Debug, Parser)]
#[command(name = "proxyd", version, after_help = EXAMPLES)]
struct Args {
    /// Where the UDP relay sends what its clients send
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9000")]
    udp_target: Endpoint,

    /// The TCP port for HTTP; 0 takes any free one
    #[arg(long, default_value_t = 8080)]
    port: u16,

    /// The UDP port of the relay; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 9090)]
    udp_port: u16,

    /// Where /metrics, /healthz, /status.json, /impair and /cache are served; off for nowhere
    #[arg(long, value_name = "ADDRESS:PORT|off", default_value = "127.0.0.1:8081", value_parser = str::parse::<AdminAddress>)]
    admin: AdminAddress,

    /// How much memory stored responses may take: 64MiB, 2GiB
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = cache_size)]
    cache_size: ByteSize,

    /// How large the body of a request may be; it streams through, without being held in memory
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = str::parse::<ByteSize>)]
    max_upload: ByteSize,

    /// Faults for the relay's datagrams to meet: 'delay=40ms jitter=5ms loss=1%'; all are listed below
    #[arg(long, value_name = "FAULTS", help_heading = "Impairment")]
    impair: Option<Impairment>,

    /// Faults for answers over HTTP to meet: 'latency=100ms bandwidth=1mbit fail=503:5%'; all are
    /// listed below
    #[arg(long, value_name = "FAULTS", help_heading = "Impairment")]
    impair_http: Option<HttpFaults>,

    /// What the faults are drawn from: the same seed, the same faults
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        help_heading = "Impairment"
    )]
    seed: u64,

    #[command(flatten)]
    daemon: DaemonArgs,

    #[command(flatten)]
    origins: OriginArgs,

    #[command(flatten)]
    forward: ForwardArgs,
}

/// Who is asked for what the cache cannot answer.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Origins")]
struct OriginArgs {
    /// A server that is asked for what the cache cannot answer; its name is resolved as it is
    /// connected to; may be repeated
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    origin: Vec<Origin>,

    /// How requests are spread over several: round-robin or least-connections
    #[arg(long, value_name = "HOW", default_value = "round-robin", value_parser = str::parse::<Balance>)]
    balance: Balance,

    /// Ask each origin for this path every 2 s, and leave out those that do not answer with 2xx or
    /// 3xx [default: only those are left out, for a while, that fail a request]
    #[arg(long, value_name = "PATH", value_parser = health_check)]
    health_check: Option<String>,

    /// How long a server, an origin or one that a client names, may take to be connected to
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = patience)]
    connect_timeout: Duration,

    /// How long it may take from the end of a request to the end of its answer's head, and how long
    /// a body may stall (504, or a cut answer, after that)
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = patience)]
    answer_timeout: Duration,

    /// Believe what these clients, proxies themselves, say in Forwarded and X-Forwarded-*; may be
    /// repeated
    #[arg(long, value_name = "CIDR", value_parser = network)]
    trust_forwarded: Vec<IpNet>,
}

fn health_check(text: &str) -> Result<String, &'static str> {
    match Target::parse(text.as_bytes(), &Method::Get) {
        Ok(Target::Origin { .. }) => Ok(text.to_owned()),
        _ => Err("expected a path, such as /healthz"),
    }
}

/// What may be asked of servers that clients name.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Forward proxy (curl -x, a browser's proxy setting)")]
struct ForwardArgs {
    /// Forward for these clients too, not only for those of this machine; may be repeated
    #[arg(long, value_name = "CIDR", value_parser = network)]
    allow: Vec<IpNet>,

    /// Open tunnels (CONNECT) to this port or range too, not only to 443; may be repeated
    #[arg(long, value_name = "PORT", value_parser = str::parse::<Ports>)]
    connect_port: Vec<Ports>,

    /// Ask these addresses too, though they are not of the public internet (loopback, private,
    /// link-local and the like); may be repeated
    #[arg(long, value_name = "CIDR", value_parser = network)]
    allow_target: Vec<IpNet>,

    /// How long a tunnel may carry nothing before it is ended
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = patience)]
    tunnel_idle: Duration,

    /// Forward nothing: every request is the origin's, and CONNECT is refused
    #[arg(long, conflicts_with_all = ["allow", "connect_port", "allow_target"])]
    reverse_only: bool,
}

fn cache_size(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text
        .parse()
        .map_err(|_| "expected a size, such as 64MiB or 2GiB".to_owned())?;
    if size < SMALLEST_CACHE {
        return Err(format!("expected at least {SMALLEST_CACHE}"));
    }
    Ok(size)
}

/// What the command line asks for.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "made once, when the program starts"
)]
pub enum Order {
    /// Serve.
    Serve(Config),
    /// Ask the proxy with this admin address if it is well.
    Check(SocketAddr),
}

/// Reads the command line.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Order, Refusal> {
    let args = Args::try_parse_from(args)
        .map_err(|said| Refusal::of(said.render().to_string(), said.use_stderr()))?;
    if args.daemon.check {
        return match args.admin.0 {
            Some(address) => Ok(Order::Check(address)),
            None => Err(Refusal::Mistake(
                "--check needs an --admin address to ask".into(),
            )),
        };
    }
    let listens = args.daemon.http_address(args.port).to_string();
    let origins = args.origins.origin;
    if let Some(own) = origins.iter().find(|origin| origin.authority == listens) {
        return Err(Refusal::Mistake(format!(
            "the origin {own} is this proxy itself; name another with --origin"
        )));
    }
    let is_repeated = |(at, origin)| origins[..at].contains(origin);
    if let Some((_, twice)) = origins.iter().enumerate().find(|found| is_repeated(*found)) {
        return Err(Refusal::Mistake(format!(
            "the origin {twice} is named twice; name each once"
        )));
    }
    let mut setup = args.daemon.setup(args.port, args.udp_port, args.admin)?;
    setup.http.limits.body_bytes = args.max_upload.as_u64();
    Ok(Order::Serve(Config {
        origins,
        balance: args.origins.balance,
        health_check: args.origins.health_check,
        access: Access {
            is_reverse_only: args.forward.reverse_only,
            clients: args.forward.allow,
            connect_ports: args.forward.connect_port,
            targets: args.forward.allow_target,
            own: Vec::new(),
        },
        patience: Patience {
            connect: args.origins.connect_timeout,
            answer: args.origins.answer_timeout,
            stall: args.origins.answer_timeout,
        },
        trusted: args.origins.trust_forwarded,
        tunnel_idle: args.forward.tunnel_idle,
        udp_target: args.udp_target,
        cache_bytes: args.cache_size.as_u64(),
        impairment: args.impair.unwrap_or_default(),
        http_faults: args.impair_http.unwrap_or_default(),
        seed: args.seed,
        setup,
    }))
}
