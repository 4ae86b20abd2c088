//! Measure throughput, latency, jitter and loss through the lab.
//!
//! Read in this order: [`config`] (what is asked for), [`menu`] (asking for it line by line),
//! [`action`] (one test from order to report), [`udp`], [`http`], [`clients`],
//! [`load`] and [`compare`] (the measurements), [`figures`] and [`grade`] (what follows from them), [`live`] (what is seen
//! meanwhile), [`report`] (what the user
//! gets), [`page`] (a recorded test as HTML). `args` alone knows of flags, and `main.rs` alone ends
//! the process.
#![forbid(unsafe_code)]

pub mod action;
pub mod args;
pub mod assertion;
mod bounds;
pub mod capture;
pub mod clients;
mod clock;
pub mod compare;
pub mod config;
pub mod figures;
pub mod grade;
pub mod http;
pub mod interrupt;
pub mod live;
pub mod load;
pub mod menu;
pub mod page;
pub mod report;
pub mod target;
pub mod udp;

use std::io::{BufRead, Write};

use action::{Bench, Failure, Verdict};
use config::{Action, Config};
use interrupt::Interrupt;
use menu::Menu;
use report::audience::Audience;

/// What the program reads and writes.
pub struct Streams<'a> {
    /// The answers to the menu's questions.
    pub input: &'a mut dyn BufRead,
    /// Whether a terminal is typed on and shows the results, so that a view can be drawn on it.
    pub terminal: bool,
    /// Whether they must be repeated to be seen: they come from a pipe or a file.
    pub echo: bool,
    /// Results and the menu.
    pub out: &'a mut dyn Write,
    /// Progress.
    pub err: &'a mut (dyn Write + Send),
}

/// Does what `config` asks for. The menu tells of failures itself and always ends well. A test goes on
/// to its verdict when nobody reads any more; the menu, which nobody can answer then, ends.
pub fn run(
    config: &Config,
    streams: Streams<'_>,
    interrupt: &Interrupt,
) -> Result<Verdict, Failure> {
    let Streams {
        input,
        terminal,
        echo,
        out,
        err,
    } = streams;
    let is_menu = config.action == Action::Menu;
    let mut audience;
    let mut err = Audience::new(err);
    let mut bench = Bench {
        target: config.target.clone(),
        output: &config.output,
        interrupt,
        terminal,
        out: if is_menu {
            out
        } else {
            audience = Audience::new(out);
            &mut audience
        },
        err: &mut err,
    };
    if is_menu {
        let mut menu = Menu { input, echo, bench };
        menu.run()?;
        menu.bench.out.flush()?;
        return Ok(Verdict::Passed);
    }
    let verdict = bench.run(&config.action)?;
    bench.out.flush()?;
    Ok(verdict)
}
