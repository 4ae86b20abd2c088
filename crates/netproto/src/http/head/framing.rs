//! What the fields of any head say about the message's body and about the connection.

use super::error::HeadError;
use crate::http::body::BodyFraming;
use crate::http::fields::{Fields, Members};
use crate::http::grammar::{is_token, parse_digits, trim_blanks};
use crate::http::version::Version;

/// What one pass over the fields finds.
#[derive(Debug, Default)]
pub(super) struct Framing<'b> {
    /// The body that the fields announce: a length or chunks.
    pub(super) announced: Option<BodyFraming>,
    pub(super) host: Option<&'b [u8]>,
    pub(super) has_expect: bool,
    close: bool,
    keep_alive: bool,
}

impl<'b> Framing<'b> {
    /// Reads the fields that every recipient must understand. Lengths sort out nearly every other
    /// name before it is compared.
    #[inline]
    pub(super) fn read(
        fields: &Fields<'_, 'b>,
        version: Version,
    ) -> Result<Framing<'b>, HeadError> {
        let mut framing = Framing::default();
        let mut content_length = None;
        let mut has_transfer_encoding = false;
        for (name, value) in fields.iter() {
            match name.len() {
                4 if name.eq_ignore_ascii_case("host") => framing.host(value)?,
                6 if name.eq_ignore_ascii_case("expect") => framing.has_expect = true,
                10 if name.eq_ignore_ascii_case("connection") => framing.connection(value),
                14 if name.eq_ignore_ascii_case("content-length") => {
                    let length = parse_digits(value).ok_or(HeadError::ContentLength)?;
                    if content_length.replace(length).is_some() {
                        return Err(HeadError::ContentLength);
                    }
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    has_transfer_encoding = true;
                }
                _ => {}
            }
        }
        if has_transfer_encoding {
            if version == Version::Http10 {
                return Err(HeadError::TransferEncodingOn10);
            }
            if content_length.is_some() {
                return Err(HeadError::TransferEncodingWithContentLength);
            }
            transfer_encoding_is_chunked(fields)?;
            framing.announced = Some(BodyFraming::Chunked);
        } else {
            framing.announced = content_length.map(BodyFraming::Length);
        }
        Ok(framing)
    }

    /// Whether the connection may carry another message after this one (RFC 9112 §9.3).
    pub(super) fn persistent(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    fn host(&mut self, value: &'b [u8]) -> Result<(), HeadError> {
        match self.host.replace(value) {
            None => Ok(()),
            Some(_) => Err(HeadError::SeveralHosts),
        }
    }

    fn connection(&mut self, value: &[u8]) {
        for option in Members::of(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }
}

/// Takes exactly `chunked`; says of anything else whether it is wrong or only unknown
/// (RFC 9112 §6.1, §6.3).
fn transfer_encoding_is_chunked(fields: &Fields<'_, '_>) -> Result<(), HeadError> {
    let mut chunked_before = false;
    let mut unknown = false;
    for value in fields.all("transfer-encoding") {
        for coding in value.split(|&byte| byte == b',') {
            let coding = trim_blanks(coding);
            let name = coding.split(|&byte| byte == b';').next();
            if chunked_before || !is_token(trim_blanks(name.unwrap_or_default())) {
                return Err(HeadError::TransferEncoding);
            }
            chunked_before = coding.eq_ignore_ascii_case(b"chunked");
            unknown |= !chunked_before;
        }
    }
    match (unknown, chunked_before) {
        (false, true) => Ok(()),
        (true, _) => Err(HeadError::UnknownTransferCoding),
        (false, false) => Err(HeadError::TransferEncoding),
    }
}
