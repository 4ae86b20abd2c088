//! The static web server and UDP echo of the lab.

use std::process::ExitCode;

use netio::diagnostics;
use webserverd::args;

fn main() -> ExitCode {
    let _diagnostics = diagnostics::start();
    let outcome = match args::parse(std::env::args_os()) {
        Ok(args::Order::Serve(config)) => webserverd::run(config),
        Ok(args::Order::Check(address)) => netio::admin::check(address).map_err(Into::into),
        Err(refusal) => return refusal.tell(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("webserverd: {error:#}");
            ExitCode::FAILURE
        }
    }
}
