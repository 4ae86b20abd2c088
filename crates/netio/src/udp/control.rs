//! Control messages (cmsg(3)) as the kernel lays them out: a length that counts its own header, a
//! level, a type, the data, then padding to the size of a word. Read and written as bytes.

/// Room for everything that this crate asks of the kernel with one message: packet info (40 bytes
/// at most), hop limit, segment size and drop count (24 each), with some to spare.
const CAPACITY: usize = 128;

const WORD: usize = size_of::<usize>();
const HEADER: usize = WORD + 8;

/// A buffer for the control messages of one datagram.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(super) struct Control {
    bytes: [u8; CAPACITY],
}

impl Default for Control {
    fn default() -> Control {
        Control {
            bytes: [0; CAPACITY],
        }
    }
}

impl Control {
    /// Size in bytes of the room.
    pub(super) const CAPACITY: usize = CAPACITY;

    /// Where the kernel reads or writes.
    pub(super) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.bytes.as_mut_ptr().cast()
    }

    /// Writes a message behind the first `used` bytes, and returns how many are used then. There
    /// is room by construction: see [`CAPACITY`].
    pub(super) fn push(&mut self, used: usize, level: i32, kind: i32, data: &[u8]) -> usize {
        let len = HEADER + data.len();
        let message = &mut self.bytes[used..used + len.next_multiple_of(WORD)];
        message[..WORD].copy_from_slice(&len.to_ne_bytes());
        message[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
        message[WORD + 4..HEADER].copy_from_slice(&kind.to_ne_bytes());
        message[HEADER..len].copy_from_slice(data);
        message[len..].fill(0);
        used + len.next_multiple_of(WORD)
    }

    /// The messages in the first `used` bytes: level, type and data of each.
    pub(super) fn messages(&self, used: usize) -> Messages<'_> {
        Messages {
            rest: &self.bytes[..used.min(CAPACITY)],
        }
    }
}

/// See [`Control::messages`].
pub(super) struct Messages<'c> {
    rest: &'c [u8],
}

impl<'c> Iterator for Messages<'c> {
    type Item = (i32, i32, &'c [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (header, _) = self.rest.split_at_checked(HEADER)?;
        let len = usize::from_ne_bytes(*header.first_chunk()?);
        let level = int(&header[WORD..])?;
        let kind = int(&header[WORD + 4..])?;
        let data = self.rest.get(HEADER..len)?;
        self.rest = self.rest.get(len.next_multiple_of(WORD)..).unwrap_or(&[]);
        Some((level, kind, data))
    }
}

/// The C `int` that `data` begins with.
pub(super) fn int(data: &[u8]) -> Option<i32> {
    Some(i32::from_ne_bytes(*data.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_back_as_they_were_written() {
        let mut control = Control::default();
        let used = control.push(0, libc::SOL_UDP, 103, &[1, 2]);
        // CMSG_SPACE of two bytes and of four, on a machine of 64 bits: 16 + 8 each.
        assert_eq!(used, 24);
        let used = control.push(used, libc::IPPROTO_IP, libc::IP_TTL, &64_i32.to_ne_bytes());
        assert_eq!(used, 48);
        let read: Vec<_> = control.messages(used).collect();
        assert_eq!(read[0], (libc::SOL_UDP, 103, &[1_u8, 2][..]));
        assert_eq!((read[1].0, read[1].1), (libc::IPPROTO_IP, libc::IP_TTL));
        assert_eq!(int(read[1].2), Some(64));
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn a_message_whose_length_lies_ends_the_list() {
        let mut control = Control::default();
        control.push(0, 1, 2, &[0; 4]);
        for len in [0_usize, 15, 200, usize::MAX - 3] {
            control.bytes[..WORD].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(control.messages(24).next(), None, "length {len}");
        }
        assert_eq!(control.messages(10).next(), None);
    }
}
