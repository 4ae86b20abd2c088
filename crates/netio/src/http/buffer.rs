//! Buffers, lent to connections only while they hold bytes.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

/// The size of a lent buffer. A longer head grows it; a body passes through it in pieces.
pub const BUFFER_BYTES: usize = 16 * 1024;

/// How many unused buffers of each kind a worker keeps: at most 4 MiB for reading, 8 for writing.
const KEPT: usize = 256;

/// The unused buffers of one worker.
#[derive(Clone, Debug, Default)]
pub struct Buffers(Rc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Each [`BUFFER_BYTES`] long.
    reading: RefCell<Vec<Vec<u8>>>,
    /// Each empty, with some capacity.
    writing: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    fn lend(&self) -> Vec<u8> {
        self.0
            .reading
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| vec![0; BUFFER_BYTES])
    }

    fn take_back(&self, bytes: Vec<u8>) {
        let mut kept = self.0.reading.borrow_mut();
        if bytes.len() == BUFFER_BYTES && kept.len() < KEPT {
            kept.push(bytes);
        }
    }

    /// An empty vector to render into.
    pub fn lend_for_writing(&self) -> Vec<u8> {
        self.0
            .writing
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
    }

    /// Takes such a vector back, unless it has grown out of measure.
    pub fn take_back_written(&self, mut bytes: Vec<u8>) {
        let mut kept = self.0.writing.borrow_mut();
        if (1..=2 * BUFFER_BYTES).contains(&bytes.capacity()) && kept.len() < KEPT {
            bytes.clear();
            kept.push(bytes);
        }
    }
}

/// The bytes that have come and are not yet used. It holds memory only while there are any.
#[derive(Debug)]
pub struct ReadBuffer {
    buffers: Buffers,
    bytes: Vec<u8>,
    filled: Range<usize>,
}

impl ReadBuffer {
    /// An empty one.
    pub fn new(buffers: &Buffers) -> ReadBuffer {
        ReadBuffer {
            buffers: buffers.clone(),
            bytes: Vec::new(),
            filled: 0..0,
        }
    }

    /// What has come.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.filled.clone()]
    }

    /// Whether nothing waits to be used.
    pub fn is_empty(&self) -> bool {
        self.filled.is_empty()
    }

    /// The first `count` bytes are used.
    pub fn consume(&mut self, count: usize) {
        self.filled.start += count;
        debug_assert!(self.filled.start <= self.filled.end);
        if self.filled.is_empty() {
            self.filled = 0..0;
        }
    }

    /// Room for at least one more byte, growing the buffer while it holds less than `limit`.
    /// Empty only when `limit` bytes are held.
    pub fn room(&mut self, limit: usize) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = self.buffers.lend();
        }
        if self.filled.end == self.bytes.len() && self.filled.start > 0 {
            self.bytes.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
        }
        if self.filled.end == self.bytes.len() {
            let grown = (self.bytes.len() * 2).min(limit.max(self.bytes.len()));
            self.bytes.resize(grown, 0);
        }
        &mut self.bytes[self.filled.end..]
    }

    /// `count` bytes were written into the room.
    pub fn came(&mut self, count: usize) {
        self.filled.end += count;
        debug_assert!(self.filled.end <= self.bytes.len());
    }

    /// Gives the memory back if nothing is held.
    pub fn rest(&mut self) {
        if self.filled.is_empty() && !self.bytes.is_empty() {
            self.buffers.take_back(std::mem::take(&mut self.bytes));
            self.filled = 0..0;
        }
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.buffers.take_back(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut ReadBuffer, bytes: &[u8], limit: usize) {
        for byte in bytes {
            buffer.room(limit)[0] = *byte;
            buffer.came(1);
        }
    }

    #[test]
    fn an_idle_buffer_holds_no_memory_and_the_next_one_reuses_it() {
        let buffers = Buffers::default();
        let mut first = ReadBuffer::new(&buffers);
        put(&mut first, b"abc", BUFFER_BYTES);
        first.consume(3);
        first.rest();
        assert_eq!(first.bytes.capacity(), 0);
        assert_eq!(buffers.0.reading.borrow().len(), 1);
        let mut second = ReadBuffer::new(&buffers);
        second.room(BUFFER_BYTES);
        assert_eq!(buffers.0.reading.borrow().len(), 0);
    }

    #[test]
    fn what_is_not_used_stays_in_order_when_the_buffer_is_compacted_and_grown() {
        let buffers = Buffers::default();
        let mut buffer = ReadBuffer::new(&buffers);
        let limit = 3 * BUFFER_BYTES;
        let all: Vec<u8> = (0..4 * BUFFER_BYTES).map(|i| (i % 251) as u8).collect();
        put(&mut buffer, &all[..BUFFER_BYTES], limit);
        buffer.consume(BUFFER_BYTES - 10);
        put(
            &mut buffer,
            &all[BUFFER_BYTES..4 * BUFFER_BYTES - 10],
            limit,
        );
        assert_eq!(
            buffer.filled(),
            &all[BUFFER_BYTES - 10..4 * BUFFER_BYTES - 10]
        );
        assert!(buffer.room(limit).is_empty(), "the limit holds");
    }
}
