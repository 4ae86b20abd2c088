//! One result as named cells. Every name carries its unit; a blank cell is not a zero.

use std::time::Duration;

use netstats::quantile::{P50, P95, P99};
use serde::{Serialize, Serializer};

use crate::http::Exchange;
use crate::udp::figures::Figures;
use crate::udp::{Plan, Run};

/// The columns of `qos_result.csv`, in their order. Every name that a row uses stands here.
pub const COLUMNS: [&str; 49] = [
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
    "payload_bytes",
    "interval_ms",
    "loss_deadline_ms",
    "packets_answered",
    "packets_late",
    "packets_lost",
    "packets_in_flight",
    "local_drops",
    "duplicates",
    "reordered",
    "corrupt",
    "loss_ci_low_pct",
    "loss_ci_high_pct",
    "loss_run_max",
    "loss_run_mean",
    "offered_bps",
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
    "pacing_error_p50_ms",
    "pacing_error_p99_ms",
    "missed_slots",
    "http_status",
    "http_connect_ms",
    "http_first_byte_ms",
    "http_total_ms",
    "http_body_bytes",
    "http_throughput_bps",
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
    /// A share of 100.
    Pct(f64),
    /// Bits a second.
    Bps(f64),
    /// A mean of counts.
    Mean(f64),
}

impl Cell {
    /// The number in the cell, in the unit of its name.
    pub fn number(&self) -> Option<f64> {
        match self {
            Cell::Blank | Cell::Text(_) => None,
            Cell::Count(count) => Some(*count as f64),
            Cell::Ms(duration) => Some(duration.as_secs_f64() * 1e3),
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
            Cell::Pct(value) => format!("{value:.4}"),
            Cell::Bps(value) => format!("{value:.0}"),
            Cell::Mean(value) => format!("{value:.3}"),
        }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Blank => serializer.serialize_none(),
            Cell::Text(text) => serializer.serialize_str(text),
            Cell::Count(count) => serializer.serialize_u64(*count),
            Cell::Ms(duration) => serializer.serialize_f64(duration.as_nanos() as f64 / 1e6),
            Cell::Pct(value) | Cell::Bps(value) | Cell::Mean(value) => {
                serializer.serialize_f64(*value)
            }
        }
    }
}

/// One result: names of [`COLUMNS`] with their cells, in order of adding.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
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

    /// Adds the figures of a UDP test.
    pub fn add_udp(&mut self, plan: &Plan, figures: &Figures) {
        let f = figures;
        let ms = |figure: Option<Duration>| figure.map_or(Cell::Blank, Cell::Ms);
        let or_blank =
            |figure: Option<f64>, unit: fn(f64) -> Cell| figure.map_or(Cell::Blank, unit);
        for (name, cell) in [
            ("packets_sent", Cell::Count(f.sent.into())),
            ("payload_bytes", Cell::Count(plan.payload() as u64)),
            ("interval_ms", Cell::Ms(plan.interval())),
            ("loss_deadline_ms", Cell::Ms(plan.loss_deadline())),
            ("packets_answered", Cell::Count(f.answered.into())),
            ("packets_late", Cell::Count(f.late.into())),
            ("packets_lost", Cell::Count(f.lost.into())),
            ("packets_in_flight", Cell::Count(f.in_flight.into())),
            ("local_drops", Cell::Count(f.local_drops.into())),
            ("duplicates", Cell::Count(f.duplicates)),
            ("reordered", Cell::Count(f.reordered.into())),
            ("corrupt", Cell::Count(f.corrupt)),
            ("loss_pct", or_blank(f.loss_pct, Cell::Pct)),
            (
                "loss_ci_low_pct",
                or_blank(f.loss_ci_pct.map(|ci| ci.low), Cell::Pct),
            ),
            (
                "loss_ci_high_pct",
                or_blank(f.loss_ci_pct.map(|ci| ci.high), Cell::Pct),
            ),
            ("loss_run_max", Cell::Count(f.loss_run_max)),
            ("loss_run_mean", or_blank(f.loss_run_mean, Cell::Mean)),
            ("offered_bps", or_blank(f.offered_bps, Cell::Bps)),
            ("throughput_bps", or_blank(f.throughput_bps, Cell::Bps)),
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
            ("pacing_error_p50_ms", ms(f.pacing_error.quantile(P50))),
            ("pacing_error_p99_ms", ms(f.pacing_error.quantile(P99))),
            ("missed_slots", Cell::Count(f.missed_slots.into())),
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

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.named())
    }
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
        row.add_udp(&Plan::default(), &Figures::default());
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
