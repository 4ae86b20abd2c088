//! Sleeping until a socket has something, a signal comes or a moment is reached.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM};
use signal_hook::{flag, low_level::pipe};

/// The signals that a probing program answers to.
#[derive(Debug)]
pub struct Signals {
    stop: Arc<AtomicBool>,
    status: Arc<AtomicBool>,
    /// Readable after a signal, so that a sleep ends.
    woken: UnixStream,
    wake: UnixStream,
}

/// Does from another thread what a signal does.
#[derive(Debug)]
pub struct Remote {
    stop: Arc<AtomicBool>,
    wake: UnixStream,
}

impl Remote {
    /// It is time to stop.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// A sleep ends, because something else is due than when it began.
    pub fn wake(&self) {
        // Where there is no room, enough is there to wake.
        let _ = (&self.wake).write(&[0]);
    }
}

impl Signals {
    /// Catches SIGINT and SIGTERM as "stop" and SIGQUIT as "tell how it stands".
    pub fn catch() -> io::Result<Signals> {
        let (woken, wake) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let status = Arc::new(AtomicBool::new(false));
        for (signal, raised) in [(SIGINT, &stop), (SIGTERM, &stop), (SIGQUIT, &status)] {
            // Before the pipe: who is woken must find the flag up.
            flag::register(signal, Arc::clone(raised))?;
            pipe::register(signal, wake.try_clone()?)?;
        }
        Ok(Signals {
            stop,
            status,
            woken,
            wake,
        })
    }

    /// For another thread.
    pub fn remote(&self) -> io::Result<Remote> {
        Ok(Remote {
            stop: Arc::clone(&self.stop),
            wake: self.wake.try_clone()?,
        })
    }

    /// Whether it is time to stop; stays so.
    pub fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether somebody asked how it stands since this was last asked.
    pub fn take_status(&self) -> bool {
        self.status.swap(false, Ordering::Relaxed)
    }
}

/// Sleeps until one of `sockets` has something to read or an error to tell, a signal comes, or
/// `until`; without `until`, as long as it takes.
pub fn wait(
    sockets: &[BorrowedFd<'_>],
    signals: &Signals,
    until: Option<Instant>,
) -> io::Result<()> {
    let mut polled: Vec<PollFd<'_>> = sockets
        .iter()
        .map(|socket| PollFd::from_borrowed_fd(*socket, PollFlags::IN))
        .collect();
    polled.push(PollFd::from_borrowed_fd(
        signals.woken.as_fd(),
        PollFlags::IN,
    ));
    let timeout = until.map(|until| timespec(until.saturating_duration_since(Instant::now())));
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut drained = [0; 16];
    while matches!((&signals.woken).read(&mut drained), Ok(n) if n > 0) {}
    Ok(())
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
