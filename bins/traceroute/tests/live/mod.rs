//! `--live` on a terminal and without one.

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, Termios};
use testkit::netns::Chain;
use testkit::terminal::Terminal;

use crate::diamond::{Diamond, TARGET};
use crate::peer::{OURS, left_out};
use crate::take_branch;

/// How xterm's screen of its own is entered and left.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

fn started(mut command: Command, terminal: &Terminal) -> Child {
    command
        .stdin(terminal.stdio().unwrap())
        .stdout(terminal.stdio().unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What was written when the program had left its screen; the terminal must be as it was.
fn given_back(terminal: Terminal, before: &Termios) -> String {
    let after = terminal.settings().unwrap();
    assert_eq!(after.local_modes, before.local_modes);
    let shown = terminal.close().unwrap();
    let (_, shown) = shown.split_once(ENTER).unwrap();
    let (_, after) = shown.split_once(LEAVE).unwrap();
    after.to_owned()
}

#[test]
fn a_terminal_shows_the_path_and_its_change_obeys_keys_and_is_given_back() {
    if left_out("a_terminal_shows_the_path_and_its_change_obeys_keys_and_is_given_back") {
        return;
    }
    let diamond = Diamond::new(2);
    take_branch(&diamond, 1);
    let mut terminal = Terminal::open(110, 20).unwrap();
    let before = terminal.settings().unwrap();
    let args = ["--live", "-n", "--interval", "0.2", TARGET];
    let mut running = started(diamond.command(&args), &terminal);
    terminal
        .wait_until(|seen| seen.contains("10.1.1.2") && seen.contains(TARGET))
        .unwrap();
    let during = terminal.settings().unwrap().local_modes;
    assert!(!during.contains(LocalModes::ECHO) && during.contains(LocalModes::ISIG));
    take_branch(&diamond, 2);
    let change = "hop 2 changed from 10.1.1.2 to 10.1.2.2";
    let seen = terminal
        .wait_until(|seen| seen.contains(change) && seen.matches('█').count() > 4)
        .unwrap();
    let former = seen.lines().find(|line| line.contains("answered"));
    assert!(former.is_some_and(|it| it.contains("10.1.1.2")), "{seen}");
    terminal.type_keys("?").unwrap();
    terminal
        .wait_until(|seen| seen.contains("what passes through it is not lost"))
        .unwrap();
    terminal.type_keys("?p").unwrap();
    terminal.wait_until(|seen| seen.contains("PAUSED")).unwrap();
    terminal.type_keys("q").unwrap();
    assert!(running.wait().unwrap().success());
    let after = given_back(terminal, &before);
    assert!(
        after.contains(change) && after.contains("Loss%"),
        "{after:?}"
    );
    assert!(after.lines().last().unwrap().contains(TARGET), "{after:?}");
}

#[test]
fn signals_give_the_terminal_back_and_the_table_stands() {
    if left_out("signals_give_the_terminal_back_and_the_table_stands") {
        return;
    }
    let chain = Chain::new(2).unwrap();
    let host = chain.server_v4();
    for signal in [Signal::INT, Signal::TERM] {
        let terminal = Terminal::open(80, 24).unwrap();
        let before = terminal.settings().unwrap();
        let args = ["--live", "-n", "-I", &host];
        let mut running = started(chain.command(0, OURS, &args), &terminal);
        terminal
            .wait_until(|seen| seen.contains(" 3 10.0.2.2"))
            .unwrap();
        kill_process(Pid::from_child(&running), signal).unwrap();
        assert!(running.wait().unwrap().success());
        let after = given_back(terminal, &before);
        assert!(after.lines().last().unwrap().contains(&host), "{after:?}");
    }
}

#[test]
fn without_a_terminal_there_is_a_line_a_second_and_the_table() {
    if left_out("without_a_terminal_there_is_a_line_a_second_and_the_table") {
        return;
    }
    let chain = Chain::new(2).unwrap();
    chain
        .drop_packets(2, "output", "icmp type time-exceeded")
        .unwrap();
    let host = chain.server_v4();
    let args = ["--live", "-n", "-c", "8", "--interval", "0.5", &host];
    let output = chain.command(0, OURS, &args).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains('\x1b'), "{text:?}");
    let told: Vec<&str> = text.lines().filter(|line| line.contains(" s: ")).collect();
    assert!((2..=6).contains(&told.len()), "{text}");
    let last = told.last().unwrap();
    assert!(last.contains(" * "), "the silent hop: {text}");
    assert!(last.contains("the target at hop 3, "), "{text}");
    assert!(last.ends_with(" sent, 0 lost"), "{text}");
    let table = text.lines().last().unwrap();
    assert!(
        table.contains(&host) && table.contains(" 0.0%      8 "),
        "{text}"
    );
}
