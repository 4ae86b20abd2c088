//! What the stages of a load, and the two ways of a comparison, put into their rows.

use netstats::paired::MedianInterval;
use netstats::quantile::{P50, P95, P99};

use super::{Cell, Row, bps, ms, ratio};
use crate::compare::Comparison;
use crate::compare::Way;
use crate::http::bulk;
use crate::load::Phase;
use crate::load::Stage;
use crate::load::findings::Finding;

impl Row {
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
}
