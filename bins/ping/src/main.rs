//! The doorway: arguments in, exit code out.

use std::process::ExitCode;

use netio::usage::complain;

fn main() -> ExitCode {
    let config = match ping::args::parse(std::env::args_os()) {
        Ok(config) => config,
        Err(refusal) => return refusal.tell("ping"),
    };
    match ping::run(&config) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            complain("ping", format_args!("{error:#}"));
            ExitCode::from(2)
        }
    }
}
