//! Pseudo-terminals, for programs that behave otherwise on a terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

/// How long a program may take to show what is waited for.
const DEADLINE: Duration = Duration::from_secs(20);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// A terminal, and all that was written to it.
#[derive(Debug)]
pub struct Terminal {
    /// The side of who looks at it.
    outer: File,
    /// The side of a program.
    inner: File,
    columns: u16,
    rows: u16,
    shown: Arc<Mutex<Vec<u8>>>,
    reading: JoinHandle<()>,
}

impl Terminal {
    /// A terminal of so many columns and rows.
    pub fn open(columns: u16, rows: u16) -> Result<Terminal> {
        let outer = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&outer)?;
        unlockpt(&outer)?;
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&outer, size)?;
        let name = ptsname(&outer, Vec::new())?;
        let inner = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name.to_str()?)?;
        let outer = File::from(outer);
        let mut read_from = outer.try_clone()?;
        let shown = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&shown);
        let reading = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // It ends with an error when nobody has the other side open any more.
            while let Ok(len @ 1..) = read_from.read(&mut piece) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&piece[..len]);
            }
        });
        Ok(Terminal {
            outer,
            inner,
            columns,
            rows,
            shown,
            reading,
        })
    }

    /// The program's side, for one of its standard streams.
    pub fn stdio(&self) -> io::Result<Stdio> {
        Ok(Stdio::from(self.inner.try_clone()?))
    }

    /// The settings that the program's side has now.
    pub fn settings(&self) -> Result<Termios> {
        tcgetattr(&self.inner).context("cannot read a terminal's settings")
    }

    /// Types.
    pub fn type_keys(&mut self, keys: &str) -> io::Result<()> {
        self.outer.write_all(keys.as_bytes())
    }

    /// All that was written so far, control sequences included.
    pub fn shown(&self) -> String {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&shown).into_owned()
    }

    /// What somebody who looks at it sees now.
    pub fn screen(&self) -> String {
        let mut seen = vt100::Parser::new(self.rows, self.columns, 0);
        seen.process(self.shown().as_bytes());
        seen.screen().contents()
    }

    /// Waits until what is seen is as wanted, and returns it; where that takes too long, the error
    /// has it.
    pub fn wait_until(&self, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let end = Instant::now() + DEADLINE;
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return Ok(screen);
            }
            if Instant::now() >= end {
                bail!("after {DEADLINE:?} there is only\n{screen}");
            }
            std::thread::sleep(LOOK_AGAIN_AFTER);
        }
    }

    /// All that was written, when the programs on it have ended.
    pub fn close(self) -> Result<String> {
        let Terminal {
            inner,
            shown,
            reading,
            ..
        } = self;
        drop(inner);
        if reading.join().is_err() {
            bail!("cannot read from a terminal");
        }
        let shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(String::from_utf8_lossy(&shown).into_owned())
    }
}
