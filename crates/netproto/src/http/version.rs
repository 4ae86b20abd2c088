//! The protocol version of a message (RFC 9112 §2.3).

/// What the sender can do. A minor version above 1 is served as 1.1 is (RFC 9110 §2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0: no chunked coding, no persistence unless asked for.
    Http10,
    /// HTTP/1.1 and every later 1.x.
    Http11,
}

impl Version {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }
}

/// What stands where a version should stand.
pub(crate) enum VersionError {
    /// Not `HTTP/` DIGIT `.` DIGIT, which is case-sensitive.
    Malformed,
    /// Well formed, and not 1.x.
    Unsupported,
}

/// `HTTP-version` of RFC 9112 §2.3.
#[inline]
pub(crate) fn parse(bytes: &[u8]) -> Result<Version, VersionError> {
    match bytes {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            if *major == b'1' {
                Ok(Version::Http11)
            } else {
                Err(VersionError::Unsupported)
            }
        }
        _ => Err(VersionError::Malformed),
    }
}
