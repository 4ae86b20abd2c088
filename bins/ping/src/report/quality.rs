//! The lines of `--stats`: what iputils does not say.

use std::io::{self, Write};
use std::time::Duration;

use netstats::loss::Interval;

use super::text::three_decimals;
use crate::session::{Loss, Summary};

/// Writes them. A figure that the sample does not support is a dash.
pub(crate) fn write_quality(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    let Loss {
        lost,
        known,
        interval,
        ..
    } = summary.loss();
    write!(out, "loss {lost}/{known}")?;
    if let Some(Interval { low, high }) = interval {
        let (low, high) = (low * 100.0, high * 100.0);
        write!(out, ", 95% interval {low:.2}% to {high:.2}%")?;
    }
    let tally = summary.tally;
    writeln!(
        out,
        ", late {}, reordered {}, damaged {}, in flight {}",
        tally.late, tally.reordered, tally.damaged, summary.in_flight
    )?;
    let quality = &summary.quality;
    let [p50, p90, p95, p99] = [quality.p50, quality.p90, quality.p95, quality.p99].map(or_dash);
    writeln!(out, "rtt p50/p90/p95/p99 = {p50}/{p90}/{p95}/{p99} ms")?;
    if let Some(queued) = summary.queued {
        let [mean, max] = [queued.mean, queued.max].map(three_decimals);
        writeln!(
            out,
            "waited in this host avg/max = {mean}/{max} ms, not part of the rtt"
        )?;
    }
    let [jitter, ipdv] = [quality.jitter, quality.ipdv].map(or_dash);
    writeln!(
        out,
        "jitter {jitter} ms (RFC 3550), {ipdv} ms (mean of consecutive differences)"
    )?;
    let count = quality.outage_count;
    write!(out, "outages {count}")?;
    if let Some(longest) = quality.longest_outage {
        write!(out, ", the longest of {} probes", longest.probes)?;
    }
    writeln!(out)?;
    for outage in &quality.outages {
        writeln!(
            out,
            "outage from icmp_seq={}: {} probes, {} s after the start, for {} s",
            outage.first,
            outage.probes,
            three_decimals_of_seconds(outage.began),
            three_decimals_of_seconds(outage.lasted)
        )?;
    }
    Ok(())
}

fn three_decimals_of_seconds(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64())
}

fn or_dash(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "-".to_owned(), three_decimals)
}
