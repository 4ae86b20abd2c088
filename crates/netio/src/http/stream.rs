//! The kinds of stream that a connection runs over, and what each does in its own way. Above this
//! nobody knows which it is.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::buffer::{BUFFER_BYTES, Buffers, ReadBuffer};
use super::tcp::Tcp;
use super::toxic::{Impaired, Toxics};

/// How much of a file one call hands to the kernel.
const FILE_STEP: u64 = 1024 * 1024;

/// A connected stream.
#[derive(Debug)]
pub(super) enum Stream {
    /// As it is.
    Plain(Tcp),
    /// Encrypted, as the server's side. Boxed: a plain one need not be as large.
    Tls(Box<TlsStream<TcpStream>>),
    /// Either of them through a worse network.
    Impaired(Box<Impaired>),
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Stream {
        Stream::Plain(Tcp::Known(tcp))
    }
}

impl From<TlsStream<TcpStream>> for Stream {
    fn from(tls: TlsStream<TcpStream>) -> Stream {
        Stream::Tls(Box::new(tls))
    }
}

impl Stream {
    /// The same stream, with these toxics for what is sent.
    pub(super) fn impaired(self, toxics: Toxics) -> Stream {
        Stream::Impaired(Box::new(Impaired::new(self, toxics)))
    }

    /// How much longer its end takes than that of others.
    pub(super) fn farewell(&self) -> Duration {
        match self {
            Stream::Plain(_) | Stream::Tls(_) => Duration::ZERO,
            Stream::Impaired(impaired) => impaired.farewell(),
        }
    }

    /// Whether what it took has gone to the kernel, and its end needs no word.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Stream::Plain(_))
    }

    /// The descriptor of the TCP connection below; none if that is lost.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Stream::Plain(tcp) => tcp.descriptor(),
            Stream::Tls(tls) => Some(tls.get_ref().0.as_fd()),
            Stream::Impaired(impaired) => impaired.below().descriptor(),
        }
    }

    /// Makes its end a reset: what the kernel still holds of what was sent is given up.
    pub(super) fn reset_at_end(&self) {
        if let Some(descriptor) = self.descriptor() {
            // It fails only for a connection that is broken already.
            let _ = SockRef::from(&descriptor).set_linger(Some(Duration::ZERO));
        }
    }

    /// Reads into `input`, which grows up to `limit`. Ready with how many bytes came; 0 when the
    /// other side has ended.
    pub(super) fn poll_fill(
        &mut self,
        input: &mut ReadBuffer,
        limit: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Stream::Impaired(impaired) = self {
            return impaired.stream().poll_fill(input, limit, context);
        }
        if let Stream::Plain(tcp) = self {
            // No buffer is taken before there is something to put into it.
            ready!(tcp.poll_read_ready(context))?;
        }
        let room = input.room(limit);
        if room.is_empty() {
            return Poll::Ready(Err(io::Error::other("more came than there is room for")));
        }
        let mut room = ReadBuf::new(room);
        match Pin::new(&mut *self).poll_read(context, &mut room) {
            Poll::Ready(result) => {
                let count = room.filled().len();
                input.came(count);
                Poll::Ready(result.map(|()| count))
            }
            Poll::Pending => {
                input.rest();
                Poll::Pending
            }
        }
    }

    /// Ready when bytes wait to be used or to be read, or the other side has ended.
    pub(super) fn poll_input(
        &mut self,
        input: &mut ReadBuffer,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !input.is_empty() {
            return Poll::Ready(Ok(()));
        }
        match self {
            // Peeked, because readiness alone may be left over from an earlier read.
            Stream::Plain(tcp) => tcp.poll_peek(context).map_ok(drop),
            Stream::Tls(_) | Stream::Impaired(_) => {
                self.poll_fill(input, BUFFER_BYTES, context).map_ok(drop)
            }
        }
    }

    /// Ready when the other side has ended, or the connection has failed; not when something comes,
    /// for which `input` has room.
    pub(super) fn poll_end(
        &mut self,
        input: &mut ReadBuffer,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let came = match self {
            Stream::Plain(tcp) => ready!(tcp.poll_peek(context)),
            Stream::Tls(_) | Stream::Impaired(_) => {
                ready!(self.poll_fill(input, BUFFER_BYTES, context))
            }
        };
        match came {
            Ok(1..) => Poll::Pending,
            Ok(0) | Err(_) => Poll::Ready(()),
        }
    }

    /// Whether nothing has come and the other side has not ended, as far as is known at once.
    pub(super) fn is_quiet(&mut self) -> bool {
        match self {
            Stream::Plain(tcp) => tcp.is_quiet(),
            // Only clients ask, and clients do not encrypt.
            Stream::Tls(_) | Stream::Impaired(_) => false,
        }
    }

    /// Writes some of `bytes`. With `more` they wait in the kernel for what follows at once, to share a
    /// segment with it.
    pub(super) fn poll_send(
        &mut self,
        bytes: &[u8],
        more: bool,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<u64>> {
        match self {
            Stream::Plain(tcp) if more => tcp.poll_write_by(context, bytes.len(), |tcp| {
                Ok(send(tcp, bytes, SendFlags::MORE | SendFlags::NOSIGNAL)?)
            }),
            Stream::Plain(tcp) => tcp.poll_write(context, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(context, bytes),
            Stream::Impaired(impaired) => impaired.poll_send(bytes, context),
        }
        .map_ok(|count| count as u64)
    }

    /// Writes some of `slices`, as [`Stream::poll_send`] does.
    pub(super) fn poll_send_vectored(
        &mut self,
        slices: &[IoSlice<'_>],
        more: bool,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<u64>> {
        match self {
            Stream::Plain(tcp) if more => {
                let length = slices.iter().map(|slice| slice.len()).sum();
                tcp.poll_write_by(context, length, |tcp| {
                    let mut control = SendAncillaryBuffer::default();
                    let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
                    Ok(sendmsg(tcp, slices, &mut control, flags)?)
                })
            }
            Stream::Plain(tcp) => tcp.poll_write_vectored(context, slices),
            Stream::Tls(tls) => Pin::new(tls).poll_write_vectored(context, slices),
            Stream::Impaired(impaired) => impaired.poll_send_vectored(slices, context),
        }
        .map_ok(|count| count as u64)
    }

    /// Sends some of the `length` bytes of `file` that begin at `offset`: by the kernel where it
    /// can, else through a buffer lent by `buffers`. 0 if the file ends there.
    pub(super) fn poll_send_file(
        &mut self,
        file: impl AsFd,
        offset: u64,
        length: u64,
        buffers: &Buffers,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<u64>> {
        match self {
            Stream::Plain(tcp) => {
                let step = length.min(FILE_STEP) as usize;
                tcp.poll_write_by(context, step, |tcp| {
                    let mut offset = offset;
                    Ok(rustix::fs::sendfile(tcp, &file, Some(&mut offset), step)?)
                })
            }
            Stream::Tls(_) | Stream::Impaired(_) => {
                let mut piece = buffers.lend_for_writing();
                piece.reserve(BUFFER_BYTES);
                let read = rustix::io::pread(file, spare_capacity(&mut piece), offset);
                piece.truncate(usize::try_from(length).unwrap_or(usize::MAX));
                let sent = match read {
                    Ok(0) => Poll::Ready(Ok(0)),
                    Ok(_) => Pin::new(&mut *self).poll_write(context, &piece),
                    Err(error) => Poll::Ready(Err(error.into())),
                };
                buffers.take_back_written(piece);
                sent
            }
        }
        .map_ok(|count| count as u64)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => tcp.poll_read(context, room),
            Stream::Tls(tls) => match ready!(Pin::new(tls).poll_read(context, room)) {
                // Many clients end the connection without a word of TLS. Nothing is lost by taking
                // that for an end: every request tells its own.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                result => Poll::Ready(result),
            },
            Stream::Impaired(impaired) => Pin::new(impaired.stream()).poll_read(context, room),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll_send(bytes, false, context)
            .map_ok(|count| count as usize)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(context),
            Stream::Impaired(impaired) => impaired.poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => tcp.poll_shutdown(context),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(context),
            Stream::Impaired(impaired) => impaired.poll_shutdown(context),
        }
    }
}
