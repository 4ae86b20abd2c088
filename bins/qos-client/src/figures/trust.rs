//! What a reader must know before believing the figures: where the sample is too small and what
//! would settle it, and where the measuring machine itself is of the size of what it measured.

use std::time::Duration;

use netio::urgency::Urgency;
use netstats::jitter::SETTLED_AFTER;
use netstats::loss::{lossless_packets_for, packets_to_settle};
use netstats::quantile::{P50, P95, P99};
use netstats::summary::Summary;

use super::Figures;

/// Above this share of slots missed, the schedule was not kept and the figures say less.
const MISSED_SLOTS_NOTED: f64 = 0.01;
/// A pacing error below this is finer than what UDP delays are read by: no note.
const PACING_NOTED: Duration = Duration::from_micros(100);
/// The loss that a run without one is asked to exclude.
const LOSS_EXCLUDED: f64 = 0.01;
/// The precision to which a loss is settled: to within a quarter of itself.
const LOSS_SETTLED: f64 = 0.25;

/// How the measuring machine itself did.
#[derive(Debug, Clone, Default)]
pub struct Conduct {
    /// How urgently the kernel ran the sender, where it was asked to and that is known.
    pub urgency: Option<Urgency>,
    /// What a hypervisor took of this machine's processors meanwhile, where that is known.
    pub stolen: Option<Duration>,
    /// Each probe was sent after its deadline by.
    pub pacing_error: Summary,
    /// Probes sent only when the next was due.
    pub missed_slots: u32,
    /// Probes that this machine did not let out; never network loss.
    pub local_drops: u32,
    /// Answers that the kernel dropped here because the program did not fetch them in time.
    pub receive_drops: u32,
    /// Answers whose time was taken by the kernel, of 100.
    pub kernel_stamped_pct: Option<f64>,
}

impl Conduct {
    /// Why packets left late, as far as that is known.
    fn why_late(&self) -> String {
        let ordinary = matches!(self.urgency, Some(Urgency::Favoured | Urgency::Ordinary));
        let stolen = self.stolen.filter(|stolen| !stolen.is_zero());
        let reasons = [
            ordinary.then(|| {
                "the kernel did not let the sender be a real-time thread, which takes root or \
                 CAP_SYS_NICE"
                    .to_owned()
            }),
            stolen.map(|stolen| {
                format!(
                    "the hypervisor took {} ms of this machine's processors meanwhile",
                    stolen.as_millis()
                )
            }),
        ];
        let reasons: Vec<String> = reasons.into_iter().flatten().collect();
        if reasons.is_empty() {
            String::new()
        } else {
            format!(": {}", reasons.join("; "))
        }
    }
}

/// Why the run says less than it seems to, one sentence each; empty for a run that can be trusted.
pub fn limits(figures: &Figures, conduct: &Conduct) -> Vec<String> {
    let mut limits = Vec::new();
    if conduct.local_drops > 0 {
        limits.push(format!(
            "this machine dropped {} packets before sending them; they are not counted as network loss",
            conduct.local_drops
        ));
    }
    if conduct.receive_drops > 0 {
        limits.push(format!(
            "this machine dropped {} answers because its queue was full; as many of the losses are \
             its own",
            conduct.receive_drops
        ));
    }
    if f64::from(conduct.missed_slots) > f64::from(figures.sent) * MISSED_SLOTS_NOTED {
        limits.push(format!(
            "{} of {} packets were sent a whole interval late or more{}",
            conduct.missed_slots,
            figures.sent,
            conduct.why_late()
        ));
    }
    let pacing = &conduct.pacing_error;
    let of_its_size = |pacing: Option<Duration>, figure: Option<Duration>| {
        matches!((pacing, figure), (Some(pacing), Some(figure))
            if pacing > PACING_NOTED && pacing >= figure)
    };
    if of_its_size(pacing.quantile(P50), figures.ipdv_abs_mean)
        || of_its_size(pacing.quantile(P99), figures.rtt.pdv(P99))
    {
        limits.push(format!(
            "the sender's own pacing error is as large as the delay variation measured{}",
            conduct.why_late()
        ));
    }
    limits
}

/// What the sample does not settle, and how many packets would.
pub fn unsettled(figures: &Figures) -> Vec<String> {
    let mut notes = Vec::new();
    let n = figures.rtt.n();
    let missing: Vec<String> = [(P95, "p95"), (P99, "p99")]
        .iter()
        .filter(|(quantile, _)| n < quantile.min_samples())
        .map(|(quantile, name)| format!("{name} needs {} answers", quantile.min_samples()))
        .chain(
            (figures.jitter_n < SETTLED_AFTER)
                .then(|| format!("the RFC 3550 jitter settles after {}", SETTLED_AFTER + 1)),
        )
        .collect();
    if !missing.is_empty() {
        notes.push(missing.join("; "));
    }
    notes.extend(loss_to_settle(figures));
    notes
}

fn loss_to_settle(figures: &Figures) -> Option<String> {
    let share = figures.loss_pct? / 100.0;
    let n = u64::from(figures.loss_n);
    if share == 0.0 {
        let needed = lossless_packets_for(LOSS_EXCLUDED).filter(|needed| *needed > n)?;
        let high = figures.loss_ci_pct?.high;
        return Some(format!(
            "no loss in {n} packets leaves room for {high:.2} %; {needed} without one would show \
             that it is below {:.0} %",
            LOSS_EXCLUDED * 100.0
        ));
    }
    let needed = packets_to_settle(share, LOSS_SETTLED).filter(|needed| *needed > n)?;
    Some(format!(
        "to know this loss to within a quarter of itself takes some {needed} packets"
    ))
}
