//! Programs of the workspace, started for one test and ended with it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take to say that it listens.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    /// Starts `binary` (in an integration test: `env!("CARGO_BIN_EXE_name")`) with `args`, its
    /// standard input empty, its outputs kept.
    pub fn start<A: AsRef<OsStr>>(
        binary: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Program> {
        let mut child = Command::new(binary)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {binary}"))?;
        let (stdout, reader) = collect(child.stdout.take().context("no stdout")?);
        let (stderr, other) = collect(child.stderr.take().context("no stderr")?);
        Ok(Program {
            child,
            stdout,
            stderr,
            readers: vec![reader, other],
        })
    }

    /// The address in the line `listening {what} ADDRESS` on stderr; waits for it.
    pub fn listening(&mut self, what: &str) -> Result<SocketAddr> {
        let prefix = format!("listening {what} ");
        let end = Instant::now() + START_DEADLINE;
        loop {
            let stderr = self.stderr();
            for line in stderr.lines() {
                if let Some(address) = line.strip_prefix(&prefix) {
                    return address
                        .trim()
                        .parse()
                        .with_context(|| format!("address in {line:?}"));
                }
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("ended with {status} before it listened: {}", self.stderr());
            }
            if Instant::now() > end {
                bail!("no line {prefix:?} within {START_DEADLINE:?}: {stderr}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it has written to stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().expect("no reader panics").clone()
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("no reader panics").clone()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).context("cannot signal the program")
    }

    /// Waits for its end, at most `patience`. All that it wrote has been read then.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                for reader in self.readers.drain(..) {
                    reader.join().expect("no reader panics");
                }
                return Ok(status);
            }
            if Instant::now() > end {
                bail!("still running after {patience:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(from: impl std::io::Read + Send + 'static) -> (Arc<Mutex<String>>, JoinHandle<()>) {
    let kept = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&kept);
    let thread = std::thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            into.lock().expect("no reader panics").push_str(&text);
            line.clear();
        }
    });
    (kept, thread)
}
