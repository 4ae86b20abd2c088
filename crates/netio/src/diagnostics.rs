//! What a daemon says of itself on stderr: by a thread of its own, so that a reader who does not
//! read never holds a worker. What the queue has no room for is dropped.

use std::io::{self, IsTerminal};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

/// How many lines wait for the writer before more are dropped.
const QUEUED_LINES: usize = 1024;

/// Starts it; what is queued is written when the guard is dropped. `RUST_LOG` sets what is said.
pub fn start() -> WorkerGuard {
    let (lines, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUED_LINES)
        .lossy(true)
        .thread_name("diagnostics")
        .finish(io::stderr());
    tracing_subscriber::fmt()
        .with_writer(lines)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
    guard
}
