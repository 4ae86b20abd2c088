//! CSV: a row for each thing that happened to a probe.

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use netproto::icmp::Version;

use super::{Event, sent_word, source_word, unix_seconds};
use crate::words::describe;

const HEADER: [&str; 11] = [
    "time_unix_s",
    "sequence",
    "state",
    "from",
    "bytes",
    "ttl",
    "rtt_ms",
    "queued_ms",
    "sent_clock",
    "received_clock",
    "error",
];

#[derive(Debug)]
pub(super) struct Csv<W: Write> {
    out: csv::Writer<W>,
    target: IpAddr,
}

impl<W: Write> Csv<W> {
    pub(super) fn new(target: IpAddr, out: W) -> Csv<W> {
        let out = csv::Writer::from_writer(out);
        Csv { out, target }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub(super) fn header(&mut self) -> io::Result<()> {
        self.out.write_record(HEADER)?;
        self.out.flush()
    }

    pub(super) fn event(&mut self, event: &Event) -> io::Result<()> {
        let blank = String::new;
        let row = match event {
            Event::Sent | Event::Outstanding { .. } | Event::Status(_) => return Ok(()),
            Event::End(_) => return self.out.flush(),
            Event::Reply(reply) => [
                format!("{:.6}", unix_seconds(reply.wall)),
                reply.sequence.to_string(),
                reply.fate.word().to_owned(),
                reply.from.to_string(),
                reply.len.to_string(),
                reply.ttl.map_or_else(blank, |ttl| ttl.to_string()),
                reply.trip.map_or_else(blank, |trip| ms(trip.rtt)),
                reply
                    .trip
                    .and_then(|trip| trip.queued)
                    .map_or_else(blank, ms),
                reply
                    .trip
                    .map_or_else(blank, |trip| sent_word(trip).to_owned()),
                source_word(reply.stamped_by).to_owned(),
                blank(),
            ],
            Event::Error {
                wall,
                from,
                sequence,
                reason,
            } => {
                let mut row = without_reply(sequence.to_string(), "error");
                row[0] = format!("{:.6}", unix_seconds(*wall));
                row[3] = from.to_string();
                row[10] = describe(Version::of(self.target), *reason);
                row
            }
            Event::NotSent(error) => {
                let mut row = without_reply(blank(), "not_sent");
                row[10].clone_from(error);
                row
            }
            Event::Unanswered {
                sequence,
                in_flight,
            } => {
                let state = if *in_flight { "in_flight" } else { "lost" };
                without_reply(sequence.to_string(), state)
            }
        };
        Ok(self.out.write_record(row)?)
    }
}

fn without_reply(sequence: String, state: &str) -> [String; 11] {
    let mut row: [String; 11] = Default::default();
    row[1] = sequence;
    state.clone_into(&mut row[2]);
    row
}

fn ms(duration: Duration) -> String {
    format!("{:.6}", duration.as_nanos() as f64 / 1e6)
}
