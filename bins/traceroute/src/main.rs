//! The doorway: arguments in, exit code out.

use std::process::ExitCode;

use netio::usage::complain;

fn main() -> ExitCode {
    let config = match traceroute::args::parse(std::env::args_os()) {
        Ok(config) => config,
        Err(refusal) => return refusal.tell("traceroute"),
    };
    match traceroute::run(&config) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            complain("traceroute", format_args!("{error:#}"));
            ExitCode::from(2)
        }
    }
}
