//! What the parse of one head costs, beside httparse alone on the same bytes.
//! `cargo bench -p netproto`; `scripts/bench` measures the daemons.

use std::hint::black_box;
use std::mem::MaybeUninit;

use divan::Bencher;
use netproto::http::fields::FieldSlots;
use netproto::http::head::{RequestHead, ResponseHead};
use netproto::http::limits::Limits;
use netproto::http::method::Method;

/// What wrk sends.
const WRK: &str = "GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nAccept: */*\r\n\
                   User-Agent: wrk/4.2.0\r\n\r\n";

/// What Chromium sends when it loads a page anew: 15 fields.
const BROWSER: &str = "GET /articles/2026/network-lab?utm_source=newsletter&page=2 HTTP/1.1\r\n\
    Host: www.example.org\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: max-age=0\r\n\
    sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/130.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Site: none\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-User: ?1\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Cookie: session=3f2a9c5be1d74c0d8a6b; theme=dark\r\n\r\n";

/// What a small server answers.
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\nContent-Length: 1024\r\nETag: \"5d8c72a5edda8\"\r\n\
    Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nCache-Control: max-age=60\r\n\r\n";

fn main() {
    divan::main();
}

fn sent_by(client: &str) -> &'static str {
    if client == "wrk" { WRK } else { BROWSER }
}

#[divan::bench(args = ["wrk", "browser"])]
fn request(bencher: Bencher<'_, '_>, client: &str) {
    let input = sent_by(client);
    bencher.bench_local(|| {
        let mut slots = FieldSlots::new();
        let head = RequestHead::parse(black_box(input.as_bytes()), &mut slots, &Limits::DEFAULT);
        assert!(black_box(&head).is_ok());
    });
}

#[divan::bench(args = ["wrk", "browser"])]
fn request_by_httparse_alone(bencher: Bencher<'_, '_>, client: &str) {
    let input = sent_by(client);
    bencher.bench_local(|| {
        let mut slots = [const { MaybeUninit::uninit() }; 100];
        let mut request = httparse::Request::new(&mut []);
        let status = request.parse_with_uninit_headers(black_box(input.as_bytes()), &mut slots);
        black_box(&request);
        assert!(status.is_ok());
    });
}

#[divan::bench]
fn response(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| {
        let mut slots = FieldSlots::new();
        let head = ResponseHead::parse(
            black_box(RESPONSE.as_bytes()),
            &mut slots,
            &Limits::DEFAULT,
            &Method::Get,
        );
        assert!(black_box(&head).is_ok());
    });
}
