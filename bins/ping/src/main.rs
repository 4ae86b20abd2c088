//! The doorway: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use ping::args::{Args, one_line};

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
    match ping::run(&config) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => refuse(&format!("{error:#}")),
    }
}

fn refuse(line: &str) -> ExitCode {
    eprintln!("ping: {line}");
    ExitCode::from(2)
}
