//! The command line. Nothing else knows clap.

mod content;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;

use clap::Parser;
use ipnet::IpNet;
use netio::daemon::args::{self, DaemonArgs};
use netio::usage::{AdminAddress, Refusal};

use self::content::ContentArgs;
use crate::auth::Auth;
use crate::config::Config;
use crate::files::{self, Found};

const EXAMPLES: &str = "\
Examples:
  webserverd                               serve ./www on http://127.0.0.1:8000/
  webserverd --root /srv/site --port 80    another folder, the standard port
  webserverd --bind ::                     every IPv6 address of this machine
  webserverd --listing --spa app.html      list folders; one page for all that is missing
  webserverd --cache-control '*.html=no-cache' --cache-control 'assets/**=max-age=31536000'
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

    /// The TCP port for HTTP; 0 takes any free one
    #[arg(long, default_value_t = 8000)]
    port: u16,

    /// The UDP port of the echo; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 9000)]
    udp_port: u16,

    /// Where /metrics, /healthz and /status.json are served; off for nowhere
    #[arg(long, value_name = "ADDRESS:PORT|off", default_value = "127.0.0.1:8001", value_parser = str::parse::<AdminAddress>)]
    admin: AdminAddress,

    /// Answer only clients of this network: others get 403, and nothing from the echo; may be given
    /// several times
    #[arg(long, value_name = "CIDR", help_heading = "Access", value_parser = args::network)]
    allow: Vec<IpNet>,

    /// Answer only who has a name and a password of this file, others with 401; NAME:HASH lines
    /// as by htpasswd -nB NAME (bcrypt) or with Argon2 hashes, read again when it changes
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    basic_auth: Option<PathBuf>,

    #[command(flatten)]
    content: ContentArgs,

    #[command(flatten)]
    daemon: DaemonArgs,
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
    /// Ask the server with this admin address if it is well.
    Check(SocketAddr),
}

/// Reads the command line and checks it against the world: the root must be a readable folder.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Order, Refusal> {
    let mut args = Args::try_parse_from(args)
        .map_err(|said| Refusal::of(said.render().to_string(), said.use_stderr()))?;
    if args.daemon.check {
        return match args.admin.0 {
            Some(address) => Ok(Order::Check(address)),
            None => Err(Refusal::Mistake(
                "--check needs an --admin address to ask".into(),
            )),
        };
    }
    let root = files::open_root(&args.root).map_err(|error| {
        let root = args.root.display();
        Refusal::Mistake(format!(
            "cannot serve the folder {root}: {error}; name a readable folder with --root"
        ))
    })?;
    args.daemon.allow = args.allow;
    let mut setup = args.daemon.setup(args.port, args.udp_port, args.admin)?;
    let rules = args.content.rules(setup.http.tls.is_some())?;
    if rules.responsiveness {
        // An upload has the size that its client wants; it is dropped as it comes.
        setup.http.limits.body_bytes = u64::MAX;
    }
    if let Some(page) = &rules.fallback
        && !matches!(
            files::find(root.as_fd(), page, rules.visible),
            Ok(Found::File(..))
        )
    {
        return Err(Refusal::Mistake(format!(
            "--spa: the root has no file {page}; name one by its path below the root"
        )));
    }
    let auth = args.basic_auth.map(Auth::open).transpose();
    let auth = auth.map_err(|cause| Refusal::Mistake(format!("--basic-auth: {cause}")))?;
    Ok(Order::Serve(Config {
        root,
        rules,
        auth,
        setup,
    }))
}
