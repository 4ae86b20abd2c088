//! Messages written down with what must become of them: `crates/netproto/vectors/*.txt`. The
//! parsers' own tests read them, and the daemons' tests send them over real sockets.
//!
//! A vector is a line that says `STATUS SEEN-BY rule N: WHY`, and below it, indented, the bytes;
//! several lines of bytes are one message. `STATUS` is what the message is answered with, or `ok`.
//! `SEEN-BY` says who refuses it: the parser of the `head`, the decoder of the `body`, the look-up
//! of a `file`, or the `server` as a whole. In the bytes, `\r \n \t \0 \\ \xHH` stand for what
//! they stand for elsewhere, and `\{COUNT*TEXT}` for `TEXT` that many times. Lines that begin with
//! `#` are for the reader.

/// Requests, and the status that a server answers.
pub fn requests() -> Vec<Vector> {
    read(include_str!("../../netproto/vectors/requests.txt"))
}

/// Responses, and the status that a proxy answers its client after `GET`.
pub fn responses() -> Vec<Vector> {
    read(include_str!("../../netproto/vectors/responses.txt"))
}

/// One message and what must become of it.
#[derive(Debug, Clone)]
pub struct Vector {
    /// The status that it gets; `None` if it breaks no rule.
    pub status: Option<u16>,
    /// Who refuses it.
    pub seen_by: SeenBy,
    /// Which rule it is about, and how: for messages of a failed test.
    pub why: String,
    /// The message.
    pub bytes: Vec<u8>,
}

/// Which part refuses a message first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenBy {
    /// The parser of its head.
    Head,
    /// The decoder of its body.
    Body,
    /// The look-up of the file that its target names.
    File,
    /// The server, by what it offers.
    Server,
}

fn read(text: &str) -> Vec<Vector> {
    let mut vectors: Vec<Vector> = Vec::new();
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(bytes) = line.strip_prefix("    ") {
            let vector = vectors.last_mut().expect("a title stands above the bytes");
            unescape(bytes, &mut vector.bytes);
        } else {
            vectors.push(title(line));
        }
    }
    vectors
}

fn title(line: &str) -> Vector {
    let mut words = line.splitn(3, ' ');
    let mut word = || words.next().expect("STATUS SEEN-BY WHY");
    let status = match word() {
        "ok" => None,
        number => Some(number.parse().expect("a status")),
    };
    let seen_by = match word() {
        "head" => SeenBy::Head,
        "body" => SeenBy::Body,
        "file" => SeenBy::File,
        "server" => SeenBy::Server,
        other => panic!("{other:?} sees nothing: {line}"),
    };
    Vector {
        status,
        seen_by,
        why: word().to_owned(),
        bytes: Vec::new(),
    }
}

fn unescape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest.as_bytes().get(at + 1).expect("an escape");
        rest = &rest[at + 2..];
        match escape {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'0' => out.push(0),
            b'\\' => out.push(b'\\'),
            b'x' => {
                let (digits, after) = rest.split_at(2);
                out.push(u8::from_str_radix(digits, 16).expect("two hexadecimal digits"));
                rest = after;
            }
            b'{' => {
                let (repeat, after) = rest.split_once('}').expect("a closing brace");
                let (count, piece) = repeat.split_once('*').expect("COUNT*TEXT");
                let mut bytes = Vec::new();
                unescape(piece, &mut bytes);
                out.extend(bytes.repeat(count.parse().expect("a count")));
                rest = after;
            }
            other => panic!("no escape is written \\{}", char::from(*other)),
        }
    }
    out.extend_from_slice(rest.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_repetitions_are_read() {
        let vectors = read("# note\n400 head rule 1: why\n    a\\r\\n\\x7f\\\\\n    \\{3*b\\0}c\n");
        assert_eq!(vectors[0].status, Some(400));
        assert_eq!(vectors[0].bytes, b"a\r\n\x7f\\b\0b\0b\0c");
    }
}
