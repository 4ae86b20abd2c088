//! The doorway: flags in, exit status out.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use netio::usage::complain;
use qos_client::action::{Failure, Verdict};
use qos_client::interrupt::Interrupt;
use qos_client::page::PageError;
use qos_client::{Streams, args, run};

const NAME: &str = "qos-client";
const ASSERTION_FAILED: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;
const NOT_WRITTEN: u8 = 4;

fn main() -> ExitCode {
    let config = match args::read(std::env::args_os()) {
        Ok(config) => config,
        Err(refusal) => return refusal.tell(NAME),
    };
    let interrupt = match Interrupt::on_signals() {
        Ok(interrupt) => interrupt,
        Err(error) => {
            let what = format_args!("Ctrl-C will end the program and not the test: {error}");
            complain(NAME, what);
            Interrupt::manual()
        }
    };
    let mut out = io::stdout().lock();
    let streams = Streams {
        input: &mut io::stdin().lock(),
        terminal: is_screen(),
        echo: !io::stdin().is_terminal(),
        out: &mut out,
        err: &mut io::stderr(),
    };
    let failure = match run(&config, streams, &interrupt) {
        Ok(Verdict::Passed) => return ExitCode::SUCCESS,
        Ok(Verdict::Failed) => return ExitCode::from(ASSERTION_FAILED),
        Err(failure) => failure,
    };
    match &failure {
        // Whoever read the menu has seen enough: `qos-client | head -1`.
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        failure => complain(NAME, failure),
    }
    ExitCode::from(match failure {
        Failure::Unreachable(_) | Failure::NoOffer(_) => UNREACHABLE,
        Failure::NoCapture(_) | Failure::Page(PageError::Recording(_) | PageError::NotOurs(_)) => {
            USAGE
        }
        Failure::NotSaved(_)
        | Failure::Output(_)
        | Failure::Capture(_)
        | Failure::Verify(_)
        | Failure::Page(PageError::NotWritten { .. })
        | Failure::Clients { .. } => NOT_WRITTEN,
    })
}

/// Whether there is a terminal that can be typed on and drawn on.
fn is_screen() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|name| name == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !dumb
}
