//! What the engine counts on: an ordinary message is parsed without touching the heap.

use allocation_counter::measure;
use netproto::http::Status;
use netproto::http::body::{BodyDecoder, BodyFraming};
use netproto::http::fields::FieldSlots;
use netproto::http::head::RequestHead;
use netproto::http::limits::Limits;
use netproto::http::target::file_path;

#[test]
fn an_ordinary_request_is_parsed_without_allocating() {
    // Sixteen fields: as many as browsers send.
    let text = format!(
        "GET /a/b.html?c=d HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n{}\r\n",
        "Accept-Language: en-GB,en;q=0.9\r\n".repeat(14)
    );
    let allocations = measure(|| {
        let mut slots = FieldSlots::new();
        let parsed = RequestHead::parse(text.as_bytes(), &mut slots, &Limits::DEFAULT);
        let Ok(Status::Complete(head)) = parsed else {
            panic!("{parsed:?}");
        };
        assert_eq!(head.fields.members("accept-language").count(), 28);
        assert_eq!(
            file_path(head.target.path().unwrap()).as_deref(),
            Ok("/a/b.html")
        );
    });
    assert_eq!(allocations.count_total, 0);
}

#[test]
fn a_chunked_body_is_decoded_without_allocating() {
    let body = "5;a=b\r\nhello\r\n".repeat(100) + "0\r\nX: y\r\n\r\n";
    let allocations = measure(|| {
        let mut decoder = BodyDecoder::new(BodyFraming::Chunked, &Limits::DEFAULT).unwrap();
        let mut rest = body.as_bytes();
        while !decoder.is_done() {
            rest = &rest[decoder.decode(rest).unwrap().consumed..];
        }
        assert!(rest.is_empty());
    });
    assert_eq!(allocations.count_total, 0);
}
