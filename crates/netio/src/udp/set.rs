//! Which of many sockets has something to receive? One descriptor for all of them (epoll(7)), so
//! that one task can serve thousands and gather what they have into one batch.

use std::os::fd::OwnedFd;
use std::{fmt, io};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use tokio::io::unix::AsyncFd;

use super::{BATCH, Socket};

/// Connected sockets, each under a key of its user's choice.
pub struct SocketSet {
    epoll: AsyncFd<OwnedFd>,
    events: Vec<epoll::Event>,
    keys: Vec<u64>,
}

impl SocketSet {
    /// An empty set, registered with the tokio runtime of this thread.
    pub fn new() -> io::Result<SocketSet> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // SAFETY: an `OwnedFd` stays open and the same until it is dropped.
        let epoll = unsafe { AsyncFd::register(epoll) }.map_err(io::Error::from)?;
        Ok(SocketSet {
            epoll,
            events: Vec::with_capacity(BATCH),
            keys: Vec::with_capacity(BATCH),
        })
    }

    /// Adds `socket`. It leaves the set when it is dropped.
    pub fn add(&self, socket: &Socket, key: u64) -> io::Result<()> {
        let data = epoll::EventData::new_u64(key);
        epoll::add(self.epoll.get_ref(), socket, data, epoll::EventFlags::IN)?;
        Ok(())
    }

    /// Waits until a socket of the set has something. The sockets are then to be asked for with
    /// [`SocketSet::ready`] until that tells of none, as this only tells of what comes anew.
    pub async fn wait(&self) -> io::Result<()> {
        self.epoll.readable().await?.clear_ready();
        Ok(())
    }

    /// The keys of sockets that have something to receive, or an error to tell: up to [`BATCH`] of
    /// them, and others at the next call. One that is not emptied is told again.
    pub fn ready(&mut self) -> io::Result<&[u64]> {
        const AT_ONCE: Timespec = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        self.events.clear();
        let room = spare_capacity(&mut self.events);
        epoll::wait(self.epoll.get_ref(), room, Some(&AT_ONCE))?;
        self.keys.clear();
        self.keys
            .extend(self.events.iter().map(|event| event.data.u64()));
        Ok(&self.keys)
    }
}

impl fmt::Debug for SocketSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketSet")
            .field("epoll", &self.epoll)
            .finish_non_exhaustive()
    }
}
