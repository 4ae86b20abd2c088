//! The command line. Nothing else knows clap.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use netio::access_log::Format;
use netio::{usage, worker};

use crate::config::Config;
use crate::files;

/// Where the admin endpoint is unless it is told otherwise.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8001);

const EXAMPLES: &str = "\
Examples:
  webserverd                               serve ./www on http://127.0.0.1:8000/
  webserverd --root /srv/site --port 80    another folder, the standard port
  webserverd --bind ::                     every IPv6 address of this machine
  webserverd --log-format json | jq .      the access log as JSON
  webserverd --check                       ask a running one if it is well

Every address that is bound is told in a line on stderr (listening tcp 127.0.0.1:8000);
the access log goes to stdout. SIGTERM and SIGINT end it after the requests under way.

Exit status: 0 after a stop signal, or when --check finds it well; 1 when it cannot run (a port
is taken), or had to cut connections at the drain deadline; 2 for a bad command line.";

/// Serves the files of a folder over HTTP/1.1, and echoes UDP datagrams.
#[derive(Debug, Parser)]
#[command(name = "webserverd", version, after_help = EXAMPLES)]
struct Args {
    /// The folder to serve; index.html stands for a folder, 404.html for what is missing
    #[arg(long, value_name = "DIR", default_value = "www")]
    root: PathBuf,

    /// The address to listen on, for HTTP and the echo
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    bind: IpAddr,

    /// The TCP port for HTTP; 0 takes any free one
    #[arg(long, default_value_t = 8000)]
    port: u16,

    /// The UDP port of the echo; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 9000)]
    udp_port: u16,

    /// Where /metrics and /healthz are served; off for nowhere
    #[arg(long, value_name = "ADDRESS:PORT|off", default_value = "127.0.0.1:8001", value_parser = admin)]
    admin: Admin,

    /// How many threads serve [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,

    /// The access log: human, common, combined, json or off
    #[arg(long, value_name = "FORMAT", default_value = "human", value_parser = str::parse::<Format>)]
    log_format: Format,

    /// How long requests under way may take after a stop signal
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    drain_timeout: Duration,

    /// Ask the server whose admin address is --admin if it is well, and exit
    #[arg(long)]
    check: bool,
}

/// An admin address, or none.
#[derive(Clone, Copy, Debug)]
struct Admin(Option<SocketAddr>);

fn admin(text: &str) -> Result<Admin, String> {
    if text == "off" {
        return Ok(Admin(None));
    }
    let address = text.parse();
    address
        .map(|address| Admin(Some(address)))
        .map_err(|_| format!("expected an address and a port, such as {ADMIN}, or off"))
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Order {
    /// Serve.
    Serve(Config),
    /// Ask the server with this admin address if it is well.
    Check(SocketAddr),
}

/// Why there is nothing to do: help was asked for, or the command line is wrong.
#[derive(Debug)]
pub enum Refusal {
    /// What clap says of it.
    Usage(clap::Error),
    /// A value that clap cannot judge.
    Value(String),
}

impl Refusal {
    /// Prints it where it belongs, and returns the exit status: 0 for help, 2 for a mistake.
    pub fn tell(self) -> ExitCode {
        match self {
            Refusal::Usage(help) if !help.use_stderr() => {
                // Nobody may be reading; then there is nothing to tell.
                let _ = help.print();
                return ExitCode::SUCCESS;
            }
            Refusal::Usage(error) => {
                eprintln!(
                    "{}",
                    usage::one_line("webserverd", &error.render().to_string())
                );
            }
            Refusal::Value(line) => eprintln!("webserverd: {line}"),
        }
        ExitCode::from(2)
    }
}

/// Reads the command line and checks it against the world: the root must be a readable folder.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Order, Refusal> {
    let args = Args::try_parse_from(args).map_err(Refusal::Usage)?;
    if args.check {
        return match args.admin.0 {
            Some(address) => Ok(Order::Check(address)),
            None => Err(Refusal::Value(
                "--check needs an --admin address to ask".into(),
            )),
        };
    }
    let root = files::open_root(&args.root).map_err(|error| {
        let root = args.root.display();
        Refusal::Value(format!(
            "cannot serve the folder {root}: {error}; name a readable folder with --root"
        ))
    })?;
    Ok(Order::Serve(Config {
        root,
        bind: args.bind,
        port: args.port,
        udp_port: args.udp_port,
        admin: args.admin.0,
        workers: args.workers.map_or_else(worker::default_count, usize::from),
        log_format: args.log_format,
        drain: args.drain_timeout,
    }))
}
