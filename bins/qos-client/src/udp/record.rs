//! What a UDP test leaves, before any arithmetic; and the whole result of one.

use std::net::SocketAddr;
use std::time::Duration;

use netio::urgency::Urgency;
use netstats::summary::Summary;

use super::{Plan, Run, pattern};
use crate::figures::hops::{Hops, Stamped};
use crate::figures::trace::{Fate, Trace};
use crate::figures::trust::{self, Conduct};
use crate::figures::{Carrier, Figures};

/// The whole of one test. Times are monotonic, since an origin that is the same for all of them.
#[derive(Debug, Clone)]
pub struct Record {
    /// Where the probes came from.
    pub local: SocketAddr,
    /// Where they went.
    pub address: SocketAddr,
    /// What was ordered.
    pub plan: Plan,
    /// What it is recognised by.
    pub run: Run,
    /// What this client's probes are recognised by.
    pub nonce: u64,
    /// The wall clock at a moment of the test, to label times with.
    pub wall: WallClock,
    /// What was sent and what came back, the warm-up included.
    pub trace: Trace,
    /// Answers with the stamps of the nodes on their way, where these were asked for; first copies
    /// only, without the warm-up.
    pub stamped: Vec<Stamped>,
    /// Answers by the DSCP that they came back with; empty where the kernel does not tell.
    pub dscp_returned: Vec<(u8, u32)>,
    /// Answers that came back damaged or cut; without those that say they are of the warm-up.
    pub corrupt: u64,
    /// Datagrams that were not of this test.
    pub strays: u64,
    /// ICMP errors that came back after the target had answered.
    pub refusals: u32,
    /// Probes that this machine did not let out, the warm-up left out.
    pub local_drops: u32,
    /// Answers that this machine dropped because its queue was full, the warm-up left out.
    pub receive_drops: u32,
    /// Answers whose time was taken by the kernel, and those of which the program took it.
    pub stamped_by: StampedBy,
    /// How urgently the kernel ran the thread that sent them, where it was asked to.
    pub urgency: Option<Urgency>,
    /// What a hypervisor took of this machine's processors meanwhile, where the system tells.
    pub stolen: Option<Duration>,
    /// How long after its deadline each probe was sent, the warm-up left out.
    pub pacing_errors: Vec<Duration>,
    /// Probes that were sent only when the next one was already due.
    pub missed_slots: u32,
    /// Whether the user ended it early.
    pub interrupted: bool,
}

/// So many losses at the end of a test are no chance: with half of all packets lost, one test in a
/// thousand would end so.
const SILENT_END: usize = 10;

/// What the wall clock said at one moment; for labels, and for no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    /// Since the Unix epoch.
    pub time: Duration,
    /// The same moment, by the clock of the record.
    pub at: Duration,
}

impl WallClock {
    /// The label of a time of the record, since the Unix epoch.
    pub fn label(self, at: Duration) -> Duration {
        (self.time + at).saturating_sub(self.at)
    }
}

/// Who took the times of arrival.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StampedBy {
    /// The kernel, as the datagram came in.
    pub kernel: u64,
    /// This program, when it read the datagram.
    pub program: u64,
}

/// A finished test: what happened, its figures, and how far to trust them.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// What happened.
    pub record: Record,
    /// The figures of the path.
    pub figures: Figures,
    /// Where on the way the time went; `None` when nobody stamped.
    pub hops: Option<Hops>,
    /// How the measuring machine did.
    pub conduct: Conduct,
    /// Why the run says less than it seems to; empty for one that can be trusted.
    pub limits: Vec<String>,
    /// What else a reader must know; one sentence each.
    pub notes: Vec<String>,
}

impl Measurement {
    /// Computes all of it.
    pub fn of(record: Record) -> Measurement {
        let figures = Figures {
            offered_bps: pattern::offered_bps(&record.plan),
            ..Figures::of(&record.trace, Carrier::of(record.address))
        };
        let StampedBy { kernel, program } = record.stamped_by;
        let stamps = kernel + program;
        let conduct = Conduct {
            urgency: record.urgency,
            stolen: record.stolen,
            pacing_error: Summary::of(record.pacing_errors.iter().copied()),
            missed_slots: record.missed_slots,
            local_drops: record.local_drops,
            receive_drops: record.receive_drops,
            kernel_stamped_pct: (stamps > 0).then(|| kernel as f64 * 100.0 / stamps as f64),
        };
        let mut notes = record.notes(&figures);
        notes.extend(trust::unsettled(&figures));
        Measurement {
            hops: Hops::of(&record.stamped),
            limits: trust::limits(&figures, &conduct),
            notes,
            conduct,
            figures,
            record,
        }
    }

    /// What the user's ending of the test left undone; it is among the notes.
    pub fn ended_early(&self) -> Option<String> {
        self.record.ended_early(&self.figures)
    }

    /// The DSCP that most answers came back with.
    pub fn dscp_returned(&self) -> Option<u8> {
        let returned = self.record.dscp_returned.iter();
        returned.max_by_key(|(_, n)| *n).map(|(dscp, _)| *dscp)
    }
}

impl Record {
    /// How many packets at the end were lost one and all, and how long they took to send; `None`
    /// for so few that chance may have taken them.
    fn silent_end(&self) -> Option<(usize, Duration)> {
        let fates = self.trace.fates();
        let sent = self.trace.sent.iter().zip(&fates);
        let lost: Vec<Duration> = sent
            .skip(self.plan.warmup() as usize)
            .rev()
            .filter(|(_, fate)| !matches!(fate, Fate::Unsent | Fate::InFlight))
            .map_while(|(sent, fate)| match fate {
                Fate::Lost => *sent,
                _ => None,
            })
            .map(|sent| sent.at)
            .collect();
        let (last, first) = (lost.first()?, lost.last()?);
        (lost.len() >= SILENT_END).then(|| (lost.len(), last.saturating_sub(*first)))
    }

    /// What the user's ending of the test left undone.
    fn ended_early(&self, figures: &Figures) -> Option<String> {
        self.interrupted.then(|| {
            format!(
                "ended early: {} of {} packets sent, {} still in flight (neither answered nor lost)",
                figures.sent,
                self.plan.packets(),
                figures.in_flight
            )
        })
    }

    fn notes(&self, figures: &Figures) -> Vec<String> {
        let mut notes = Vec::new();
        notes.extend(self.ended_early(figures));
        if self.refusals > 0 {
            notes.push(
                "the target answered at first, then its port was closed: it ended during the test"
                    .to_owned(),
            );
        } else if let Some((packets, time)) = self.silent_end() {
            notes.push(format!(
                "the last {packets} packets, of {:.1} s, all went unanswered: the target or the path \
                 to it broke off during the test",
                time.as_secs_f64()
            ));
        }
        if self.corrupt > 0 {
            notes.push(format!(
                "{} answers came back damaged and count as not received",
                self.corrupt
            ));
        }
        let ordered = self.plan.dscp();
        for (dscp, n) in &self.dscp_returned {
            if ordered != 0 && *dscp != ordered {
                notes.push(format!(
                    "{n} answers came back with DSCP {dscp}, not {ordered}: a node re-marked them, or \
                     the echo does not copy the mark"
                ));
            }
        }
        if self.plan.stamps() && self.stamped.iter().all(|answer| answer.stamps.is_empty()) {
            notes.push("no node on the way stamped the probes: no delay by hop".to_owned());
        }
        notes
    }
}
