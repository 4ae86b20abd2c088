//! Mistakes on a command line, told in one line with their cure.

/// Puts what an argument parser says of a mistake over several lines into one: the mistake and its
/// tip, without the usage, ended by where to read more.
pub fn one_line(program: &str, message: &str) -> String {
    let said = message
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .map(|line| line.trim_start_matches("error: "))
        .collect::<Vec<_>>()
        .join("; ")
        .replace(":; ", ": ");
    format!("{program}: {said}; see {program} --help")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_and_its_tip_become_one_line() {
        let said = "error: unexpected argument '--prot' found\n\n  tip: a similar argument exists: \
                    '--port'\n\nUsage: webserverd --port <PORT>\n\nFor more information, try \
                    '--help'.\n";
        assert_eq!(
            one_line("webserverd", said),
            "webserverd: unexpected argument '--prot' found; tip: a similar argument exists: \
             '--port'; see webserverd --help"
        );
    }

    #[test]
    fn what_is_missing_stands_on_the_same_line() {
        let said =
            "error: the following required arguments were not provided:\n  <HOST>\n\nUsage: x";
        assert_eq!(
            one_line("ping", said),
            "ping: the following required arguments were not provided: <HOST>; see ping --help"
        );
    }
}
