//! One result as named cells. Every name carries its unit; a blank cell is not a zero.

use std::time::Duration;

use netstats::paired::MedianInterval;
use netstats::quantile::{P50, P95, P99};
use netstats::summary::Summary;

use crate::compare::{Comparison, Way};
use crate::figures::Figures;
use crate::figures::hops::Hops;
use crate::grade::Graded;
use crate::http::Exchange;
use crate::http::bulk;
use crate::http::series::Outcome;
use crate::load::findings::Finding;
use crate::load::{Phase, Stage};
use crate::udp::flood;
use crate::udp::{Measurement, Pattern, Plan, Run};

/// The columns of `qos_result.csv`, in their order. Every name that a row uses stands here.
pub const COLUMNS: [&str; 114] = [
    "timestamp_utc",
    "packets_sent",
    "loss_pct",
    "throughput_bps",
    "rtt_mean_ms",
    "ipdv_abs_mean_ms",
    "run_id",
    "client",
    "target",
    "via",
    "pattern",
    "seed",
    "payload_bytes",
    "interval_ms",
    "warmup_packets",
    "loss_deadline_ms",
    "dscp",
    "dscp_returned",
    "packets_answered",
    "packets_late",
    "packets_lost",
    "packets_in_flight",
    "local_drops",
    "receive_drops",
    "duplicates",
    "replicated",
    "reordered",
    "reorder_extent_max",
    "corrupt",
    "loss_n",
    "loss_ci_low_pct",
    "loss_ci_high_pct",
    "loss_run_max",
    "loss_run_mean",
    "burst_count",
    "burst_max",
    "burst_mean",
    "burst_density_pct",
    "gap_density_pct",
    "offered_bps",
    "achieved_bps",
    "achieved_ip_bps",
    "achieved_frame_bps",
    "goodput_bps",
    "rtt_n",
    "rtt_min_ms",
    "rtt_p50_ms",
    "rtt_p95_ms",
    "rtt_p99_ms",
    "rtt_max_ms",
    "rtt_stddev_ms",
    "jitter_rfc3550_ms",
    "jitter_rfc3550_n",
    "ipdv_n",
    "pdv_p95_ms",
    "pdv_p99_ms",
    "r_factor",
    "mos",
    "burst_ratio",
    "hop_n",
    "hop_client_proxy_p50_ms",
    "hop_proxy_residence_p50_ms",
    "hop_proxy_server_p50_ms",
    "hop_server_residence_p50_ms",
    "pacing_n",
    "pacing_error_p50_ms",
    "pacing_error_p99_ms",
    "missed_slots",
    "kernel_stamped_pct",
    "measurement_limited",
    "http_status",
    "http_connect_ms",
    "http_first_byte_ms",
    "http_transfer_ms",
    "http_total_ms",
    "http_body_bytes",
    "http_throughput_bps",
    "http_requests",
    "http_answered",
    "http_errors",
    "http_hits",
    "http_rate_rps",
    "http_latency_mean_ms",
    "http_latency_p50_ms",
    "http_latency_p95_ms",
    "http_latency_p99_ms",
    "http_latency_max_ms",
    "http_service_p99_ms",
    "phase",
    "load_download_bps",
    "load_upload_bps",
    "rtt_increase_ms",
    "bufferbloat_grade",
    "rpm",
    "rpm_n",
    "rpm_connect_ms",
    "rpm_request_ms",
    "rpm_loaded_rtt_ms",
    "rpm_loaded_n",
    "added_rtt_ms",
    "added_rtt_low_ms",
    "added_rtt_high_ms",
    "added_rtt_n",
    "added_hit_ms",
    "added_hit_low_ms",
    "added_hit_high_ms",
    "added_hit_n",
    "added_miss_ms",
    "added_miss_low_ms",
    "added_miss_high_ms",
    "added_miss_n",
    "cache_status",
    "verdict",
    "tool_version",
];

/// A value with its unit.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Not measured, or not supported by the sample.
    Blank,
    /// Words; may come from the network.
    Text(String),
    /// A number of things.
    Count(u64),
    /// Shown in milliseconds, to the nanosecond.
    Ms(Duration),
    /// A difference, in nanoseconds; shown in milliseconds.
    Difference(i64),
    /// A share of 100.
    Pct(f64),
    /// Bits a second.
    Bps(f64),
    /// A mean, a ratio or a score.
    Mean(f64),
}

impl Cell {
    /// The number in the cell, in the unit of its name.
    pub fn number(&self) -> Option<f64> {
        match self {
            Cell::Blank | Cell::Text(_) => None,
            Cell::Count(count) => Some(*count as f64),
            Cell::Ms(duration) => Some(duration.as_secs_f64() * 1e3),
            Cell::Difference(ns) => Some(*ns as f64 / 1e6),
            Cell::Pct(value) | Cell::Bps(value) | Cell::Mean(value) => Some(*value),
        }
    }

    /// As a CSV field: plain digits, a point, no unit, no thousands; blank is empty.
    pub fn field(&self) -> String {
        match self {
            Cell::Blank => String::new(),
            Cell::Text(text) => text.clone(),
            Cell::Count(count) => count.to_string(),
            Cell::Ms(duration) => format!("{:.6}", duration.as_secs_f64() * 1e3),
            Cell::Difference(ns) => format!("{:.6}", *ns as f64 / 1e6),
            Cell::Pct(value) => format!("{value:.4}"),
            Cell::Bps(value) => format!("{value:.0}"),
            Cell::Mean(value) => format!("{value:.3}"),
        }
    }
}

/// One result: names of [`COLUMNS`] with their cells, in order of adding.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// Figures in their classes, where a profile was asked for.
    pub grades: Vec<Graded>,
    cells: Vec<(&'static str, Cell)>,
}

impl Row {
    /// A row that says when, in which run, by which client and against whom.
    pub fn new(at: jiff::Timestamp, run: Run, client: u32, target: &str) -> Row {
        let mut row = Row::default();
        row.set("timestamp_utc", Cell::Text(format!("{at:.3}")));
        row.set("run_id", Cell::Text(format!("{:016x}", run.id)));
        row.set("client", Cell::Count(client.into()));
        row.set("target", Cell::Text(target.to_owned()));
        let version = env!("CARGO_PKG_VERSION");
        row.set("tool_version", Cell::Text(format!("qos-client {version}")));
        row
    }

    /// Sets a cell.
    pub fn set(&mut self, name: &'static str, cell: Cell) {
        match self.cells.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = cell,
            None => self.cells.push((name, cell)),
        }
    }

    /// Whether the cell was set, be it blank.
    pub fn has(&self, name: &str) -> bool {
        self.cells.iter().any(|(known, _)| *known == name)
    }

    /// The cell of this name; a name that was not set is blank.
    pub fn cell(&self, name: &str) -> &Cell {
        self.cells
            .iter()
            .find_map(|(known, cell)| (*known == name).then_some(cell))
            .unwrap_or(&Cell::Blank)
    }

    /// The cells in the order of [`COLUMNS`].
    pub fn in_columns(&self) -> impl Iterator<Item = &Cell> {
        COLUMNS.iter().map(|name| self.cell(name))
    }

    /// Names and cells that were set, in the order of [`COLUMNS`].
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Cell)> {
        COLUMNS.iter().filter_map(|name| {
            self.cells
                .iter()
                .find_map(|(known, cell)| (known == name).then_some((*name, cell)))
        })
    }

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
    fn add_order(&mut self, plan: &Plan) {
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
    fn add_hops(&mut self, hops: &Hops) {
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

    /// Adds what one stage of a test under load showed. What only a load has, an idle stage has
    /// not even as a blank.
    pub fn add_stage(&mut self, stage: &Stage, finding: &Finding) {
        self.set("phase", Cell::Text(stage.phase.word().to_owned()));
        if let Ok(measured) = &stage.probes {
            self.add_udp(measured);
        }
        if stage.requests.is_some() {
            for (name, cell) in [
                ("rpm_n", Cell::Count(finding.requests as u64)),
                ("rpm_connect_ms", ms(finding.connect)),
                ("rpm_request_ms", ms(finding.request)),
            ] {
                self.set(name, cell);
            }
        }
        if stage.phase == Phase::Idle {
            return;
        }
        let grade = finding.grade.map(|grade| grade.letter().to_owned());
        for (name, cell) in [
            ("rtt_increase_ms", ms(finding.rtt_increase)),
            ("bufferbloat_grade", grade.map_or(Cell::Blank, Cell::Text)),
        ] {
            self.set(name, cell);
        }
        for (way, name, rate) in [
            (bulk::Way::Download, "load_download_bps", stage.download_bps),
            (bulk::Way::Upload, "load_upload_bps", stage.upload_bps),
        ] {
            if stage.phase.carries(way) {
                self.set(name, bps(rate));
            }
        }
        if stage.requests.is_some() {
            self.set("rpm", ratio(finding.rpm));
            self.set("rpm_loaded_rtt_ms", ms(finding.own));
            self.set("rpm_loaded_n", Cell::Count(stage.own.len() as u64));
        }
    }

    /// Adds what one of two ways showed.
    pub fn add_way(&mut self, phase: &str, way: &Way) {
        self.set("phase", Cell::Text(phase.to_owned()));
        self.add_udp(&way.udp);
        let requests = &way.requests;
        for (name, cell) in [
            ("http_answered", Cell::Count(requests.n() as u64)),
            ("http_latency_mean_ms", ms(requests.mean())),
            ("http_latency_p50_ms", ms(requests.quantile(P50))),
            ("http_latency_p95_ms", ms(requests.quantile(P95))),
            ("http_latency_p99_ms", ms(requests.quantile(P99))),
            ("http_latency_max_ms", ms(requests.max())),
        ] {
            self.set(name, cell);
        }
    }

    /// Adds what the proxied way has more than the direct one.
    pub fn add_differences(&mut self, found: &Comparison) {
        for ([median, low, high, n], difference) in [
            (
                [
                    "added_rtt_ms",
                    "added_rtt_low_ms",
                    "added_rtt_high_ms",
                    "added_rtt_n",
                ],
                found.rtt,
            ),
            (
                [
                    "added_hit_ms",
                    "added_hit_low_ms",
                    "added_hit_high_ms",
                    "added_hit_n",
                ],
                found.hit,
            ),
            (
                [
                    "added_miss_ms",
                    "added_miss_low_ms",
                    "added_miss_high_ms",
                    "added_miss_n",
                ],
                found.miss,
            ),
        ] {
            let cell = |of: fn(MedianInterval) -> i64| {
                difference.map_or(Cell::Blank, |found| Cell::Difference(of(found)))
            };
            self.set(median, cell(|found| found.median));
            self.set(low, cell(|found| found.low));
            self.set(high, cell(|found| found.high));
            self.set(
                n,
                difference.map_or(Cell::Blank, |found| Cell::Count(found.n as u64)),
            );
        }
        self.set("http_hits", Cell::Count(found.hits.n() as u64));
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

    /// Adds what many HTTP requests showed.
    pub fn add_series(&mut self, outcome: &Outcome) {
        let latency = &outcome.latency;
        for (name, cell) in [
            ("http_requests", count(outcome.made)),
            ("http_answered", count(outcome.answered)),
            ("http_errors", count(outcome.refused)),
            ("http_hits", count(outcome.hits)),
            ("http_body_bytes", Cell::Count(outcome.body_bytes)),
            ("http_throughput_bps", bps(outcome.goodput_bps)),
            ("http_rate_rps", ratio(outcome.rate_rps)),
            ("http_latency_mean_ms", ms(latency.mean())),
            ("http_latency_p50_ms", ms(latency.quantile(P50))),
            ("http_latency_p95_ms", ms(latency.quantile(P95))),
            ("http_latency_p99_ms", ms(latency.quantile(P99))),
            ("http_latency_max_ms", ms(latency.max())),
            ("http_service_p99_ms", ms(outcome.service.quantile(P99))),
        ] {
            self.set(name, cell);
        }
    }

    /// Adds what an HTTP request showed.
    pub fn add_http(&mut self, exchange: &Exchange) {
        let via = exchange.via.clone().map_or(Cell::Blank, Cell::Text);
        for (name, cell) in [
            ("via", via),
            ("http_status", Cell::Count(exchange.status.into())),
            ("http_connect_ms", Cell::Ms(exchange.connect)),
            ("http_first_byte_ms", Cell::Ms(exchange.first_byte)),
            ("http_transfer_ms", Cell::Ms(exchange.transfer)),
            ("http_total_ms", Cell::Ms(exchange.total)),
            ("http_body_bytes", Cell::Count(exchange.body_bytes)),
            (
                "http_throughput_bps",
                exchange.throughput_bps.map_or(Cell::Blank, Cell::Bps),
            ),
            ("cache_status", Cell::Text(exchange.cache.word().to_owned())),
        ] {
            self.set(name, cell);
        }
    }
}

fn count(number: impl Into<u64>) -> Cell {
    Cell::Count(number.into())
}

fn ms(figure: Option<Duration>) -> Cell {
    figure.map_or(Cell::Blank, Cell::Ms)
}

fn pct(figure: Option<f64>) -> Cell {
    figure.map_or(Cell::Blank, Cell::Pct)
}

fn bps(figure: Option<f64>) -> Cell {
    figure.map_or(Cell::Blank, Cell::Bps)
}

fn ratio(figure: Option<f64>) -> Cell {
    figure.map_or(Cell::Blank, Cell::Mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_plain_digits_and_a_blank_is_not_a_zero() {
        for (cell, field) in [
            (Cell::Blank, ""),
            (Cell::Count(0), "0"),
            (Cell::Ms(Duration::from_nanos(1_234_567)), "1.234567"),
            (Cell::Pct(2.0 / 3.0 * 100.0), "66.6667"),
            (Cell::Bps(10_240.4), "10240"),
            (Cell::Mean(1.5), "1.500"),
        ] {
            assert_eq!(cell.field(), field, "{cell:?}");
        }
    }

    #[test]
    fn every_name_that_a_row_uses_is_a_column_and_each_column_is_there_once() {
        let mut row = Row::new(jiff::Timestamp::UNIX_EPOCH, Run { id: 7 }, 1, "udp a:1");
        row.add_order(&Plan::default());
        row.add_figures(&Figures::default());
        for (name, _) in &row.cells {
            assert!(COLUMNS.contains(name), "{name}");
        }
        for name in COLUMNS {
            assert_eq!(COLUMNS.iter().filter(|known| **known == name).count(), 1);
        }
    }

    #[test]
    fn the_first_row_says_when_in_utc_to_the_millisecond() {
        let at: jiff::Timestamp = "2026-03-01T12:30:00.123456789Z".parse().unwrap();
        let row = Row::new(at, Run { id: 0xab }, 2, "udp a:1");
        assert_eq!(
            row.cell("timestamp_utc").field(),
            "2026-03-01T12:30:00.123Z"
        );
        assert_eq!(row.cell("run_id").field(), "00000000000000ab");
    }
}
