//! A TCP connection that the runtime is told of only when something has to be waited for. A server
//! under load accepts most connections that carry one request together with that request: they are
//! answered and closed without it.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// A connected TCP stream that never blocks.
#[derive(Debug)]
pub(super) enum Tcp {
    /// Nothing had to be waited for so far.
    Fresh(std::net::TcpStream),
    /// The runtime says when it is ready.
    Known(TcpStream),
    /// The runtime did not take it.
    Lost,
}

impl Tcp {
    /// Its descriptor; none if it is lost.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Tcp::Fresh(fresh) => Some(fresh.as_fd()),
            Tcp::Known(known) => Some(known.as_fd()),
            Tcp::Lost => None,
        }
    }

    /// The stream as the runtime knows it, which is told of it if it does not.
    fn known(&mut self) -> io::Result<&mut TcpStream> {
        if let Tcp::Fresh(_) = self
            && let Tcp::Fresh(fresh) = std::mem::replace(self, Tcp::Lost)
        {
            *self = Tcp::Known(TcpStream::from_std(fresh)?);
        }
        match self {
            Tcp::Known(known) => Ok(known),
            Tcp::Fresh(_) | Tcp::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// What `io` does to a stream of which the runtime knows nothing yet, unless it would block.
    fn at_once<T>(
        &self,
        io: impl FnOnce(&std::net::TcpStream) -> io::Result<T>,
    ) -> Option<Poll<io::Result<T>>> {
        let Tcp::Fresh(fresh) = self else {
            return None;
        };
        match io(fresh) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            result => Some(Poll::Ready(result)),
        }
    }

    /// Ready when there may be something to read, or at once where only reading tells.
    pub(super) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Tcp::Known(known) => known.poll_read_ready(context),
            Tcp::Fresh(_) | Tcp::Lost => Poll::Ready(Ok(())),
        }
    }

    /// Reads some bytes.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.at_once(|mut fresh| {
            let count = fresh.read(room.initialize_unfilled())?;
            room.advance(count);
            Ok(())
        });
        match read {
            Some(result) => result,
            None => Pin::new(self.known()?).poll_read(context, room),
        }
    }

    /// Ready with 1 when a byte can be read, which is not taken, and with 0 when the other side has
    /// ended.
    pub(super) fn poll_peek(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.known()?
            .poll_peek(context, &mut ReadBuf::new(&mut [0]))
    }

    /// Whether nothing has come and the other side has not ended, as far as is known at once.
    pub(super) fn is_quiet(&mut self) -> bool {
        let read = self.known().and_then(|known| known.try_read(&mut [0]));
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Writes some of `bytes`.
    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.at_once(|mut fresh| fresh.write(bytes)) {
            Some(result) => result,
            None => Pin::new(self.known()?).poll_write(context, bytes),
        }
    }

    /// Writes some of `slices`.
    pub(super) fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.at_once(|mut fresh| fresh.write_vectored(slices)) {
            Some(result) => result,
            None => Pin::new(self.known()?).poll_write_vectored(context, slices),
        }
    }

    /// Does `io`, which writes up to `length` bytes, as soon as the stream can be written to.
    pub(super) fn poll_write_by(
        &mut self,
        context: &mut Context<'_>,
        length: usize,
        mut io: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if let Some(result) = self.at_once(|fresh| io(fresh.as_fd())) {
            return result;
        }
        let known = self.known()?;
        loop {
            ready!(known.poll_write_ready(context))?;
            match known.try_io(Interest::WRITABLE, || io(known.as_fd())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    if result.as_ref().is_ok_and(|count| *count < length) {
                        // The kernel has no room for the rest. Known to the runtime, that spares a
                        // try that would be refused, or be given room for a few bytes only.
                        let full = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                        let _ = known.try_io(Interest::WRITABLE, full);
                    }
                    return Poll::Ready(result);
                }
            }
        }
    }

    /// Ends the sending side.
    pub(super) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.known()?).poll_shutdown(context)
    }
}
