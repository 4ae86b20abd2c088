//! The loop that moves datagrams between the session and the socket.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::mpsc::SyncSender;
use std::time::{Instant, SystemTime};

use anyhow::Result;
use netio::icmp::open::words;
use netio::icmp::route::known_mtu;
use netio::icmp::wait::{Signals, wait};
use netio::icmp::{Binding, Endpoint, Notice, SocketKind, Stamp, StampSource};
use netproto::icmp::{Reason, Version};

use crate::config::{Format, Output};
use crate::report::{Event, Reply, ReplyFate};
use crate::session::{Session, Summary, Verdict};
use crate::wire::{Damage, Incoming, Wire};

/// How many datagrams are sent or read before the other is given its turn.
const BATCH: usize = 64;
/// How many sends wait at most for the kernel to say when they left.
const AWAITING_DEPARTURE: usize = 1024;

const TOO_LONG: i32 = rustix::io::Errno::MSGSIZE.raw_os_error();

/// What the loop works with.
pub(crate) struct Probing<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) target: SocketAddr,
    /// Whether several hosts may answer.
    pub(crate) of_many: bool,
    pub(crate) binding: Binding,
    pub(crate) wire: Wire,
    pub(crate) session: Session,
    pub(crate) signals: &'a Signals,
    pub(crate) events: SyncSender<Vec<Event>>,
    pub(crate) output: Output,
    /// The ids of sends, each with the number of its probe.
    pub(crate) departing: VecDeque<(u32, u64)>,
    /// Where probes are written.
    pub(crate) request: Vec<u8>,
    /// Events that the report has not been told of yet.
    pub(crate) untold: Vec<Event>,
}

/// A datagram that concerns the session.
struct Arrival {
    from: IpAddr,
    ttl: Option<u8>,
    stamp: Stamp,
    incoming: Incoming,
}

impl Probing<'_> {
    /// Probes until the session is over.
    pub(crate) fn run(mut self) -> Result<Summary> {
        loop {
            let now = Instant::now();
            if self.signals.stop() {
                self.session.stop(now);
            }
            if self.signals.take_status() {
                self.tell(Event::Status(self.session.summary(now)));
            }
            if self.session.is_over(now) {
                let summary = self.session.summary(now);
                if matches!(self.output.format, Format::Json | Format::Csv) {
                    for (number, in_flight) in self.session.unanswered(now) {
                        let sequence = number as u16;
                        self.tell(Event::Unanswered {
                            sequence,
                            in_flight,
                        });
                    }
                }
                self.tell(Event::End(summary.clone()));
                self.tell_all();
                return Ok(summary);
            }
            for _ in 0..BATCH {
                let Some(number) = self.session.poll_send(Instant::now()) else {
                    break;
                };
                self.send(number)?;
            }
            // On a fast path the answer is there already: no need to ask whether it is.
            if self.receive()? {
                continue;
            }
            self.tell_all();
            let now = Instant::now();
            if !self.session.is_over(now) && self.session.poll_send(now).is_none() {
                let until = self.session.next_wake();
                wait(&[self.endpoint.as_fd()], self.signals, until)?;
                self.receive()?;
            }
        }
    }

    fn send(&mut self, number: u64) -> Result<()> {
        if self.output.outstanding
            && let Some(sequence) = self.session.outstanding()
        {
            let wall = SystemTime::now();
            self.tell(Event::Outstanding { wall, sequence });
        }
        self.wire.request(number as u16, &mut self.request)?;
        match self.endpoint.send(&self.request, self.target) {
            Ok(sent) => {
                self.session.on_sent(sent.at);
                if self.departures_count() {
                    if self.departing.len() == AWAITING_DEPARTURE {
                        self.departing.pop_front();
                    }
                    self.departing.push_back((sent.id, number));
                }
                self.tell(Event::Sent);
            }
            Err(error) if is_full(&error) => self.session.on_send_blocked(Instant::now()),
            Err(error) => {
                self.session.on_send_failed(Instant::now());
                if error.raw_os_error() != Some(TOO_LONG) {
                    self.tell(Event::NotSent(format!("sendmsg: {}", words(&error))));
                } else if self.endpoint.kind() == SocketKind::IcmpRaw {
                    // On a datagram socket, the error queue tells it.
                    let version = self.endpoint.version();
                    let mtu = known_mtu(self.target, &self.binding).unwrap_or_default();
                    self.session.on_local_error();
                    self.tell(Event::NotSent(local_error(version, &error, mtu)));
                }
            }
        }
        Ok(())
    }

    /// A flood asks when its probes leave until the neighbour's address is known, which is what
    /// the departures tell apart, and then takes the times of its calls.
    fn departures_count(&self) -> bool {
        let fast = self.output.flood && self.session.has_answer();
        !fast && !self.output.user_latency
    }

    /// Reads what has come; whether that was anything. A reply's departure was told before it
    /// arrived, so the error queue is read after the replies and heard before them.
    fn receive(&mut self) -> Result<bool> {
        let mut arrivals = Vec::new();
        let mut read = 0;
        // The last read of a full round would only say that there is nothing more.
        while read < BATCH && (read == 0 || self.session.on_their_way() > arrivals.len() as u64) {
            let Some(received) = self.endpoint.receive()? else {
                break;
            };
            read += 1;
            if let Some(incoming) = self.wire.read(received.bytes) {
                arrivals.push(Arrival {
                    from: received.from.ip(),
                    ttl: received.ttl,
                    stamp: if self.output.user_latency {
                        Stamp {
                            at: Instant::now(),
                            source: StampSource::Program,
                        }
                    } else {
                        received.stamp
                    },
                    incoming,
                });
            }
        }
        let departures_counted = self.departures_count();
        // An error comes instead of a reply.
        let look_for_errors = read == 0 || !self.departing.is_empty();
        if look_for_errors {
            read += self.take_notices(&mut arrivals)?;
        }
        for arrival in &arrivals {
            self.hear(arrival);
        }
        if departures_counted && !self.departures_count() {
            self.endpoint.ignore_departures()?;
            self.departing.clear();
        }
        Ok(read > 0)
    }

    /// Empties the error queue; how many entries it had.
    fn take_notices(&mut self, arrivals: &mut Vec<Arrival>) -> Result<usize> {
        let mut taken = 0;
        while let Some(notice) = self.endpoint.notice()? {
            taken += 1;
            match notice {
                Notice::Transmitted { id, at } => {
                    if let Some(at_in_queue) = self.departing.iter().position(|d| d.0 == id) {
                        let (_, number) = self.departing[at_in_queue];
                        self.departing.drain(..=at_in_queue);
                        self.session.on_left(number, at);
                    }
                }
                Notice::Refused {
                    offender,
                    reason,
                    destination,
                    quoted,
                    ttl,
                    stamp,
                } => arrivals.extend(self.wire.read_quoted(destination.ip(), reason, quoted).map(
                    |incoming| Arrival {
                        from: offender,
                        ttl,
                        stamp,
                        incoming,
                    },
                )),
                Notice::Local { error, mtu } => {
                    self.session.on_local_error();
                    let version = self.endpoint.version();
                    self.tell(Event::NotSent(local_error(version, &error, mtu)));
                }
            }
        }
        Ok(taken)
    }

    fn hear(&mut self, arrival: &Arrival) {
        let wall = SystemTime::now();
        match arrival.incoming {
            Incoming::Reply {
                sequence,
                len,
                damage,
                interface,
            } => {
                let sequence = self.whole_number(sequence);
                // A probe without room for the nonce is only known by its number, and by whom it
                // was sent to.
                let elsewhere = arrival.from != self.target.ip() && !self.of_many;
                if elsewhere && !self.wire.has_whole_nonce() {
                    return;
                }
                let verdict = if damage == Some(Damage::Checksum) {
                    self.session.on_corrupt_reply();
                    None
                } else {
                    Some(self.session.on_reply(sequence, arrival.stamp.at))
                };
                if damage.is_some_and(|damage| damage != Damage::Checksum) {
                    self.session.on_damaged_reply();
                }
                let (trip, fate) = match verdict {
                    Some(Verdict::Unknown) => return,
                    Some(Verdict::Answered {
                        trip,
                        late,
                        reordered,
                    }) => {
                        let fate = match (late, reordered) {
                            (true, _) => ReplyFate::Late,
                            (_, true) => ReplyFate::Reordered,
                            _ => ReplyFate::Answered,
                        };
                        (Some(trip), fate)
                    }
                    Some(Verdict::Duplicate { trip }) => (Some(trip), ReplyFate::Duplicate),
                    None => (None, ReplyFate::Corrupt),
                };
                if verdict.is_some() && interface.is_some_and(|state| !state.is_active()) {
                    self.session.on_denial();
                }
                self.tell(Event::Reply(Reply {
                    wall,
                    from: arrival.from,
                    len,
                    sequence,
                    ttl: arrival.ttl,
                    trip,
                    stamped_by: arrival.stamp.source,
                    fate,
                    damage,
                    interface,
                }));
            }
            Incoming::Error {
                sequence,
                destination,
                reason,
            } => {
                if destination != self.target.ip() {
                    return;
                }
                let sequence = self.whole_number(sequence);
                // A redirect or a source quench is advice: the probe went on its way.
                let advice = matches!(reason, Reason::Redirect(_) | Reason::SourceQuench { .. });
                if advice || self.session.on_error(sequence) {
                    self.tell(Event::Error {
                        wall,
                        from: arrival.from,
                        sequence,
                        reason,
                    });
                }
            }
        }
    }

    fn whole_number(&self, sequence: u16) -> u16 {
        if self.wire.numbers_are_octets() {
            self.session.latest_with_octet(sequence as u8)
        } else {
            sequence
        }
    }

    fn tell(&mut self, event: Event) {
        let shown = !self.output.quiet || matches!(event, Event::Status(_) | Event::End(_));
        // Only a flood and a chart have a mark for a probe.
        let marked = self.output.flood || self.output.format == Format::Graph;
        let dull = matches!(event, Event::Sent) && !marked;
        if shown && !dull {
            self.untold.push(event);
            if self.untold.len() >= BATCH {
                self.tell_all();
            }
        }
    }

    fn tell_all(&mut self) {
        // The report has ended when nobody reads the output any more.
        if !self.untold.is_empty() && self.events.send(std::mem::take(&mut self.untold)).is_err() {
            self.session.stop(Instant::now());
        }
    }
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    const NO_BUFFERS: i32 = rustix::io::Errno::NOBUFS.raw_os_error();
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(NO_BUFFERS)
}

fn local_error(version: Version, error: &io::Error, mtu: u32) -> String {
    if error.raw_os_error() == Some(TOO_LONG) {
        // iputils has a sign for each version.
        let sign = match version {
            Version::V4 => "=",
            Version::V6 => ": ",
        };
        format!("local error: message too long, mtu{sign}{mtu}")
    } else {
        format!("local error: {}", words(error))
    }
}
