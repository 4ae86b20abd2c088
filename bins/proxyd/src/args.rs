//! The command line. Nothing else knows clap.

use std::ffi::OsString;
use std::net::SocketAddr;

use bytesize::ByteSize;
use clap::Parser;
use netio::daemon::args::DaemonArgs;
use netio::usage::{AdminAddress, Refusal};

use crate::config::{Config, Endpoint, Origin};

/// The least that the cache may be given: below this, hardly a page would fit.
const SMALLEST_CACHE: ByteSize = ByteSize::mib(1);

const EXAMPLES: &str = "\
Examples:
  proxyd                                      http://127.0.0.1:8080/ before http://127.0.0.1:8000/
  proxyd --origin http://10.0.0.7:3000        another origin
  proxyd --bind 0.0.0.0 --cache-size 2GiB     for everybody, with a larger cache
  proxyd --log-format json | jq .             the access log as JSON
  proxyd --check                              ask a running one if it is well

Every answer says in its Cache-Status field what the cache did, and the access log (on stdout)
in its last column: HIT, MISS, STALE, REVALIDATED or BYPASS. Every address that is bound is told
in a line on stderr (listening tcp 127.0.0.1:8080). SIGTERM and SIGINT end it after the requests
under way.

Exit status: 0 after a stop signal, or when --check finds it well; 1 when it cannot run (a port
is taken), or had to cut connections at the drain deadline; 2 for a bad command line.";

/// A caching HTTP proxy before one origin, and a UDP relay.
#[derive(Debug, Parser)]
#[command(name = "proxyd", version, after_help = EXAMPLES)]
struct Args {
    /// The server that is asked for what the cache cannot answer; its name is resolved as it is
    /// connected to
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    origin: Origin,

    /// Where the UDP relay sends what its clients send
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9000")]
    udp_target: Endpoint,

    /// The TCP port for HTTP; 0 takes any free one
    #[arg(long, default_value_t = 8080)]
    port: u16,

    /// The UDP port of the relay; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 9090)]
    udp_port: u16,

    /// Where /metrics, /healthz and /status.json are served; off for nowhere
    #[arg(long, value_name = "ADDRESS:PORT|off", default_value = "127.0.0.1:8081", value_parser = str::parse::<AdminAddress>)]
    admin: AdminAddress,

    /// How much memory stored responses may take: 64MiB, 2GiB
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = cache_size)]
    cache_size: ByteSize,

    #[command(flatten)]
    daemon: DaemonArgs,
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
    if args.origin.authority == listens {
        return Err(Refusal::Mistake(format!(
            "the origin {} is this proxy itself; name another with --origin",
            args.origin
        )));
    }
    Ok(Order::Serve(Config {
        origin: args.origin,
        udp_target: args.udp_target,
        cache_bytes: args.cache_size.as_u64(),
        setup: args.daemon.setup(args.port, args.udp_port, args.admin),
    }))
}
