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
    // "5.1 ms\n 2 " would hide the "ms" from the mask.
    let text = text.replace('\n', " \n ");
    let mut words: Vec<&str> = Vec::new();
    for word in text.split(' ') {
        if word == "ms"
            && let Some(last) = words.last_mut()
        {
            *last = "T";
        }
        words.push(word);
    }
    words.join(" ")
}

/// What a program writes, its times masked.
pub(crate) fn written(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{command:?}: {output:?}");
    masked(&String::from_utf8_lossy(&output.stdout))
}
