//! A host, or a whole path of them, that answers as a test says: what no kernel can be made to
//! send (duplicates, delays, broken checksums, hostile bytes) comes from here.
//!
//! A [`Responder`] is a namespace whose only way out is a TUN device. Each IP packet that a program
//! sends into it is given to the test's closure, which says what comes back, and when. Takes root
//! and `ip`; a test for which that is missing is [`left_out`](crate::netns::left_out).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::netns::ip;

/// The addresses of the host that the program under test runs on. Every other address leads into
/// the device.
pub const CLIENT: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
/// The device.
pub const DEVICE: &str = "wire";

/// The longest packet that is read: no IP datagram is longer.
const LONGEST_PACKET: usize = 65_535;
/// How many packets may wait for their time; further ones are not sent.
const MOST_WAITING: usize = 1 << 16;

/// Numbers the responders of this process, so that tests may run beside each other.
static RESPONDERS: AtomicU32 = AtomicU32::new(0);

/// A packet that comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How long after the packet that it answers.
    pub after: Duration,
    /// The whole of it, from its IP header on. It arrives as it is, right or wrong.
    pub packet: Vec<u8>,
}

impl Answer {
    /// A packet that comes back at once.
    pub const fn at_once(packet: Vec<u8>) -> Answer {
        Answer::after(Duration::ZERO, packet)
    }

    /// A packet that comes back later.
    pub const fn after(after: Duration, packet: Vec<u8>) -> Answer {
        Answer { after, packet }
    }
}

/// The namespace, and who answers in it. Dropping it removes both.
#[derive(Debug)]
pub struct Responder {
    namespace: String,
    /// Closed to have the thread end.
    running: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// Makes the namespace, and has `answer` say what comes back for each packet. It is given the
    /// kernel's own packets too, such as router solicitations.
    pub fn new(answer: impl FnMut(&[u8]) -> Vec<Answer> + Send + 'static) -> Result<Responder> {
        let number = RESPONDERS.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("wirelab-{}-tun-{number}", std::process::id());
        ip(&["netns", "add", &namespace])?;
        let (running, ended) = UnixStream::pair()?;
        let mut responder = Responder {
            namespace,
            running: Some(running),
            thread: None,
        };
        let path = format!("/var/run/netns/{}", responder.namespace);
        let inside = File::open(&path).context(path)?;
        let (opened, when_opened) = sync_channel(1);
        let serve = move || {
            let (device, error) = match open(&inside) {
                Ok(device) => (Some(device), None),
                Err(error) => (None, Some(error)),
            };
            // Who made this thread waits for it.
            let _ = opened.send(error.map_or(Ok(()), Err));
            if let Some(device) = device {
                let mut waiting = Waiting::new(device);
                waiting.serve(&ended, answer).expect("the device works");
            }
        };
        responder.thread = Some(std::thread::spawn(serve));
        when_opened.recv()?.context("cannot open a TUN device")?;
        responder.address()?;
        Ok(responder)
    }

    fn address(&self) -> Result<()> {
        let name = &self.namespace;
        let [v4, v6] = CLIENT;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        ip(&["-n", name, "address", "add", v4, "dev", DEVICE])?;
        ip(&["-n", name, "address", "add", v6, "dev", DEVICE, "nodad"])?;
        ip(&["-n", name, "link", "set", DEVICE, "up"])?;
        for version in ["-4", "-6"] {
            ip(&[
                "-n", name, version, "route", "add", "default", "dev", DEVICE,
            ])?;
        }
        Ok(())
    }

    /// The name of the namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A command that runs in the namespace. Its process is the program itself, so that a signal
    /// to it reaches the program.
    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace, program])
            .args(args);
        command
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        drop(self.running.take());
        let ended = self.thread.take().map(JoinHandle::join);
        // One that was never made cannot be removed; nor is there anything to do about it.
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.namespace])
            .output();
        if let Some(Err(panic)) = ended
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Opens the device inside a namespace, in which the calling thread stays.
fn open(namespace: &File) -> io::Result<SyncDevice> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    let device = DeviceBuilder::new()
        .name(DEVICE)
        .inherit_enable_state()
        .build_sync()?;
    device.set_nonblocking(true)?;
    Ok(device)
}

/// The packets that wait for their time.
struct Waiting {
    device: SyncDevice,
    queue: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    /// Numbers the answers: of two that are due at the same time, the one said first goes first.
    said: u64,
}

impl Waiting {
    const fn new(device: SyncDevice) -> Waiting {
        Waiting {
            device,
            queue: BinaryHeap::new(),
            said: 0,
        }
    }

    /// Answers until the other end of `running` is closed.
    fn serve(
        &mut self,
        running: &UnixStream,
        mut answer: impl FnMut(&[u8]) -> Vec<Answer>,
    ) -> io::Result<()> {
        let mut packet = vec![0; LONGEST_PACKET];
        loop {
            let until = self.send_what_is_due()?;
            let timeout =
                until.map(|until| timespec(until.saturating_duration_since(Instant::now())));
            let mut polled = [
                PollFd::new(&self.device, PollFlags::IN),
                PollFd::new(running, PollFlags::IN),
            ];
            poll(&mut polled, timeout.as_ref())?;
            if !polled[1].revents().is_empty() {
                return Ok(());
            }
            let len = match self.device.recv(&mut packet) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            let now = Instant::now();
            for Answer { after, packet } in answer(&packet[..len]) {
                assert!(self.queue.len() < MOST_WAITING, "too many packets wait");
                self.queue.push(Reverse((now + after, self.said, packet)));
                self.said += 1;
            }
        }
    }

    /// When the next is due.
    fn send_what_is_due(&mut self) -> io::Result<Option<Instant>> {
        while let Some(Reverse((due, _, packet))) = self.queue.peek() {
            if *due > Instant::now() {
                return Ok(Some(*due));
            }
            // What the kernel takes for no IP packet at all, it refuses.
            match self.device.send(packet) {
                Err(error) if error.kind() != ErrorKind::InvalidInput => return Err(error),
                _ => {}
            }
            self.queue.pop();
        }
        Ok(None)
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
