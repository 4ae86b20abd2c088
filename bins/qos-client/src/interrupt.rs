//! Ctrl-C: while a test runs it ends the test, at any other time the program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGINT;
use signal_hook::flag;

/// Whether the user asked a running test to end.
#[derive(Debug, Clone)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    /// While set, SIGINT does what it does to a program that does not catch it.
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

    /// One that follows SIGINT. A second SIGINT during the same test ends the program.
    pub fn on_sigint() -> io::Result<Interrupt> {
        let interrupt = Interrupt::manual();
        // They run in this order: the second signal finds `fatal` set by the first.
        flag::register_conditional_default(SIGINT, Arc::clone(&interrupt.fatal))?;
        flag::register(SIGINT, Arc::clone(&interrupt.asked))?;
        flag::register(SIGINT, Arc::clone(&interrupt.fatal))?;
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

    /// From now until the answer is dropped, SIGINT ends the test and not the program.
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
