//! The flags that every daemon has, in one place. Each program flattens [`DaemonArgs`] into its own
//! command line; what differs between them (ports, the admin address) stands there.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use super::Setup;
use crate::access_log::Format;
use crate::http::door::{Door, DoorRules};
use crate::http::server::Settings;
use crate::log_file::LogFile;
use crate::rate::Rate;
use crate::tls::{Tls, TlsFiles};
use crate::usage::{AdminAddress, Refusal};
use crate::worker;

/// The flags that every daemon has.
#[derive(Debug, Args)]
pub struct DaemonArgs {
    /// The address to listen on, for HTTP and UDP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    bind: IpAddr,

    /// How many threads serve [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,

    /// The access log: human, common, combined, json or off
    #[arg(long, value_name = "FORMAT", default_value = "human", value_parser = str::parse::<Format>)]
    log_format: Format,

    /// Append the access log to this file, which SIGHUP opens again [default: stdout]
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,

    /// How long requests under way may take after a stop signal
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    drain_timeout: Duration,

    /// Ask the running program whose admin address is --admin if it is well, and exit
    #[arg(long)]
    pub check: bool,

    #[command(flatten, next_help_heading = "Limits on HTTP clients")]
    limits: LimitArgs,

    #[command(flatten, next_help_heading = "TLS")]
    tls: TlsArgs,

    /// Who may ask over HTTP, everybody if empty; for a program that has a flag for it.
    #[arg(skip)]
    pub allow: Vec<IpNet>,
}

/// What HTTP clients are held to. A client is an IPv4 address or an IPv6 /64.
#[derive(Debug, Args)]
struct LimitArgs {
    /// How many connections are open at most; more wait to be accepted
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: u32,

    /// How many of them one client (an IPv4 address, an IPv6 /64) may have; more are closed at once
    /// [default: any number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_connections_per_client: Option<u32>,

    /// How many connections a second a client may open, and how many at once after a rest; more
    /// are closed at once [default: any rate; the burst is a second's]
    #[arg(long, value_name = "N[:BURST]", value_parser = rate)]
    connection_rate: Option<Rate>,

    /// How many requests a second a client may make, and how many at once after a rest; more are
    /// answered with 429 and Retry-After [default: any rate; the burst is a second's]
    #[arg(long, value_name = "N[:BURST]", value_parser = rate)]
    request_rate: Option<Rate>,

    /// How many requests a connection may carry [default: any number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_requests: Option<u64>,

    /// How long a request head may take from its first byte to its last (408 after that)
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = patience)]
    head_timeout: Duration,

    /// How long a request body may stall
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = patience)]
    body_timeout: Duration,

    /// How long a client may take nothing of its answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = patience)]
    write_timeout: Duration,

    /// How long a connection may stay idle between requests
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = patience)]
    idle_timeout: Duration,
}

/// Both or none.
#[derive(Debug, Args)]
struct TlsArgs {
    /// Speak TLS, with this certificate and those that lead to a known one (PEM); read again on
    /// SIGHUP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl DaemonArgs {
    /// The setup that they ask for, with what each program has flags of its own for.
    ///
    /// # Errors
    /// The files of the access log, the certificate or its key are not good.
    pub fn setup(self, port: u16, udp_port: u16, admin: AdminAddress) -> Result<Setup, Refusal> {
        let mut http = self.limits.settings(self.allow);
        http.tls = self.tls.load()?;
        let log_file = self.access_log.map(open_log).transpose()?;
        Ok(Setup {
            bind: self.bind,
            port,
            udp_port,
            admin: admin.0,
            workers: self.workers.map_or_else(worker::default_count, usize::from),
            log_format: self.log_format,
            log_file,
            drain: self.drain_timeout,
            http,
        })
    }

    /// Where it would listen for HTTP on `port`.
    pub fn http_address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.bind, port)
    }
}

fn open_log(path: PathBuf) -> Result<LogFile, Refusal> {
    let name = path.display().to_string();
    LogFile::open(path).map_err(|error| {
        Refusal::Mistake(format!(
            "cannot append to {name}: {error}; see --access-log"
        ))
    })
}

impl TlsArgs {
    fn load(self) -> Result<Option<Tls>, Refusal> {
        let (Some(certificates), Some(key)) = (self.tls_cert, self.tls_key) else {
            return Ok(None);
        };
        let loaded = Tls::load(TlsFiles { certificates, key });
        let mistake = |error| Refusal::Mistake(format!("{error}; see --tls-cert and --tls-key"));
        loaded.map(Some).map_err(mistake)
    }
}

impl LimitArgs {
    fn settings(self, allow: Vec<IpNet>) -> Settings {
        let count = |number: u32| number as usize;
        let rules = DoorRules {
            connections: count(self.max_connections),
            connections_per_client: self.max_connections_per_client.map(count),
            connection_rate: self.connection_rate,
            request_rate: self.request_rate,
            allow,
        };
        Settings {
            door: Arc::new(Door::new(rules)),
            requests: self.max_requests.unwrap_or(u64::MAX),
            head: self.head_timeout,
            body_stall: self.body_timeout,
            write_stall: self.write_timeout,
            idle: self.idle_timeout,
            ..Settings::default()
        }
    }
}

/// `50` or `50:200`: so many a second, so many at once.
fn rate(text: &str) -> Result<Rate, &'static str> {
    const CURE: &str = "expected how many a second and, behind a colon, how many at once, \
                        such as 50 or 50:200";
    fn count(text: &str) -> Result<u32, &'static str> {
        match u32::from_str(text) {
            Ok(number @ 1..=1_000_000_000) => Ok(number),
            _ => Err(CURE),
        }
    }
    let (per_second, burst) = text.split_once(':').unwrap_or((text, text));
    Ok(Rate {
        per_second: count(per_second)?,
        burst: count(burst)?,
    })
}

/// A network (`10.0.0.0/8`), or an address alone.
///
/// # Errors
/// What was expected, for who wrote the command line.
pub fn network(text: &str) -> Result<IpNet, &'static str> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .or_else(|_| address())
        .map_err(|_| "expected a network or an address, such as 10.0.0.0/8 or 2001:db8::1")
}

/// A time that is not zero: nobody can keep a deadline of nothing.
///
/// # Errors
/// What was expected.
pub fn patience(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("expected more than no time".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}
