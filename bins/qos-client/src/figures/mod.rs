//! From what was sent and what came back to figures. Pure arithmetic: each figure is netstats' own,
//! and no clock is read.
//!
//! A [`trace`] goes in, whether a test left it or a capture was read; [`Figures`] come out. [`hops`]
//! are the figures of probes that were stamped on their way; [`trust`] says what a reader must know
//! before believing any of it.

pub mod hops;
pub mod trace;
pub mod trust;

use std::time::Duration;

use netstats::arrival::{Arrival, Arrivals, ReorderExtent};
use netstats::burst::Bursts;
use netstats::jitter::{InterarrivalJitter, ipdv_abs_mean};
use netstats::loss::{Interval, LossRuns, wilson};
use netstats::summary::Summary;
use netstats::throughput::Throughput;
use netstats::voice;

use trace::{Fate, Trace};

/// What stands around a UDP payload on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// 20 bytes of IP (RFC 791, no options) and 8 of UDP.
    Ipv4,
    /// 40 bytes of IP (RFC 8200, no extension) and 8 of UDP.
    Ipv6,
}

/// An Ethernet header and its check sequence, without preamble and gap.
const FRAME_BYTES: u64 = 18;
/// What an Ethernet frame carries; a larger packet is cut up, and its headers are not known.
const ETHERNET_MTU: u64 = 1500;

impl Carrier {
    /// That of an address.
    pub const fn of(address: std::net::SocketAddr) -> Carrier {
        match address {
            std::net::SocketAddr::V4(_) => Carrier::Ipv4,
            std::net::SocketAddr::V6(_) => Carrier::Ipv6,
        }
    }

    /// The bytes of an IP packet and of an Ethernet frame with so much payload; `None` where it
    /// would be cut up.
    pub fn bytes_around(self, payload: u64) -> Option<[u64; 2]> {
        let packet = payload + self.header_bytes();
        (packet <= ETHERNET_MTU).then_some([packet, packet + FRAME_BYTES])
    }

    const fn header_bytes(self) -> u64 {
        match self {
            Carrier::Ipv4 => 28,
            Carrier::Ipv6 => 48,
        }
    }
}

/// The figures of one series of probes. What its sample cannot support is `None`.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Probes that left this machine.
    pub sent: u32,
    /// Of these: answered in time.
    pub answered: u32,
    /// Answered after the loss deadline.
    pub late: u32,
    /// Never answered.
    pub lost: u32,
    /// Undecided when the user ended the test.
    pub in_flight: u32,
    /// Second and further copies of answers (RFC 5560).
    pub duplicates: u64,
    /// Probes of which further copies came.
    pub replicated: u32,
    /// Answers in time that a later one overtook (RFC 4737).
    pub reordered: u32,
    /// The most that one was overtaken by, in arrivals (RFC 4737 §4.2).
    pub reorder_extent_max: u64,
    /// `(lost + late) / (answered + late + lost)`, of 100.
    pub loss_pct: Option<f64>,
    /// Probes that are decided: what the loss is a share of.
    pub loss_n: u32,
    /// The Wilson 95 % interval of the loss, of 100.
    pub loss_ci_pct: Option<Interval>,
    /// Runs of consecutive losses (RFC 3357).
    pub loss_runs: LossRuns,
    /// Bursts and gaps (RFC 3611 §4.7.2).
    pub bursts: Bursts,
    /// UDP payload that was to be sent by schedule, in bits a second; `None` where the schedule is
    /// not known, as of a capture.
    pub offered_bps: Option<f64>,
    /// UDP payload sent, by the times of sending.
    pub sent_bps: Option<f64>,
    /// UDP payload received, every copy, in bits a second.
    pub achieved_bps: Option<f64>,
    /// The same with the headers of IP and UDP; `None` when packets were cut up.
    pub achieved_ip_bps: Option<f64>,
    /// The same in Ethernet frames, without preamble and gap.
    pub achieved_frame_bps: Option<f64>,
    /// UDP payload received, first copies only, in bits a second.
    pub goodput_bps: Option<f64>,
    /// Round trips answered in time.
    pub rtt: Summary,
    /// RFC 3550 §6.4.1, of the round trip.
    pub jitter: Option<Duration>,
    /// The differences that went into it.
    pub jitter_n: usize,
    /// Mean |ΔRTT| of consecutive sequence numbers.
    pub ipdv_abs_mean: Option<Duration>,
    /// The pairs that went into it.
    pub ipdv_n: usize,
    /// What a call would be like.
    pub voice: Option<Voice>,
}

/// The E-model's view of the path, with half the mean round trip as the delay of one way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Voice {
    /// The transmission rating, 0 to 100.
    pub r_factor: f64,
    /// The mean opinion score, 1 to 4.5.
    pub mos: f64,
    /// Losses in a row, by what chance would make of them.
    pub burst_ratio: f64,
}

impl Figures {
    /// Computes every figure of the trace.
    pub fn of(trace: &Trace, carrier: Carrier) -> Figures {
        let warmup = trace.warmup as usize;
        let fates = trace.fates();
        let was_lost = trace.missing(&fates);
        let fates = fates.get(warmup..).unwrap_or_default();
        let count = |wanted: fn(&Fate) -> bool| fates.iter().filter(|f| wanted(f)).count() as u32;
        let answered = count(|fate| matches!(fate, Fate::Answered(_)));
        let late = count(|fate| matches!(fate, Fate::Late(_)));
        let lost = count(|fate| matches!(fate, Fate::Lost));
        let decided = was_lost.clone().count() as u32;
        let missing = was_lost.clone().filter(|missing| *missing).count() as u32;
        let in_time = (0..).zip(fates).filter_map(|(sequence, fate)| match fate {
            Fate::Answered(rtt) => Some((sequence, *rtt)),
            _ => None,
        });
        let ipdv = ipdv_abs_mean(in_time.clone());
        let loss_runs = LossRuns::of(was_lost.clone());
        let mut figures = Figures {
            sent: count(|fate| !matches!(fate, Fate::Unsent)),
            answered,
            late,
            lost,
            in_flight: count(|fate| matches!(fate, Fate::InFlight)),
            loss_pct: (decided > 0).then(|| f64::from(missing) * 100.0 / f64::from(decided)),
            loss_n: decided,
            loss_ci_pct: wilson(missing.into(), decided.into()).map(|share| Interval {
                low: share.low * 100.0,
                high: share.high * 100.0,
            }),
            loss_runs,
            bursts: Bursts::of(was_lost),
            rtt: Summary::of(in_time.map(|(_, rtt)| rtt)),
            ipdv_abs_mean: ipdv.map(|(mean, _)| mean),
            ipdv_n: ipdv.map_or(0, |(_, pairs)| pairs),
            ..Figures::default()
        };
        figures.add_arrivals(trace, fates);
        figures.add_rates(trace, carrier);
        figures.voice = figures.voice();
        figures
    }

    /// What the order of arrival shows: the running jitter, reordering, further copies.
    fn add_arrivals(&mut self, trace: &Trace, fates: &[Fate]) {
        let mut jitter = InterarrivalJitter::new();
        let mut extent = ReorderExtent::new();
        let [mut copies, mut in_time] = std::array::from_fn(|_| Arrivals::new(fates.len() as u32));
        for answer in &trace.answers {
            let Some(sequence) = answer.sequence.checked_sub(trace.warmup) else {
                continue;
            };
            if copies.arrived(sequence) == Arrival::Duplicate {
                continue;
            }
            // A late answer counts as lost, so nothing overtook it.
            if let (Some(Fate::Answered(_)), Some(sent)) = (
                fates.get(sequence as usize),
                trace.departure(answer.sequence),
            ) {
                jitter.arrived(sent.at, answer.at);
                extent.arrived(sequence);
                in_time.arrived(sequence);
            }
        }
        self.jitter = jitter.jitter();
        self.jitter_n = jitter.n();
        self.duplicates = copies.duplicates() + trace.copies_not_kept;
        self.replicated = copies.replicated();
        self.reordered = in_time.reordered();
        self.reorder_extent_max = extent.longest();
    }

    /// How many bits a second went, and came.
    fn add_rates(&mut self, trace: &Trace, carrier: Carrier) {
        let [mut departed, mut achieved, mut ip, mut frames, mut goodput] =
            std::array::from_fn(|_| Throughput::new());
        let mut cut_up = false;
        for sent in trace.sent.iter().skip(trace.warmup as usize).flatten() {
            departed.received(sent.at, sent.bytes.into());
        }
        let mut first = Arrivals::new(trace.sent.len() as u32);
        for answer in &trace.answers {
            let Some(sent) = trace.departure(answer.sequence) else {
                continue;
            };
            if answer.sequence < trace.warmup {
                continue;
            }
            achieved.received(answer.at, sent.bytes.into());
            match carrier.bytes_around(sent.bytes.into()) {
                Some([packet, frame]) => {
                    ip.received(answer.at, packet);
                    frames.received(answer.at, frame);
                }
                None => cut_up = true,
            }
            if first.arrived(answer.sequence) != Arrival::Duplicate {
                goodput.received(answer.at, sent.bytes.into());
            }
        }
        self.sent_bps = departed.bps();
        self.achieved_bps = achieved.bps();
        self.goodput_bps = goodput.bps();
        if !cut_up {
            self.achieved_ip_bps = ip.bps();
            self.achieved_frame_bps = frames.bps();
        }
    }

    fn voice(&self) -> Option<Voice> {
        let (loss_pct, delay) = (self.loss_pct?, self.rtt.mean()? / 2);
        let burst_ratio = voice::burst_ratio(loss_pct, self.loss_runs.mean());
        let r_factor = voice::r_factor(delay, loss_pct, burst_ratio, voice::G711_PLC)?;
        Some(Voice {
            r_factor,
            mos: voice::mos(r_factor),
            burst_ratio,
        })
    }
}

#[cfg(test)]
mod tests;
