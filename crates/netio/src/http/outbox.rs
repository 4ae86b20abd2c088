//! What is to be written on a connection: rendered heads and small bodies in one run of bytes,
//! large bodies as they are, files by their descriptor.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use smallvec::SmallVec;

use super::buffer::Buffers;
use super::file::FilePart;
use super::stream::Stream;

/// A body up to this size is copied behind its head: cheaper than one more piece to gather.
const COPIED_BYTES: usize = 8 * 1024;
/// How many pieces one write gathers.
const GATHERED: usize = 16;

/// Bytes and files, in order, on their way out.
#[derive(Debug)]
pub struct Outbox {
    buffers: Buffers,
    /// Rendered heads and copied bodies; `pieces` names parts of it.
    rendered: Vec<u8>,
    /// Up to where `rendered` belongs to `pieces`; what is behind follows the last piece.
    assigned: usize,
    pieces: VecDeque<Piece>,
    /// How much of the first piece is written.
    written: usize,
    pending: u64,
    /// Whether the stream ends behind it.
    is_last: bool,
}

#[derive(Debug)]
enum Piece {
    Rendered(Range<usize>),
    Shared(Bytes),
    File(FilePart),
}

impl Outbox {
    /// An empty one.
    pub fn new(buffers: &Buffers) -> Outbox {
        Outbox {
            buffers: buffers.clone(),
            rendered: Vec::new(),
            assigned: 0,
            pieces: VecDeque::new(),
            written: 0,
            pending: 0,
            is_last: false,
        }
    }

    /// Nothing is pushed any more, and the connection is closed as soon as all of it is handed to the
    /// kernel, which then sends its end in the same segment as the last bytes.
    pub(super) fn end_behind(&mut self) {
        self.is_last = true;
    }

    /// Bytes not yet handed to the kernel.
    pub fn pending(&self) -> u64 {
        self.pending
    }

    /// Whether everything has been handed to the kernel.
    pub fn is_empty(&self) -> bool {
        self.pending == 0
    }

    /// Appends what `render` pushes.
    pub fn render(&mut self, render: impl FnOnce(&mut Vec<u8>)) {
        if self.rendered.capacity() == 0 {
            self.rendered = self.buffers.lend_for_writing();
        }
        let before = self.rendered.len();
        render(&mut self.rendered);
        self.pending += (self.rendered.len() - before) as u64;
    }

    /// Appends bytes that others may share.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.len() <= COPIED_BYTES {
            self.render(|rendered| rendered.extend_from_slice(&bytes));
        } else {
            self.assign_rendered();
            self.pending += bytes.len() as u64;
            self.pieces.push_back(Piece::Shared(bytes));
        }
    }

    /// Appends a part of a file.
    pub fn push_file(&mut self, part: FilePart) {
        if part.range.is_empty() {
            return;
        }
        self.assign_rendered();
        self.pending += part.length();
        self.pieces.push_back(Piece::File(part));
    }

    fn assign_rendered(&mut self) {
        if self.assigned < self.rendered.len() {
            self.pieces
                .push_back(Piece::Rendered(self.assigned..self.rendered.len()));
            self.assigned = self.rendered.len();
        }
    }

    /// Hands as much as possible to the stream in one call (two before a file), and returns how many bytes that were.
    ///
    /// # Errors
    /// The stream's; and `UnexpectedEof` or `InvalidData` if a file is no longer what was promised.
    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut Stream,
    ) -> Poll<io::Result<u64>> {
        let was_file = self.begins_with_file();
        let mut count = ready!(self.poll_send(context, stream))?;
        self.done(count);
        // What stood before a file waits in the kernel for its first bytes: they follow at once,
        // before anybody else has a turn.
        if !was_file
            && self.begins_with_file()
            && let Poll::Ready(sent) = self.poll_send(context, stream)
        {
            let sent = sent?;
            self.done(sent);
            count += sent;
        }
        Poll::Ready(Ok(count))
    }

    fn begins_with_file(&self) -> bool {
        matches!(self.pieces.front(), Some(Piece::File(_)))
    }

    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut Stream,
    ) -> Poll<io::Result<u64>> {
        if self.pieces.is_empty() && self.assigned == 0 {
            // The common case: one run of rendered bytes.
            let bytes = &self.rendered[self.written..];
            return stream.poll_send(bytes, self.is_last, context);
        }
        self.assign_rendered();
        if let Some(Piece::File(part)) = self.pieces.front() {
            return self.poll_send_file(part, context, stream);
        }
        let mut slices = SmallVec::<[IoSlice<'_>; GATHERED]>::new();
        let mut skip = self.written;
        let mut more = self.is_last;
        for piece in &self.pieces {
            let bytes = match piece {
                Piece::Rendered(range) => &self.rendered[range.clone()],
                Piece::Shared(bytes) => &bytes[..],
                Piece::File(_) => {
                    more = true;
                    break;
                }
            };
            if slices.len() == GATHERED {
                break;
            }
            slices.push(IoSlice::new(&bytes[skip..]));
            skip = 0;
        }
        stream.poll_send_vectored(&slices, more, context)
    }

    fn poll_send_file(
        &self,
        part: &FilePart,
        context: &mut Context<'_>,
        stream: &mut Stream,
    ) -> Poll<io::Result<u64>> {
        let (offset, length) = (part.range.start, part.length());
        let sent =
            ready!(stream.poll_send_file(&*part.file, offset, length, &self.buffers, context))?;
        if sent == 0 {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter while it was sent",
            )));
        }
        check(part, stream)?;
        Poll::Ready(Ok(sent))
    }

    fn done(&mut self, count: u64) {
        self.pending -= count;
        if self.pending == 0 {
            self.reset();
            return;
        }
        let mut count = count as usize;
        if self.pieces.is_empty() {
            self.written += count;
            return;
        }
        while count > 0 {
            let Some(front) = self.pieces.front_mut() else {
                return;
            };
            let length = match front {
                Piece::Rendered(range) => range.len(),
                Piece::Shared(bytes) => bytes.len(),
                Piece::File(part) => {
                    part.range.start += count as u64;
                    if part.range.is_empty() {
                        self.pieces.pop_front();
                    }
                    return;
                }
            };
            let left = length - self.written;
            if count < left {
                self.written += count;
                return;
            }
            count -= left;
            self.written = 0;
            self.pieces.pop_front();
        }
    }

    fn reset(&mut self) {
        self.rendered.clear();
        self.pieces.clear();
        self.assigned = 0;
        self.written = 0;
    }

    /// Gives the memory back if nothing is held.
    pub fn rest(&mut self) {
        if self.pending == 0 && self.rendered.capacity() > 0 {
            self.buffers
                .take_back_written(std::mem::take(&mut self.rendered));
            self.pieces = VecDeque::new();
        }
    }
}

/// Looks whether the file is still what was promised. If not, the connection's end becomes a reset:
/// the kernel may hold all that is missing, and pages of the file with it that are written over now.
fn check(part: &FilePart, stream: &Stream) -> io::Result<()> {
    if part.file.stands()? {
        return Ok(());
    }
    stream.reset_at_end();
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "the file was written to while it was sent",
    ))
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.buffers
            .take_back_written(std::mem::take(&mut self.rendered));
    }
}
