//! Readers that may leave before the end.

use std::io::{self, ErrorKind, Write};

/// A stream whose reader may close it, as `head -1` does: what comes after that is dropped and is no
/// error, so that a test still gets its verdict and its row.
#[derive(Debug)]
pub struct Audience<W> {
    stream: W,
    has_left: bool,
}

impl<W: Write> Audience<W> {
    /// Of this stream.
    pub fn new(stream: W) -> Audience<W> {
        Audience {
            stream,
            has_left: false,
        }
    }

    fn unless_left<T>(
        &mut self,
        nothing: T,
        write: impl FnOnce(&mut W) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.has_left {
            return Ok(nothing);
        }
        match write(&mut self.stream) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.has_left = true;
                Ok(nothing)
            }
            result => result,
        }
    }
}

impl<W: Write> Write for Audience<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_left(bytes.len(), |stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_left((), Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, then fails like this.
    struct Failing(usize, ErrorKind);

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(self.1.into());
            }
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_left_is_no_error_and_a_full_disk_is_one() {
        for (kind, is_error) in [
            (ErrorKind::BrokenPipe, false),
            (ErrorKind::StorageFull, true),
        ] {
            let mut audience = Audience::new(Failing(3, kind));
            for _ in 0..2 {
                assert_eq!(audience.write_all(b"hello").is_err(), is_error, "{kind}");
            }
        }
    }
}
