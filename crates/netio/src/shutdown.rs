//! The stop signal: one side asks, every worker, connection and relay sees it.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Makes a pair: who may ask for the stop, and who is told of it.
pub fn channel() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

/// Asks everything that holds a [`Stop`] of the same pair to end. Dropping it asks too.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Stopping begins now; asking again changes nothing.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}

/// Tells when stopping begins.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Resolves when stopping begins; at once if it has begun.
    pub async fn requested(&self) {
        // An error means that the stopper is gone: nobody is left to run for.
        let _ = self.0.clone().wait_for(|requested| *requested).await;
    }

    /// Whether stopping has begun.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

/// The signals that ask a daemon to stop. Caught from the moment this is made.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

impl StopSignals {
    /// Begins to catch SIGTERM, SIGINT and, if it `includes_hangup`, SIGHUP; they no longer end the
    /// process.
    pub fn catch(includes_hangup: bool) -> io::Result<StopSignals> {
        let hangup = includes_hangup.then(|| signal(SignalKind::hangup()));
        Ok(StopSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: hangup.transpose()?,
        })
    }

    /// Waits for the next of them and returns its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = received(self.hangup.as_mut()) => "SIGHUP",
        }
    }
}

/// Waits for a signal that may be none to stop at.
async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everyone_who_holds_a_stop_is_told() {
        let (stopper, stop) = channel();
        let other = stop.clone();
        assert!(!stop.is_requested());
        stopper.request();
        stop.requested().await;
        other.requested().await;
        assert!(other.is_requested());
    }

    #[tokio::test]
    async fn a_stopper_that_is_gone_counts_as_a_request() {
        let (stopper, stop) = channel();
        drop(stopper);
        stop.requested().await;
        assert!(stop.is_requested());
    }
}
