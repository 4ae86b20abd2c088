//! What a UDP test, or a flood, puts into its row.

use netstats::quantile::{P50, P95, P99};
use netstats::summary::Summary;

use super::{Cell, Row, bps, count, ms, pct, ratio};
use crate::figures::Figures;
use crate::figures::hops::Hops;
use crate::udp::Measurement;
use crate::udp::Pattern;
use crate::udp::Plan;
use crate::udp::flood;

impl Row {
    /// Adds the result of a UDP test.
    pub fn add_udp(&mut self, measured: &Measurement) {
        let plan = &measured.record.plan;
        self.add_order(plan);
        self.add_figures(&measured.figures);
        let (record, conduct) = (&measured.record, &measured.conduct);
        let pacing = &conduct.pacing_error;
        let returned = measured.dscp_returned();
        let limited = if measured.limits.is_empty() {
            "no"
        } else {
            "yes"
        };
        for (name, cell) in [
            ("dscp_returned", returned.map_or(Cell::Blank, count)),
            ("corrupt", Cell::Count(record.corrupt)),
            ("local_drops", count(conduct.local_drops)),
            ("receive_drops", count(conduct.receive_drops)),
            ("pacing_n", Cell::Count(pacing.n() as u64)),
            ("pacing_error_p50_ms", ms(pacing.quantile(P50))),
            ("pacing_error_p99_ms", ms(pacing.quantile(P99))),
            ("missed_slots", count(conduct.missed_slots)),
            ("kernel_stamped_pct", pct(conduct.kernel_stamped_pct)),
            ("measurement_limited", Cell::Text(limited.to_owned())),
        ] {
            self.set(name, cell);
        }
        if let Some(hops) = &measured.hops {
            self.add_hops(hops);
        }
    }

    /// Adds what was ordered.
    pub(super) fn add_order(&mut self, plan: &Plan) {
        let drawn = matches!(plan.pattern(), Pattern::Poisson | Pattern::Vbr);
        let seed = drawn.then(|| Cell::Count(plan.seed()));
        for (name, cell) in [
            ("pattern", Cell::Text(plan.pattern().to_string())),
            ("seed", seed.unwrap_or(Cell::Blank)),
            ("payload_bytes", Cell::Count(plan.payload() as u64)),
            ("interval_ms", Cell::Ms(plan.interval())),
            ("warmup_packets", count(plan.warmup())),
            ("loss_deadline_ms", Cell::Ms(plan.loss_deadline())),
            ("dscp", count(plan.dscp())),
        ] {
            self.set(name, cell);
        }
    }

    /// Adds the figures of a path.
    pub fn add_figures(&mut self, f: &Figures) {
        let (runs, bursts, voice) = (f.loss_runs, f.bursts, f.voice);
        let of_100 = |share: Option<f64>| pct(share.map(|share| share * 100.0));
        for (name, cell) in [
            ("packets_sent", count(f.sent)),
            ("packets_answered", count(f.answered)),
            ("packets_late", count(f.late)),
            ("packets_lost", count(f.lost)),
            ("packets_in_flight", count(f.in_flight)),
            ("duplicates", Cell::Count(f.duplicates)),
            ("replicated", count(f.replicated)),
            ("reordered", count(f.reordered)),
            ("reorder_extent_max", Cell::Count(f.reorder_extent_max)),
            ("loss_pct", pct(f.loss_pct)),
            ("loss_n", count(f.loss_n)),
            ("loss_ci_low_pct", pct(f.loss_ci_pct.map(|ci| ci.low))),
            ("loss_ci_high_pct", pct(f.loss_ci_pct.map(|ci| ci.high))),
            ("loss_run_max", Cell::Count(runs.longest)),
            ("loss_run_mean", ratio(runs.mean())),
            ("burst_count", Cell::Count(bursts.bursts)),
            ("burst_max", Cell::Count(bursts.longest)),
            ("burst_mean", ratio(bursts.mean())),
            ("burst_density_pct", of_100(bursts.burst_density())),
            ("gap_density_pct", of_100(bursts.gap_density())),
            ("offered_bps", bps(f.offered_bps)),
            ("achieved_bps", bps(f.achieved_bps)),
            ("achieved_ip_bps", bps(f.achieved_ip_bps)),
            ("achieved_frame_bps", bps(f.achieved_frame_bps)),
            ("goodput_bps", bps(f.goodput_bps)),
            ("throughput_bps", bps(f.goodput_bps)),
            ("rtt_n", Cell::Count(f.rtt.n() as u64)),
            ("rtt_min_ms", ms(f.rtt.min())),
            ("rtt_mean_ms", ms(f.rtt.mean())),
            ("rtt_p50_ms", ms(f.rtt.quantile(P50))),
            ("rtt_p95_ms", ms(f.rtt.quantile(P95))),
            ("rtt_p99_ms", ms(f.rtt.quantile(P99))),
            ("rtt_max_ms", ms(f.rtt.max())),
            ("rtt_stddev_ms", ms(f.rtt.sample_stddev())),
            ("jitter_rfc3550_ms", ms(f.jitter)),
            ("jitter_rfc3550_n", Cell::Count(f.jitter_n as u64)),
            ("ipdv_abs_mean_ms", ms(f.ipdv_abs_mean)),
            ("ipdv_n", Cell::Count(f.ipdv_n as u64)),
            ("pdv_p95_ms", ms(f.rtt.pdv(P95))),
            ("pdv_p99_ms", ms(f.rtt.pdv(P99))),
            ("r_factor", ratio(voice.map(|voice| voice.r_factor))),
            ("mos", ratio(voice.map(|voice| voice.mos))),
            ("burst_ratio", ratio(voice.map(|voice| voice.burst_ratio))),
        ] {
            self.set(name, cell);
        }
    }

    /// Adds the delays by hop. The columns are those of the lab, with one relay; of
    /// another path only the time in the server has a column.
    pub(super) fn add_hops(&mut self, hops: &Hops) {
        let median = |delays: Option<&Summary>| ms(delays.and_then(|d| d.quantile(P50)));
        self.set("hop_n", Cell::Count(hops.n as u64));
        self.set(
            "hop_server_residence_p50_ms",
            median(hops.residences.last()),
        );
        if hops.relays() == 1 {
            for (name, delays) in [
                ("hop_client_proxy_p50_ms", hops.links.first()),
                ("hop_proxy_residence_p50_ms", hops.residences.first()),
                ("hop_proxy_server_p50_ms", hops.links.last()),
            ] {
                self.set(name, median(delays));
            }
        }
    }

    /// Adds what a flood showed. The interval of the loss stays blank: the losses of a queue that
    /// overflows come together, and it takes them for independent of each other.
    pub fn add_flood(&mut self, shown: &flood::Outcome) {
        let plan = &shown.plan;
        let [packets, frames] = shown.on_the_wire(shown.achieved_bps);
        let limited = if shown.limits().is_empty() {
            "no"
        } else {
            "yes"
        };
        for (name, cell) in [
            ("pattern", Cell::Text("flood".to_owned())),
            ("payload_bytes", Cell::Count(plan.payload() as u64)),
            ("dscp", count(plan.dscp())),
            ("packets_sent", Cell::Count(shown.sent)),
            ("packets_answered", count(shown.answered)),
            ("packets_lost", Cell::Count(shown.lost())),
            ("local_drops", Cell::Count(shown.local_drops)),
            ("receive_drops", Cell::Count(shown.receive_drops)),
            ("duplicates", Cell::Count(shown.duplicates)),
            ("replicated", count(shown.replicated)),
            ("reordered", count(shown.reordered)),
            ("corrupt", Cell::Count(shown.corrupt)),
            ("loss_pct", pct(shown.loss_pct())),
            ("loss_n", Cell::Count(shown.sent)),
            ("offered_bps", bps(shown.offered_bps)),
            ("achieved_bps", bps(shown.achieved_bps)),
            ("achieved_ip_bps", bps(packets)),
            ("achieved_frame_bps", bps(frames)),
            ("goodput_bps", bps(shown.goodput_bps)),
            ("throughput_bps", bps(shown.goodput_bps)),
            ("measurement_limited", Cell::Text(limited.to_owned())),
        ] {
            self.set(name, cell);
        }
    }
}
