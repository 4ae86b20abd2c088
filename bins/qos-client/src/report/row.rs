//! One result as named cells. Every name carries its unit; a blank cell is not a zero.
//! What each measurement puts into it stands in the folder beside.

mod http;
mod load;
mod udp;

use std::time::Duration;

use crate::grade::Graded;
use crate::udp::Run;

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
    use crate::figures::Figures;
    use crate::udp::Plan;

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
