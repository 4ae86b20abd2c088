//! Thread per core: each worker is one OS thread with a current-thread runtime of its own, so what
//! it serves is never shared and needs no lock.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// The workers of a daemon.
#[derive(Debug)]
pub struct Crew {
    threads: Vec<JoinHandle<()>>,
    ended: mpsc::UnboundedReceiver<()>,
}

impl Crew {
    /// Starts one worker for each of `stations` (its listeners, its sockets, its counters). `work`
    /// runs on the worker's thread and may use `spawn_local`; the worker ends when it returns.
    pub fn start<S, W, F>(stations: Vec<S>, work: W) -> io::Result<Crew>
    where
        S: Send + 'static,
        W: Fn(S) -> F + Clone + Send + 'static,
        F: Future<Output = ()>,
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
                            runtime.block_on(work(station));
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

    /// Waits until every worker has ended, at most until `patience` has passed. Returns how many
    /// were still at work then; they end with the process.
    pub async fn join(mut self, patience: Duration) -> usize {
        let deadline = Instant::now() + patience;
        let mut running = self.threads.len();
        while running > 0 {
            match timeout_at(deadline, self.ended.recv()).await {
                Ok(_) => running -= 1,
                Err(_) => break,
            }
        }
        running
    }
}

/// How many workers a daemon starts when it is not told: one a core that it may use.
pub fn default_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
