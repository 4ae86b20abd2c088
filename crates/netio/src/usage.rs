//! Command lines that lead to nothing: help was asked for, or something is wrong. A mistake is told
//! in one line with its cure, and is exit status 2. And how a program tells what went wrong later:
//! [`complain`].

use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

/// Why there is nothing to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Help was asked for; this is it.
    Help(String),
    /// What is wrong, in one line with the cure.
    Mistake(String),
    /// The same, and to which command of the program it was said.
    MistakeIn {
        /// As it is typed behind the program's name.
        command: String,
        /// What is wrong.
        what: String,
    },
}

impl Refusal {
    /// Of what an argument parser says, which is either the help that was asked for or, over several
    /// lines, a mistake: of that the mistake and its tip, without the usage.
    pub fn of(message: String, is_mistake: bool) -> Refusal {
        if !is_mistake {
            return Refusal::Help(message);
        }
        let said = message
            .lines()
            .map(str::trim)
            .take_while(|line| {
                !line.starts_with("Usage:") && !line.starts_with("For more information")
            })
            .filter(|line| !line.is_empty())
            .map(|line| line.trim_start_matches("error: "))
            .collect::<Vec<_>>()
            .join("; ")
            .replace(":; ", ": ");
        match command_in(&message) {
            Some(command) => Refusal::MistakeIn {
                command,
                what: said,
            },
            None => Refusal::Mistake(said),
        }
    }

    /// Prints it where it belongs, and returns the exit status.
    pub fn tell(self, program: &str) -> ExitCode {
        match self {
            Refusal::Help(text) => {
                // Nobody may be reading; then there is nothing to tell.
                let _ = std::io::stdout().write_all(text.as_bytes());
                ExitCode::SUCCESS
            }
            Refusal::Mistake(line) => {
                complain(program, format_args!("{line}; see {program} --help"));
                ExitCode::from(2)
            }
            Refusal::MistakeIn { command, what } => {
                let line = format_args!("{what}; see {program} {command} --help");
                complain(program, line);
                ExitCode::from(2)
            }
        }
    }
}

/// The command that the usage in an argument parser's message is of, if it is not the program's own.
fn command_in(message: &str) -> Option<String> {
    let usage = message
        .lines()
        .find_map(|line| line.strip_prefix("Usage: "))?;
    let is_placeholder = |word: &&str| word.starts_with(['[', '<', '-']);
    let words = usage.split(' ').take_while(|word| !is_placeholder(word));
    let command: Vec<_> = words.skip(1).collect();
    (!command.is_empty()).then(|| command.join(" "))
}

/// Tells what is wrong on standard error, in one line that begins with the program's name. That nobody
/// reads it changes nothing, where `eprintln!` would panic and replace the exit status by its own:
/// `program 2>&1 | head -1`.
pub fn complain(program: &str, what: impl Display) {
    let _ = writeln!(std::io::stderr(), "{program}: {what}");
}

/// Where a daemon's admin endpoint is: an address and a port, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminAddress(pub Option<SocketAddr>);

impl std::str::FromStr for AdminAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<AdminAddress, &'static str> {
        match text.parse() {
            Ok(address) => Ok(AdminAddress(Some(address))),
            Err(_) if text == "off" => Ok(AdminAddress(None)),
            Err(_) => Err("expected an address and a port, such as 127.0.0.1:8001, or off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_and_its_tip_become_one_line() {
        let said = "error: unexpected argument '--prot' found\n\n  tip: a similar argument exists: \
                    '--port'\n\nUsage: webserverd --port <PORT>\n\nFor more information, try \
                    '--help'.\n";
        let expected =
            "unexpected argument '--prot' found; tip: a similar argument exists: '--port'";
        assert_eq!(
            Refusal::of(said.to_owned(), true),
            Refusal::Mistake(expected.into())
        );
    }

    #[test]
    fn a_mistake_in_a_command_leads_to_the_help_of_that_command() {
        let said = "error: unexpected argument '--seconds' found\n\nUsage: qos-client load \
                    [OPTIONS]\n";
        let expected = Refusal::MistakeIn {
            command: "load".into(),
            what: "unexpected argument '--seconds' found".into(),
        };
        assert_eq!(Refusal::of(said.to_owned(), true), expected);
    }

    #[test]
    fn what_is_missing_stands_on_the_same_line() {
        let said =
            "error: the following required arguments were not provided:\n  <HOST>\n\nUsage: x";
        let expected = "the following required arguments were not provided: <HOST>";
        assert_eq!(
            Refusal::of(said.to_owned(), true),
            Refusal::Mistake(expected.into())
        );
    }
}
