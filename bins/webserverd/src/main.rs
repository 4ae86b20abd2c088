//! The static web server and UDP echo of the lab.

use std::process::ExitCode;

use webserverd::args;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    match args::parse(std::env::args_os()) {
        Ok(args::Order::Serve(config)) => match webserverd::run(config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("webserverd: {error:#}");
                ExitCode::FAILURE
            }
        },
        Ok(args::Order::Check(address)) => match netio::admin::check(address) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("webserverd: {error}");
                ExitCode::FAILURE
            }
        },
        Err(refusal) => refusal.tell(),
    }
}
