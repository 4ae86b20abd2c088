//! The caching HTTP proxy and UDP relay of the lab.

use std::process::ExitCode;

use netio::usage::complain;
use netio::{admin, diagnostics};
use proxyd::args;

fn main() -> ExitCode {
    let _diagnostics = diagnostics::start();
    let outcome = match args::parse(std::env::args_os()) {
        Ok(args::Order::Serve(config)) => proxyd::run(&config).map_err(|error| error.to_string()),
        Ok(args::Order::Check(address)) => admin::check(address).map_err(|error| error.to_string()),
        Err(refusal) => return refusal.tell("proxyd"),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain("proxyd", error);
            ExitCode::FAILURE
        }
    }
}
