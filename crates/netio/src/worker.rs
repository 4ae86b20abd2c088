//! Thread per core: each worker is one OS thread with a current-thread runtime of its own, so what
//! it serves is never shared and needs no lock.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info};

use crate::shutdown::{StopSignals, Stopper};

/// A drain that is to last longer ends here.
pub const LONGEST_DRAIN: Duration = Duration::from_hours(24);

/// The workers of a daemon.
#[derive(Debug)]
pub struct Crew {
    threads: Vec<JoinHandle<()>>,
    ended: mpsc::UnboundedReceiver<()>,
}

impl Crew {
    /// Starts one worker for each of `stations` (its listeners, its sockets, its counters). `work`
    /// runs on the worker's thread and may use `spawn_local`; the worker ends when it returns, and
    /// the daemon with it if nobody asked for that: half a server would look healthy.
    pub fn start<S, W, F>(stations: Vec<S>, work: W) -> io::Result<Crew>
    where
        S: Send + 'static,
        W: Fn(S) -> F + Clone + Send + 'static,
        F: Future<Output = io::Result<()>>,
    {
        let (end, ended) = mpsc::unbounded_channel();
        let mut threads = Vec::with_capacity(stations.len());
        for (index, station) in stations.into_iter().enumerate() {
            let (work, end) = (work.clone(), end.clone());
            let (report, started) = std::sync::mpsc::sync_channel(1);
            let thread = std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    match Builder::new_current_thread()
                        .enable_all()
                        .build_local(LocalOptions::default())
                    {
                        Ok(runtime) => {
                            let _ = report.send(Ok(()));
                            if let Err(cause) = runtime.block_on(work(station)) {
                                error!("a worker failed: {cause}");
                            }
                        }
                        Err(error) => {
                            let _ = report.send(Err(error));
                        }
                    }
                    let _ = end.send(());
                })?;
            started
                .recv()
                .map_err(|_| io::Error::other("a worker ended as it started"))??;
            threads.push(thread);
        }
        Ok(Crew { threads, ended })
    }

    /// Lets the workers work until a stop signal comes.
    ///
    /// # Errors
    /// A worker ended unasked.
    pub async fn work(&mut self, signals: &mut StopSignals) -> Result<(), WorkError> {
        tokio::select! {
            signal = signals.next() => {
                info!("{signal}: stopping");
                Ok(())
            }
            _ = self.ended.recv() => Err(WorkError::Ended),
        }
    }

    /// Asks the workers to stop and waits until the last has ended, at most `drain` (at most
    /// [`LONGEST_DRAIN`]); a signal ends the wait.
    ///
    /// # Errors
    /// Some had not ended in time: what they were doing ends with the process.
    pub async fn drain(
        mut self,
        mut signals: StopSignals,
        stopper: Stopper,
        drain: Duration,
    ) -> Result<(), WorkError> {
        info!("what is under way may take {drain:?}");
        stopper.request();
        let deadline = Instant::now() + drain.min(LONGEST_DRAIN);
        let mut workers = self.threads.len();
        while workers > 0 {
            let reason = tokio::select! {
                _ = self.ended.recv() => {
                    workers -= 1;
                    continue;
                }
                () = sleep_until(deadline) => "the drain deadline passed",
                _ = signals.next() => "a second signal came",
            };
            return Err(WorkError::StillAtWork { workers, reason });
        }
        Ok(())
    }
}

/// Why a daemon did not end well.
#[derive(Debug, Error)]
pub enum WorkError {
    /// A worker ended before it was asked to; what it said is in the log.
    #[error("a worker ended unasked")]
    Ended,
    /// Workers that had not ended when the daemon did.
    #[error("{reason}: ended with {workers} workers still at work, their connections cut")]
    StillAtWork {
        /// How many.
        workers: usize,
        /// Why they were waited for no longer.
        reason: &'static str,
    },
}

/// How many workers a daemon starts when it is not told: one a core that it may use.
pub fn default_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
