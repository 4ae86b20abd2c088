//! Ctrl-C and SIGTERM: while a test runs they end the test, at any other time the program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether the user asked a running test to end.
#[derive(Debug, Clone)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    /// While set, the signals do what they do to a program that does not catch them.
    fatal: Arc<AtomicBool>,
}

impl Interrupt {
    /// One that nothing sets but [`ask`](Self::ask).
    pub fn manual() -> Interrupt {
        Interrupt {
            asked: Arc::new(AtomicBool::new(false)),
            fatal: Arc::new(AtomicBool::new(true)),
        }
    }

    /// One that follows SIGINT and SIGTERM. A second of them during the same test ends the program.
    pub fn on_signals() -> io::Result<Interrupt> {
        let interrupt = Interrupt::manual();
        for signal in [SIGINT, SIGTERM] {
            // They run in this order: the second signal finds `fatal` set by the first.
            flag::register_conditional_default(signal, Arc::clone(&interrupt.fatal))?;
            flag::register(signal, Arc::clone(&interrupt.asked))?;
            flag::register(signal, Arc::clone(&interrupt.fatal))?;
        }
        Ok(interrupt)
    }

    /// Asks the running test to end.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether the running test is to end.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// From now until the answer is dropped, the signals end the test and not the program.
    #[must_use]
    pub fn during_test(&self) -> DuringTest<'_> {
        self.fatal.store(false, Ordering::Relaxed);
        DuringTest { interrupt: self }
    }
}

/// See [`Interrupt::during_test`].
#[derive(Debug)]
pub struct DuringTest<'a> {
    interrupt: &'a Interrupt,
}

impl Drop for DuringTest<'_> {
    fn drop(&mut self) {
        self.interrupt.fatal.store(true, Ordering::Relaxed);
        self.interrupt.asked.store(false, Ordering::Relaxed);
    }
}
