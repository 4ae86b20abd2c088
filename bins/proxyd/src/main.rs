//! The caching HTTP proxy and UDP relay of the lab.

use std::io::IsTerminal;
use std::process::ExitCode;

use proxyd::args;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let outcome = match args::parse(std::env::args_os()) {
        Ok(args::Order::Serve(config)) => proxyd::run(config),
        Ok(args::Order::Check(address)) => netio::admin::check(address).map_err(Into::into),
        Err(refusal) => return refusal.tell(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proxyd: {error:#}");
            ExitCode::FAILURE
        }
    }
}
