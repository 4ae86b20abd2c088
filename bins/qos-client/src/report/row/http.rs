//! What HTTP requests put into their row.

use netstats::quantile::{P50, P95, P99};

use super::{Cell, Row, bps, count, ms, ratio};
use crate::http::Exchange;
use crate::http::series::Outcome;

impl Row {
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
