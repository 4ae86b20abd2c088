//! The installed traceroute beside ours.

use std::process::Command;

use testkit::netns;

pub(crate) const OURS: &str = env!("CARGO_BIN_EXE_traceroute");
pub(crate) const THEIRS: &str = "traceroute";

/// Whether a test is left out, and says so by name.
pub(crate) fn left_out(test: &str) -> bool {
    netns::left_out(test, &[THEIRS, "nft", "python3"])
}

/// The text with every time in it replaced: the word before "ms".
pub(crate) fn masked(text: &str) -> String {
    let masked = |line: &str| {
        let mut words: Vec<&str> = line.split(' ').collect();
        for at in 1..words.len() {
            if words[at] == "ms" {
                words[at - 1] = "T";
            }
        }
        words.join(" ")
    };
    text.split('\n').map(masked).collect::<Vec<_>>().join("\n")
}

/// What a program writes, its times masked.
pub(crate) fn written(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{command:?}: {output:?}");
    masked(&String::from_utf8_lossy(&output.stdout))
}
