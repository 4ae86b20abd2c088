//! What the fuzz target does with a file: all that `analyze` makes of a capture, read whole and in
//! pieces. The ordinary tests replay the corpus with the same function (`capture_corpus.rs`).

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use qos_client::capture::analysis::Analysis;
use qos_client::report::capture_screen;
use qos_client::report::events::{self, Event};
use qos_client::report::flow::{self, Capture};

const LOSS_DEADLINE: Duration = Duration::from_secs(2);
/// The shortest packet of either format: its header in a pcap file, without a byte captured.
const SHORTEST_PACKET: u64 = 16;

/// A file that comes in pieces of this many bytes, as a pipe may.
struct Pieces<'f> {
    rest: &'f [u8],
    step: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let step = self.step.min(into.len());
        self.rest.read(&mut into[..step])
    }
}

/// What `analyze` prints, and what `analyze --json` does; `None` for what is no capture.
pub fn analyzed(file: impl Read) -> Option<(Vec<u8>, Vec<u8>)> {
    Analysis::of_source(file).map(|read| printed(&read))
}

fn printed(read: &Analysis) -> (Vec<u8>, Vec<u8>) {
    let udp = read.udp(LOSS_DEADLINE);
    let (mut screen, mut json) = (Vec::new(), Vec::new());
    let path = Path::new("capture");
    capture_screen::analysis(&mut screen, path, read, &udp, LOSS_DEADLINE).unwrap();
    let capture = Event::Capture(Capture::of(path, read));
    events::write(&mut json, &capture).unwrap();
    for flow in flow::flows(&udp, read.conversations.tcp()) {
        events::write(&mut json, &Event::Flow(flow)).unwrap();
    }
    (screen, json)
}

/// A capture gives the same however its bytes come, and no more than they are worth.
pub fn capture(bytes: &[u8]) {
    let step = 1 + bytes.len() % 61;
    let in_pieces = analyzed(Pieces { rest: bytes, step });
    let Some(read) = Analysis::of_source(bytes) else {
        return assert_eq!(in_pieces, None);
    };
    assert_eq!(in_pieces, Some(printed(&read)));
    assert!(read.ended.packets <= bytes.len() as u64 / SHORTEST_PACKET);
    for udp in read.conversations.udp() {
        assert!(udp.there.packets + udp.back.packets <= read.ended.packets);
        for probes in &udp.probes {
            let (trace, _) = probes.trace(LOSS_DEADLINE, 0);
            // A place for each packet, and one before it for what is not there.
            assert!(trace.sent.len() as u64 <= 2 * read.ended.packets);
        }
    }
}
