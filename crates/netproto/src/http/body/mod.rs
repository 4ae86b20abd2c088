//! Message bodies (RFC 9112 §6, §7): where they end, and their payload without its framing.
//!
//! [`BodyDecoder`] takes the bytes behind a head as they come in and says which of them are
//! payload; it copies nothing and keeps nothing. `chunked` holds the parser of chunk framing.
//! Writing a chunk takes [`chunk_size_line`], the payload, and a CRLF.

mod chunked;

use std::ops::Range;

use chunked::{Chunked, Step};

use super::limits::Limits;
use super::status::StatusCode;
use super::write::CRLF;

/// How the end of a body is known (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is no body.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks, ended by one of size 0.
    Chunked,
    /// Everything until the connection closes; responses only.
    UntilClose,
}

/// Why a body is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More payload than the limit allows.
    #[error("the body is too large")]
    TooLarge,
    /// Not 1*HEXDIG, more than 16 digits, or no CRLF behind it (RFC 9112 §7.1).
    #[error("a malformed chunk size")]
    ChunkSize,
    /// Not token [ = (token / quoted-string) ] (RFC 9112 §7.1.1).
    #[error("a malformed chunk extension")]
    ChunkExtension,
    /// The extensions of all chunks together.
    #[error("too many bytes of chunk extensions")]
    ChunkExtensionsTooLong,
    /// A chunk's payload is not followed by CRLF (RFC 9112 §7.1).
    #[error("a chunk whose data does not end where its size says")]
    ChunkEnd,
    /// A trailer that would not pass as a field (RFC 9112 §7.1.2).
    #[error("a malformed trailer field")]
    Trailer,
    /// Trailers that break the limits on fields.
    #[error("too many or too long trailer fields")]
    TrailersTooLong,
    /// The connection ended inside the body.
    #[error("the body was cut short")]
    CutShort,
}

impl BodyError {
    /// What a server answers. A proxy answers 502 when it was a response's body, if it still can.
    pub fn status(&self) -> StatusCode {
        match self {
            BodyError::TooLarge => StatusCode::CONTENT_TOO_LARGE,
            BodyError::TrailersTooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// What [`BodyDecoder::decode`] made of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// How many bytes of the input belong to the body and are dealt with.
    pub consumed: usize,
    /// Which of them are payload; they come last of the consumed. May be empty.
    pub data: Range<usize>,
    /// The body is complete: the next byte belongs to the next message.
    pub done: bool,
}

/// Takes one body apart. Trailers are held to the rules of fields, and dropped.
#[derive(Debug, Clone)]
pub struct BodyDecoder {
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Done,
    /// So many bytes to come, more than 0.
    Length(u64),
    Chunked(Chunked),
    /// So many bytes may come at most.
    UntilClose(u64),
    /// What was wrong stays wrong.
    Failed(BodyError),
}

impl BodyDecoder {
    /// A decoder for no body.
    pub fn none() -> BodyDecoder {
        BodyDecoder { state: State::Done }
    }

    /// A decoder for a body with this framing. [`BodyError::TooLarge`] if the head already says
    /// more than `limits` allow, so that a client that expects 100-continue hears of it in time.
    pub fn new(framing: BodyFraming, limits: &Limits) -> Result<BodyDecoder, BodyError> {
        let state = match framing {
            BodyFraming::None | BodyFraming::Length(0) => State::Done,
            BodyFraming::Length(length) if length > limits.body_bytes => {
                return Err(BodyError::TooLarge);
            }
            BodyFraming::Length(length) => State::Length(length),
            BodyFraming::Chunked => State::Chunked(Chunked::new(limits)),
            BodyFraming::UntilClose => State::UntilClose(limits.body_bytes),
        };
        Ok(BodyDecoder { state })
    }

    /// Goes on with `input`, which begins where the last call's `consumed` ended. Gives at most one
    /// run of payload: while `input` has bytes left and the body is not done, call again with them.
    /// Consumes everything unless it is done or has a run to give. After an error, every call
    /// gives that error.
    #[inline]
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, BodyError> {
        match &mut self.state {
            State::Done => Ok(run(0, true)),
            State::Length(left) => {
                let len = clamp(*left, input.len());
                *left -= len as u64;
                let done = *left == 0;
                if done {
                    self.state = State::Done;
                }
                Ok(run(len, done))
            }
            State::Chunked(chunked) => {
                let step = chunked.advance(input);
                self.chunked_outcome(step)
            }
            State::UntilClose(left) => {
                if input.len() as u64 > *left {
                    return Err(self.fail(BodyError::TooLarge));
                }
                *left -= input.len() as u64;
                Ok(run(input.len(), false))
            }
            State::Failed(error) => Err(*error),
        }
    }

    /// The connection has ended: right for a body that is done or ends so, else
    /// [`BodyError::CutShort`].
    pub fn end_of_input(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose(_) => {
                self.state = State::Done;
                Ok(())
            }
            State::Length(_) | State::Chunked(_) => Err(self.fail(BodyError::CutShort)),
            State::Failed(error) => Err(error),
        }
    }

    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn chunked_outcome(&mut self, step: Result<Step, BodyError>) -> Result<Decoded, BodyError> {
        match step {
            Ok(Step::Framing { consumed }) => Ok(Decoded {
                consumed,
                data: consumed..consumed,
                done: false,
            }),
            Ok(Step::Data(data)) => Ok(Decoded {
                consumed: data.end,
                data,
                done: false,
            }),
            Ok(Step::End { consumed }) => {
                self.state = State::Done;
                Ok(Decoded {
                    consumed,
                    data: consumed..consumed,
                    done: true,
                })
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    fn fail(&mut self, error: BodyError) -> BodyError {
        self.state = State::Failed(error);
        error
    }
}

/// `len` bytes of payload and nothing else.
fn run(len: usize, done: bool) -> Decoded {
    Decoded {
        consumed: len,
        data: 0..len,
        done,
    }
}

/// The smaller of the two.
fn clamp(left: u64, available: usize) -> usize {
    usize::try_from(left).map_or(available, |left| left.min(available))
}

/// Ends a chunked body, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Stands behind each chunk's payload.
pub const CHUNK_END: &[u8] = CRLF;

/// Appends the line that announces a chunk of `len` bytes. Writes nothing for 0, which would end
/// the body: that is [`LAST_CHUNK`]'s to say.
pub fn chunk_size_line(len: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    if len == 0 {
        return;
    }
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4);
    for digit in (0..digits).rev() {
        out.push(DIGITS[len >> (4 * digit) & 0xf]);
    }
    out.extend_from_slice(CRLF);
}
