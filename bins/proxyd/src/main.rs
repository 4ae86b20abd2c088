//! The caching HTTP proxy and UDP relay of the lab.

use std::process::ExitCode;

use netio::diagnostics;
use proxyd::args;

fn main() -> ExitCode {
    let _diagnostics = diagnostics::start();
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
