//! Request targets (RFC 9112 §3.2), authorities, and the file that a path names.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

use super::grammar::{hex_digit, is_reg_name, parse_digits};
use super::method::Method;

/// What a request asks for, in one of the four forms of RFC 9112 §3.2. Every part is visible ASCII
/// and its percent-encoding is well formed; nothing has been decoded or normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'b> {
    /// `/path?query`: the usual form.
    Origin {
        /// Begins with a slash.
        path: &'b str,
        /// What follows the first question mark.
        query: Option<&'b str>,
    },
    /// `http://authority/path?query`: asked of a proxy; every server takes it.
    Absolute {
        /// As sent, in any case, without the colon.
        scheme: &'b str,
        /// Valid, without userinfo, its host not empty.
        authority: &'b str,
        /// Begins with a slash; `/` if the URI has none (RFC 9110 §4.2.3).
        path: &'b str,
        /// What follows the first question mark.
        query: Option<&'b str>,
    },
    /// `host:port`, for CONNECT only.
    Authority {
        /// Both parts, as sent.
        authority: &'b str,
        /// A name or an address; an IPv6 address keeps its brackets.
        host: &'b str,
        /// 1 to 65535.
        port: u16,
    },
    /// `*`, for OPTIONS only: the server as a whole.
    Asterisk,
}

impl fmt::Display for Target<'_> {
    /// As it was sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Target::Origin { path, .. } => f.write_str(path)?,
            Target::Absolute {
                scheme,
                authority,
                path,
                ..
            } => write!(f, "{scheme}://{authority}{path}")?,
            Target::Authority { authority, .. } => f.write_str(authority)?,
            Target::Asterisk => f.write_str("*")?,
        }
        match self.query() {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

/// Why a target is refused. All are a 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A control byte, a space, a `#` or a byte that is not ASCII.
    #[error("a byte that cannot stand in a request target")]
    Byte,
    /// A percent sign without two hexadecimal digits, or `%00`.
    #[error("a bad percent-encoding")]
    Escape,
    /// None of the four forms, or a form that the method does not take.
    #[error("a request target of no known form")]
    Form,
    /// The authority of the URI, or of CONNECT, is invalid.
    #[error("an invalid authority")]
    Authority,
    /// A slash or a backslash that was encoded, or a bare backslash.
    #[error("an encoded slash or a backslash in a path to a file")]
    Slash,
    /// Dot segments that climb out of the root.
    #[error("a path that leaves the root")]
    AboveRoot,
    /// The decoded path is not UTF-8.
    #[error("a path that is not UTF-8")]
    NotUtf8,
}

/// What a byte is in a target.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Visible ASCII but `#`, which begins a fragment and is never sent. Browsers send some bytes
    /// that RFC 3986 does not list (`|` and `{` in a query); none changes where a target ends.
    Plain,
    Question,
    Percent,
    Refused,
}

static CLASS: [Class; 256] = {
    let mut table = [Class::Refused; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = match byte as u8 {
            b'#' => Class::Refused,
            b'?' => Class::Question,
            b'%' => Class::Percent,
            _ => Class::Plain,
        };
        byte += 1;
    }
    table
};

impl<'b> Target<'b> {
    /// The target sent with `method`.
    #[inline]
    pub fn parse(bytes: &'b [u8], method: &Method<'_>) -> Result<Target<'b>, TargetError> {
        let (text, question) = checked_text(bytes)?;
        match method {
            Method::Connect => {
                let authority = Authority::parse(text).ok_or(TargetError::Authority)?;
                match authority.port {
                    Some(port) if port > 0 => Ok(Target::Authority {
                        authority: text,
                        host: authority.host,
                        port,
                    }),
                    // RFC 9110 §9.3.6: there is no default port.
                    _ => Err(TargetError::Authority),
                }
            }
            Method::Options if text == "*" => Ok(Target::Asterisk),
            _ if text.starts_with('/') => {
                let (path, query) = split_at_question(text, question);
                Ok(Target::Origin { path, query })
            }
            _ => Target::absolute(text, question),
        }
    }

    fn absolute(text: &'b str, question: Option<usize>) -> Result<Target<'b>, TargetError> {
        let (hierarchy, query) = split_at_question(text, question);
        let (scheme, rest) = hierarchy.split_once("://").ok_or(TargetError::Form)?;
        let mut letters = scheme.bytes();
        let scheme_is_valid = letters.next().is_some_and(|b| b.is_ascii_alphabetic())
            && letters.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        if !scheme_is_valid {
            return Err(TargetError::Form);
        }
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        Authority::parse(authority).ok_or(TargetError::Authority)?;
        Ok(Target::Absolute {
            scheme,
            authority,
            path: if path.is_empty() { "/" } else { path },
            query,
        })
    }

    /// The path, of the two forms that have one.
    pub fn path(&self) -> Option<&'b str> {
        match *self {
            Target::Origin { path, .. } | Target::Absolute { path, .. } => Some(path),
            Target::Authority { .. } | Target::Asterisk => None,
        }
    }

    /// The query without its question mark, if there is one.
    pub fn query(&self) -> Option<&'b str> {
        match *self {
            Target::Origin { query, .. } | Target::Absolute { query, .. } => query,
            Target::Authority { .. } | Target::Asterisk => None,
        }
    }
}

/// `uri-host [ ":" port ]` (RFC 9110 §4.2, RFC 3986 §3.2), as in Host and in absolute-form.
///
/// Narrower than the grammar where the grammar allows two spellings of one host: no
/// percent-encoding, no IPvFuture, no zone, no userinfo, and the host is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'b> {
    /// A name or an address as sent; an IPv6 address keeps its brackets.
    pub host: &'b str,
    /// `None` without a port, and for the empty port of `host:`.
    pub port: Option<u16>,
}

impl<'b> Authority<'b> {
    /// The authority that `text` is, or `None` if it is none.
    pub fn parse(text: &'b str) -> Option<Authority<'b>> {
        let (host, port) = if text.starts_with('[') {
            let close = text.find(']')?;
            let (host, rest) = text.split_at(close + 1);
            host[1..close].parse::<Ipv6Addr>().ok()?;
            match rest.strip_prefix(':') {
                Some(port) => (host, port),
                None if rest.is_empty() => (host, ""),
                None => return None,
            }
        } else {
            let end = text
                .bytes()
                .position(|byte| !is_reg_name(byte))
                .unwrap_or(text.len());
            let (host, rest) = text.split_at_checked(end)?;
            if host.is_empty() || !(rest.is_empty() || rest.starts_with(':')) {
                return None;
            }
            let port = rest.get(1..).unwrap_or_default();
            (host, port)
        };
        let port = match port {
            "" => None,
            digits => Some(u16::try_from(parse_digits(digits.as_bytes())?).ok()?),
        };
        Some(Authority { host, port })
    }
}

/// The path of a file below the root, from a target's path: percent-decoded, runs of slashes made
/// one, dot segments resolved. It begins with a slash, and ends with one if the path named a
/// folder. A path that needs none of this is given back as it is, without allocating.
///
/// Refused: an encoded slash or a backslash (one file would have two names, and other programs on
/// the way see other folders), and a path that climbs above the root (RFC 3986 §5.2.4 would cut it
/// off there).
pub fn file_path(path: &str) -> Result<Cow<'_, str>, TargetError> {
    if is_plain(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path)?;
    let mut segments: Vec<&str> = Vec::new();
    let mut is_folder = true;
    for segment in decoded.split('/') {
        is_folder = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop().ok_or(TargetError::AboveRoot)?;
            }
            name => segments.push(name),
        }
    }
    let mut resolved = String::with_capacity(decoded.len() + 1);
    for segment in segments {
        resolved.push('/');
        resolved.push_str(segment);
    }
    if is_folder {
        resolved.push('/');
    }
    Ok(Cow::Owned(resolved))
}

/// Whether a path has nothing to decode, to resolve or to refuse: no escape, no backslash, and no
/// segment that is empty or begins with a dot (dotfiles take the long way, and come out the same).
fn is_plain(path: &[u8]) -> bool {
    let mut before = 0;
    for (at, &byte) in path.iter().enumerate() {
        match byte {
            b'%' | b'\\' | 0 => return false,
            b'/' | b'.' if before == b'/' => return false,
            _ if at == 0 && byte != b'/' => return false,
            _ => before = byte,
        }
    }
    !path.is_empty()
}

fn decode(path: &str) -> Result<Cow<'_, str>, TargetError> {
    if path.contains('\\') {
        return Err(TargetError::Slash);
    }
    if path.contains('\0') {
        return Err(TargetError::Byte);
    }
    if !path.contains('%') {
        return Ok(Cow::Borrowed(path));
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            decoded.push(*first);
            continue;
        }
        let (byte, after) = escape(after)?;
        if byte == b'/' || byte == b'\\' {
            return Err(TargetError::Slash);
        }
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8(decoded)
        .map(Cow::Owned)
        .map_err(|_| TargetError::NotUtf8)
}

/// The byte that the two digits after a percent sign say, and what follows them.
fn escape(after: &[u8]) -> Result<(u8, &[u8]), TargetError> {
    let [high, low, rest @ ..] = after else {
        return Err(TargetError::Escape);
    };
    match (hex_digit(*high), hex_digit(*low)) {
        (Some(high), Some(low)) if high | low != 0 => Ok((high << 4 | low, rest)),
        _ => Err(TargetError::Escape),
    }
}

/// The target as text, and where its first question mark stands. One pass over the bytes.
#[inline]
fn checked_text(bytes: &[u8]) -> Result<(&str, Option<usize>), TargetError> {
    let mut question = None;
    let mut at = 0;
    while at < bytes.len() {
        match CLASS[usize::from(bytes[at])] {
            Class::Plain => {}
            Class::Question => question = question.or(Some(at)),
            Class::Percent => {
                escape(&bytes[at + 1..])?;
                at += 2;
            }
            Class::Refused => return Err(TargetError::Byte),
        }
        at += 1;
    }
    // Cannot fail: the bytes are ASCII.
    let text = str::from_utf8(bytes).map_err(|_| TargetError::Byte)?;
    Ok((text, question))
}

#[inline]
fn split_at_question(text: &str, question: Option<usize>) -> (&str, Option<&str>) {
    match question {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}
