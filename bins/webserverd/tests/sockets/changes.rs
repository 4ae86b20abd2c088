//! Files that change while they are served: a correct answer, or one that is visibly cut.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use testkit::peer::read_to_end;

use crate::site::{NOTICED, PATIENCE, Site};

/// More than the buffers between a server and a client that does not read.
const LARGE: usize = 60_000_000;

/// A client in the middle of a large file.
struct Download {
    stream: TcpStream,
    /// What has come of the body.
    body: Vec<u8>,
}

/// Asks for `large.bin` and, behind it, for a small file; reads the head and a little.
fn begin(site: &Site) -> Download {
    let mut content = vec![b'o'; LARGE];
    content[LARGE - 1] = b'!';
    fs::write(site.path("large.bin"), content).unwrap();
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(
            b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n\
              GET /ten.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .unwrap();
    let mut received = Vec::new();
    let head_end = loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).unwrap();
        received.extend_from_slice(&chunk[..count]);
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&received[..head_end]).into_owned();
    assert!(
        head.contains(&format!("Content-Length: {LARGE}\r\n")),
        "{head}"
    );
    let body = received[head_end..].to_vec();
    Download { stream, body }
}

impl Download {
    fn rest(mut self) -> Vec<u8> {
        let rest = read_to_end(&mut self.stream).unwrap();
        assert!(rest.closed);
        self.body.extend_from_slice(&rest.received);
        self.body
    }

    /// The whole old file came, and the answer to the next request behind it.
    fn comes_whole_and_the_connection_goes_on(self) {
        let body = self.rest();
        assert!(body[..LARGE - 1].iter().all(|&byte| byte == b'o') && body[LARGE - 1] == b'!');
        let next = String::from_utf8_lossy(&body[LARGE..]);
        assert!(next.starts_with("HTTP/1.1 200 OK\r\n"), "{next}");
        assert!(next.ends_with("\r\n\r\n0123456789"), "{next}");
    }

    /// Less than was promised came, and then the end.
    fn ends_cut(self) {
        let body = self.rest();
        assert!(body.len() < LARGE, "{} bytes", body.len());
        assert!(
            !body.windows(8).any(|eight| eight == b"HTTP/1.1"),
            "an answer behind the cut"
        );
    }
}

#[test]
fn one_that_is_replaced_is_sent_to_its_end_as_it_was() {
    let site = Site::start();
    let download = begin(&site);
    fs::write(site.path("new.bin"), vec![b'n'; LARGE + 5]).unwrap();
    fs::rename(site.path("new.bin"), site.path("large.bin")).unwrap();
    download.comes_whole_and_the_connection_goes_on();
    std::thread::sleep(NOTICED);
    let last = site.ask("GET", "/large.bin", "Range: bytes=-1\r\n");
    assert_eq!((last.status, last.text().as_str()), (206, "n"));
}

#[test]
fn one_that_is_removed_is_sent_to_its_end() {
    let site = Site::start();
    let download = begin(&site);
    fs::remove_file(site.path("large.bin")).unwrap();
    download.comes_whole_and_the_connection_goes_on();
    std::thread::sleep(NOTICED);
    assert_eq!(site.get("/large.bin").status, 404);
}

#[test]
fn one_that_nobody_may_read_any_more_is_sent_to_its_end() {
    let site = Site::start();
    let download = begin(&site);
    fs::set_permissions(site.path("large.bin"), Permissions::from_mode(0o000)).unwrap();
    download.comes_whole_and_the_connection_goes_on();
    if rustix::process::geteuid().is_root() {
        println!("left out, as root may read everything: the 403 that follows");
        return;
    }
    std::thread::sleep(NOTICED);
    assert_eq!(site.get("/large.bin").status, 403);
}

#[test]
fn one_that_is_written_anew_and_longer_is_cut() {
    let site = Site::start();
    let download = begin(&site);
    fs::write(site.path("large.bin"), vec![b'n'; LARGE + 1]).unwrap();
    download.ends_cut();
}

/// It cannot be told from one that was written anew.
#[test]
fn one_that_grows_is_cut() {
    let site = Site::start();
    let download = begin(&site);
    let mut file = File::options()
        .append(true)
        .open(site.path("large.bin"))
        .unwrap();
    file.write_all(&vec![b'+'; 100_000]).unwrap();
    download.ends_cut();
}

#[test]
fn one_that_shrinks_is_cut() {
    let site = Site::start();
    let download = begin(&site);
    let file = site.edit("large.bin");
    file.set_len(1_000_000).unwrap();
    download.ends_cut();
}

#[test]
fn one_that_is_written_over_is_cut() {
    let site = Site::start();
    let download = begin(&site);
    let file = site.edit("large.bin");
    file.write_all_at(b"n", LARGE as u64 - 1).unwrap();
    download.ends_cut();
    // Asked for again, it is sent as it is now, from the first byte on.
    let whole = site.get("/large.bin");
    assert_eq!((whole.body.len(), whole.body[LARGE - 1]), (LARGE, b'n'));
}

#[test]
fn the_validators_of_a_large_file_are_those_of_its_bytes_at_once() {
    let site = Site::start();
    fs::write(site.path("large.bin"), vec![b'a'; 100_000]).unwrap();
    let mut tags = Vec::new();
    // Never waiting for what is remembered to be looked at again.
    for letter in b"abcdefgh" {
        let file = site.edit("large.bin");
        file.write_all_at(&vec![*letter; 100_000], 0).unwrap();
        // Longer than a step of the clock that files are stamped with.
        std::thread::sleep(Duration::from_millis(20));
        let answer = site.get("/large.bin");
        assert!(answer.body.iter().all(|byte| byte == letter));
        let tag = answer.field("ETag").unwrap().to_owned();
        assert!(!tags.contains(&tag), "{tag} for two contents");
        tags.push(tag);
    }
}

/// Asks for `small.txt` again and again while `write` makes another of it, given a letter that all
/// its bytes are to be. Every answer must be one of them, and the newest after a second.
fn torn(write: impl Fn(&Site, u8) + Sync) {
    let site = Site::start();
    write(&site, b'a');
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..60_u8 {
                write(&site, b'a' + round % 26);
                std::thread::sleep(Duration::from_millis(u64::from(round % 7) * 10));
            }
            let last = Instant::now();
            done.store(true, Ordering::Release);
            last
        });
        let mut seen = 0;
        while !done.load(Ordering::Acquire) {
            let answer = site.get("/small.txt");
            assert_eq!(answer.status, 200);
            let first = answer.body.first().copied().unwrap_or(b'?');
            let odd = answer.body.iter().filter(|&&byte| byte != first).count();
            assert_eq!(odd, 0, "bytes of another state");
            assert_eq!(answer.body.len(), LENGTH);
            seen += 1;
        }
        assert!(seen > 10, "{seen}");
        let last = writer.join().unwrap();
        std::thread::sleep(NOTICED.saturating_sub(last.elapsed()));
        assert_eq!(site.get("/small.txt").body[0], b'a' + 59 % 26);
    });
}

/// All states have the same length: another would tell what the times do not.
const LENGTH: usize = 60_000;

#[test]
fn a_small_file_that_is_written_in_place_is_never_seen_half_old_half_new() {
    torn(|site, letter| {
        let path = site.path("small.txt");
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        file.unwrap()
            .write_all_at(&vec![letter; LENGTH], 0)
            .unwrap();
    });
}

#[test]
fn a_small_file_that_is_replaced_by_renaming_is_never_seen_half_old_half_new() {
    torn(|site, letter| {
        let path = site.path("small.new");
        fs::write(&path, vec![letter; LENGTH]).unwrap();
        fs::rename(path, site.path("small.txt")).unwrap();
    });
}

#[test]
fn an_edited_file_is_never_served_stale_for_more_than_a_second() {
    let site = Site::start();
    let file = site.folder.path().join("root/ten.txt");
    for round in 0..3 {
        let text = format!("round {round}");
        fs::write(&file, &text).unwrap();
        let edited = Instant::now();
        while site.get("/ten.txt").text() != text {
            assert!(
                edited.elapsed() < Duration::from_secs(1),
                "still old in round {round}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    fs::remove_file(&file).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(site.get("/ten.txt").status, 404);
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_is_visibly_cut() {
    let site = Site::start();
    File::create(site.path("huge.bin"))
        .unwrap()
        .set_len(200_000_000)
        .unwrap();
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(
            b"GET /huge.bin HTTP/1.1\r\nHost: a\r\n\r\nGET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .unwrap();
    let mut start = vec![0; 1000];
    stream.read_exact(&mut start).unwrap();
    site.edit("huge.bin").set_len(1_000_000).unwrap();
    let rest = testkit::peer::read_to_end(&mut stream).unwrap();
    assert!(rest.closed);
    assert!(rest.received.len() < 200_000_000, "{}", rest.received.len());
    assert!(
        !rest.text().contains("HTTP/1.1"),
        "nothing follows what was cut"
    );
}
