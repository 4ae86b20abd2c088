//! The doorway: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use traceroute::args::{Args, one_line};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            if let Some(line) = one_line(&error) {
                return refuse(&line);
            }
            // Help or the version. Who closes the pipe early has seen enough of it.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
    };
    let config = match args.into_config() {
        Ok(config) => config,
        Err(line) => return refuse(&line),
    };
    match traceroute::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&format!("{error:#}")),
    }
}

fn refuse(line: &str) -> ExitCode {
    eprintln!("traceroute: {line}");
    ExitCode::from(2)
}
