//! The stop signal: one side asks, every worker, connection and relay sees it.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
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

/// Waits for SIGTERM or SIGINT and returns its name.
pub async fn stop_signal() -> io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
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
