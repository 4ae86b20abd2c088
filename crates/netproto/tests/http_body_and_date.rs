//! Bodies and dates against the examples of RFC 9110 and RFC 9112 and hand arithmetic.

use netproto::http::body::{BodyDecoder, BodyError, BodyFraming, chunk_size_line};
use netproto::http::date;
use netproto::http::limits::Limits;

/// Decodes everything in one input; gives the payload and how many bytes the body took.
fn decode(framing: BodyFraming, input: &[u8]) -> Result<(Vec<u8>, usize, bool), BodyError> {
    let mut decoder = BodyDecoder::new(framing, &Limits::DEFAULT)?;
    let (mut payload, mut position) = (Vec::new(), 0);
    while position < input.len() && !decoder.is_done() {
        let decoded = decoder.decode(&input[position..])?;
        payload.extend_from_slice(&input[position..][decoded.data]);
        position += decoded.consumed;
    }
    Ok((payload, position, decoder.is_done()))
}

#[test]
fn a_chunked_body_is_taken_apart() {
    let chunked = |text: &'static str| decode(BodyFraming::Chunked, text.as_bytes());
    let whole = b"Wikipedia".to_vec();
    for text in [
        "4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n",
        "4;a\r\nWiki\r\n5;a=b;c=\"d \\\" ;\"\r\npedia\r\n00;x\r\nTrailer: value\r\nEmpty:\r\n\r\n",
        "0004 ;a = b ; c\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n",
    ] {
        assert_eq!(
            chunked(text),
            Ok((whole.clone(), text.len(), true)),
            "{text:?}"
        );
    }
    // What follows belongs to the next message.
    let next = "1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
    assert_eq!(chunked(next), Ok((b"a".to_vec(), 11, true)));
}

#[test]
fn a_malformed_chunk_is_refused() {
    for (text, error) in [
        ("\r\n", BodyError::ChunkSize),
        ("+5\r\nhello\r\n", BodyError::ChunkSize),
        ("0x5\r\nhello\r\n", BodyError::ChunkSize),
        (" 5\r\nhello\r\n", BodyError::ChunkSize),
        ("5 \r\nhello\r\n", BodyError::ChunkSize),
        ("5\nhello\r\n", BodyError::ChunkSize),
        ("5\r\r\nhello\r\n", BodyError::ChunkSize),
        ("5\rxhello\r\n", BodyError::ChunkSize),
        ("10000000000000005\r\nhello\r\n", BodyError::ChunkSize),
        ("ffffffffffffffff\r\nhello\r\n", BodyError::TooLarge),
        ("5\r\nhello\n", BodyError::ChunkEnd),
        ("5\r\nhelloX\r\n", BodyError::ChunkEnd),
        ("5\r\nhello\rX", BodyError::ChunkEnd),
        ("5;\r\nhello\r\n", BodyError::ChunkExtension),
        ("5;a\nhello\r\n", BodyError::ChunkExtension),
        ("5;a=\r\nhello\r\n", BodyError::ChunkExtension),
        ("5;a b\r\nhello\r\n", BodyError::ChunkExtension),
        ("5;a=\"b\nc\"\r\n", BodyError::ChunkExtension),
        ("5;a=b \r\nhello\r\n", BodyError::ChunkExtension),
        ("0\r\nName : x\r\n\r\n", BodyError::Trailer),
        ("0\r\n folded\r\n\r\n", BodyError::Trailer),
        ("0\r\nName: x\n\r\n", BodyError::Trailer),
        ("0\r\nName: \0\r\n\r\n", BodyError::Trailer),
        ("0\r\n\n", BodyError::Trailer),
    ] {
        assert_eq!(
            decode(BodyFraming::Chunked, text.as_bytes()),
            Err(error),
            "{text:?}"
        );
    }
}

#[test]
fn the_limits_hold_over_all_chunks() {
    let extension = format!("1;{}\r\na\r\n", "x".repeat(1000)).repeat(5);
    assert_eq!(
        decode(BodyFraming::Chunked, extension.as_bytes()),
        Err(BodyError::ChunkExtensionsTooLong)
    );
    let trailers = format!("0\r\n{}\r\n", "a: b\r\n".repeat(101));
    assert_eq!(
        decode(BodyFraming::Chunked, trailers.as_bytes()),
        Err(BodyError::TrailersTooLong)
    );
    let long = format!("0\r\na: {}\r\n\r\n", "b".repeat(8 * 1024));
    assert_eq!(
        decode(BodyFraming::Chunked, long.as_bytes()),
        Err(BodyError::TrailersTooLong)
    );
    let limits = Limits {
        body_bytes: 7,
        ..Limits::DEFAULT
    };
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked, &limits).unwrap();
    assert_eq!(decoder.decode(b"4\r\nWiki").unwrap().data, 3..7);
    assert_eq!(decoder.decode(b"\r\n4\r\n"), Err(BodyError::TooLarge));
    assert_eq!(decoder.decode(b""), Err(BodyError::TooLarge));
    assert_eq!(decoder.end_of_input(), Err(BodyError::TooLarge));
    assert_eq!(
        BodyDecoder::new(BodyFraming::Length(8), &limits).err(),
        Some(BodyError::TooLarge)
    );
    let mut until_close = BodyDecoder::new(BodyFraming::UntilClose, &limits).unwrap();
    assert_eq!(until_close.decode(b"1234567").unwrap().data, 0..7);
    assert_eq!(until_close.clone().end_of_input(), Ok(()));
    assert_eq!(until_close.decode(b"8"), Err(BodyError::TooLarge));
}

#[test]
fn a_body_that_ends_early_was_cut_short() {
    for (framing, input) in [
        (BodyFraming::Length(5), "hell"),
        (BodyFraming::Chunked, ""),
        (BodyFraming::Chunked, "4\r\nWiki\r\n0\r\n"),
    ] {
        let mut decoder = BodyDecoder::new(framing, &Limits::DEFAULT).unwrap();
        let mut input = input.as_bytes();
        while !input.is_empty() {
            input = &input[decoder.decode(input).unwrap().consumed..];
        }
        assert_eq!(decoder.end_of_input(), Err(BodyError::CutShort));
    }
}

#[test]
fn chunk_sizes_are_written_in_hexadecimal() {
    for (len, line) in [
        (1, "1\r\n"),
        (15, "f\r\n"),
        (16, "10\r\n"),
        (0x1_0000, "10000\r\n"),
        (0, ""),
    ] {
        let mut out = Vec::new();
        chunk_size_line(len, &mut out);
        assert_eq!(out, line.as_bytes());
    }
}

/// Sun, 06 Nov 1994 08:49:37 GMT (`date -u -d ... +%s`), RFC 9110's own example.
const EXAMPLE: u64 = 784_111_777;
/// Sun, 22 Nov 2026 00:00:00 GMT
const NOW: u64 = 1_795_305_600;

#[test]
fn the_three_date_forms_are_read() {
    for text in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "sUN, 06 nOV 1994 08:49:37 gmt",
    ] {
        assert_eq!(date::parse(text.as_bytes(), NOW), Some(EXAMPLE), "{text}");
    }
    for (text, seconds) in [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Wed, 31 Dec 1969 23:59:59 GMT", 0),
        ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
        ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        // Not more than fifty years ahead of NOW, and just more.
        ("Saturday, 21-Nov-76 00:00:00 GMT", 3_373_142_400),
        ("Tuesday, 23-Nov-76 00:00:00 GMT", 217_555_200),
    ] {
        assert_eq!(date::parse(text.as_bytes(), NOW), Some(seconds), "{text}");
    }
}

#[test]
fn what_is_not_an_http_date_is_none() {
    for text in [
        "",
        "0",
        "-1",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun,  06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Thu, 29 Feb 2001 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Foo, 06 Nov 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
        "06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "1994-11-06T08:49:37Z",
    ] {
        assert_eq!(date::parse(text.as_bytes(), NOW), None, "{text:?}");
    }
}

#[test]
fn dates_are_written_as_imf_fixdate() {
    for (seconds, text) in [
        (EXAMPLE, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (951_825_600, "Tue, 29 Feb 2000 12:00:00 GMT"),
        (NOW, "Sun, 22 Nov 2026 00:00:00 GMT"),
        (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ] {
        assert_eq!(str::from_utf8(&date::write(seconds)), Ok(text));
    }
}
