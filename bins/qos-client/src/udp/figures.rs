//! From the record of a test to its figures. Pure arithmetic: each figure is netstats' own.

use std::time::Duration;

use netstats::jitter::{InterarrivalJitter, SETTLED_AFTER, ipdv_abs_mean};
use netstats::loss::{Interval, LossRuns, wilson};
use netstats::quantile::{P50, P95, P99};
use netstats::summary::Summary;
use netstats::throughput::Throughput;

use super::record::{Fate, Record};

/// Above this share of slots missed, the schedule was not kept and the figures say less.
const MISSED_SLOTS_NOTED: f64 = 0.01;

/// The figures of one test. What its sample cannot support is `None`.
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
    /// Second and further copies of answers.
    pub duplicates: u64,
    /// Answers overtaken by later ones.
    pub reordered: u32,
    /// Answers that came back damaged.
    pub corrupt: u64,
    /// Probes that this machine did not let out; never network loss.
    pub local_drops: u32,
    /// `(lost + late) / (answered + late + lost)`, of 100.
    pub loss_pct: Option<f64>,
    /// The Wilson 95 % interval of the loss, of 100.
    pub loss_ci_pct: Option<Interval>,
    /// The longest run of consecutive losses, in packets.
    pub loss_run_max: u64,
    /// The mean run of consecutive losses, in packets.
    pub loss_run_mean: Option<f64>,
    /// UDP payload sent, in bits a second, by the send times.
    pub offered_bps: Option<f64>,
    /// UDP payload received, first copies only, in bits a second.
    pub throughput_bps: Option<f64>,
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
    /// Sent after its deadline by.
    pub pacing_error: Summary,
    /// Probes sent only when the next was due.
    pub missed_slots: u32,
    /// What a reader must know to trust the figures; one sentence each.
    pub notes: Vec<String>,
}

impl Figures {
    /// Computes every figure of the record.
    pub fn of(record: &Record) -> Figures {
        let fates = record.fates();
        let payload = record.plan.payload() as u64;
        let count = |wanted: fn(&Fate) -> bool| fates.iter().filter(|f| wanted(f)).count() as u32;
        let answered = count(|fate| matches!(fate, Fate::Answered(_)));
        let late = count(|fate| matches!(fate, Fate::Late(_)));
        let lost = count(|fate| matches!(fate, Fate::Lost));

        let missing = u64::from(lost + late);
        let decided = u64::from(answered) + missing;
        let runs = LossRuns::of(fates.iter().filter_map(|fate| match fate {
            Fate::Answered(_) => Some(false),
            Fate::Late(_) | Fate::Lost => Some(true),
            Fate::Unsent | Fate::InFlight => None,
        }));

        let in_time = (0..).zip(&fates).filter_map(|(sequence, fate)| match fate {
            Fate::Answered(rtt) => Some((sequence, *rtt)),
            _ => None,
        });
        let ipdv = ipdv_abs_mean(in_time.clone());

        let mut jitter = InterarrivalJitter::new();
        let mut received = Throughput::new();
        for answer in &record.arrivals {
            let place = answer.sequence as usize;
            if let (Some(Some(sent)), Some(Fate::Answered(_))) =
                (record.sent_at.get(place), fates.get(place))
            {
                jitter.arrived(*sent, answer.at);
            }
            received.received(answer.at, payload);
        }
        let mut offered = Throughput::new();
        for sent in record.sent_at.iter().flatten() {
            offered.received(*sent, payload);
        }

        let mut figures = Figures {
            sent: record.sent(),
            answered,
            late,
            lost,
            in_flight: count(|fate| matches!(fate, Fate::InFlight)),
            duplicates: record.duplicates,
            reordered: record.reordered,
            corrupt: record.corrupt,
            local_drops: record.local_drops,
            loss_pct: (decided > 0).then(|| missing as f64 * 100.0 / decided as f64),
            loss_ci_pct: wilson(missing, decided).map(|share| Interval {
                low: share.low * 100.0,
                high: share.high * 100.0,
            }),
            loss_run_max: runs.longest,
            loss_run_mean: runs.mean(),
            offered_bps: offered.bps(),
            throughput_bps: received.bps(),
            rtt: Summary::of(in_time.map(|(_, rtt)| rtt)),
            jitter: jitter.jitter(),
            jitter_n: jitter.n(),
            ipdv_abs_mean: ipdv.map(|(mean, _)| mean),
            ipdv_n: ipdv.map_or(0, |(_, pairs)| pairs),
            pacing_error: Summary::of(record.pacing_errors.iter().copied()),
            missed_slots: record.missed_slots,
            notes: Vec::new(),
        };
        figures.notes = figures.notes_on(record);
        figures
    }

    fn notes_on(&self, record: &Record) -> Vec<String> {
        let mut notes = Vec::new();
        if record.interrupted {
            notes.push(format!(
                "ended early: {} of {} packets sent, {} still in flight (neither answered nor lost)",
                self.sent,
                record.plan.packets(),
                self.in_flight
            ));
        }
        if record.refusals > 0 {
            notes.push(
                "the target answered at first, then its port was closed: it ended during the test"
                    .to_owned(),
            );
        }
        if self.corrupt > 0 {
            notes.push(format!(
                "{} answers came back damaged and count as not received",
                self.corrupt
            ));
        }
        if self.local_drops > 0 {
            notes.push(format!(
                "measurement-limited: this machine dropped {} packets before sending them; \
                 they are not counted as network loss",
                self.local_drops
            ));
        }
        if f64::from(self.missed_slots) > f64::from(self.sent) * MISSED_SLOTS_NOTED {
            notes.push(format!(
                "measurement-limited: {} of {} packets were sent a whole interval late or more",
                self.missed_slots, self.sent
            ));
        }
        if let (Some(pacing), Some(variation)) =
            (self.pacing_error.quantile(P50), self.ipdv_abs_mean)
            && pacing > variation
            && pacing * 20 > record.plan.interval()
        {
            notes.push(
                "measurement-limited: the sender's own pacing error is larger than the delay \
                 variation measured"
                    .to_owned(),
            );
        }
        if self.rtt.n() < P99.min_samples() {
            notes.push(format!(
                "p95 needs {} answers, p99 {}; the RFC 3550 jitter settles after {}",
                P95.min_samples(),
                P99.min_samples(),
                SETTLED_AFTER + 1
            ));
        }
        notes
    }
}

#[cfg(test)]
mod tests;
