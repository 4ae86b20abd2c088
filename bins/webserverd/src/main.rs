//! The static web server and UDP echo of the lab.

use std::process::ExitCode;

use netio::usage::complain;
use netio::{admin, diagnostics};
use webserverd::args;

fn main() -> ExitCode {
    let _diagnostics = diagnostics::start();
    let outcome = match args::parse(std::env::args_os()) {
        Ok(args::Order::Serve(config)) => {
            webserverd::run(config).map_err(|error| error.to_string())
        }
        Ok(args::Order::Check(address)) => admin::check(address).map_err(|error| error.to_string()),
        Err(refusal) => return refusal.tell("webserverd"),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain("webserverd", error);
            ExitCode::FAILURE
        }
    }
}
