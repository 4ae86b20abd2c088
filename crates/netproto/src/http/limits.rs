//! How much of a message is taken before it is refused, and so how much memory a peer can hold.

/// Upper bounds on one message. The statuses are what a server answers when a request breaks one;
/// a response that breaks one is a 502 at the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The method's name, in bytes: 501.
    pub method_bytes: usize,
    /// The request target, or a response's reason phrase, in bytes: 414.
    pub target_bytes: usize,
    /// One field line without its CRLF, in bytes: 431.
    pub field_bytes: usize,
    /// All field lines but for the last one's CRLF, in bytes: 431. Trailers have the same bound.
    pub fields_bytes: usize,
    /// How many field lines: 431. Trailers have the same bound.
    pub fields: usize,
    /// The body's payload, in bytes, without chunk framing: 413.
    pub body_bytes: u64,
    /// Chunk extensions of one body, in bytes, over all its chunks: 400.
    pub chunk_extension_bytes: usize,
}

impl Limits {
    /// The bounds used unless an operator says otherwise.
    pub const DEFAULT: Limits = Limits {
        method_bytes: 32,
        target_bytes: 8 * 1024,
        field_bytes: 8 * 1024,
        fields_bytes: 64 * 1024,
        fields: 100,
        body_bytes: 16 * 1024 * 1024,
        chunk_extension_bytes: 4 * 1024,
    };

    /// The most bytes a head within these limits can have: what a read buffer must be able to
    /// hold for [`RequestHead::parse`](super::head::RequestHead::parse) to come to an answer.
    pub const fn head_bytes(&self) -> usize {
        // A leading CRLF, two spaces, `HTTP/1.1`, then the CRLFs of the start line, the last field
        // and the empty line.
        const FIXED: usize = 2 + 2 + 8 + 2 + 2 + 2;
        self.method_bytes + self.target_bytes + self.fields_bytes + FIXED
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}
