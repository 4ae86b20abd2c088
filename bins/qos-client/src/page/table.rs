//! The figures as a table: all of one result, or a row for each of several.

use std::fmt::{self, Write as _};

use super::html::Escaped;
use super::recording::Outcome;

/// A figure of the table: its name, the events' name for it, its unit, and where its n is.
struct Figure(&'static str, &'static str, &'static str, &'static str);

const FIGURES: [Figure; 60] = [
    Figure("packets sent", "packets_sent", "", ""),
    Figure("packets answered", "packets_answered", "", ""),
    Figure("packets late", "packets_late", "", ""),
    Figure("packet loss", "loss_pct", "%", "loss_n"),
    Figure("loss, 95 % interval from", "loss_ci_low_pct", "%", "loss_n"),
    Figure("loss, 95 % interval to", "loss_ci_high_pct", "%", "loss_n"),
    Figure("longest run of losses", "loss_run_max", "", "loss_n"),
    Figure("duplicates", "duplicates", "", ""),
    Figure("reordered", "reordered", "", "packets_answered"),
    Figure("RTT min", "rtt_min_ns", "ms", "rtt_n"),
    Figure("RTT mean", "rtt_mean_ns", "ms", "rtt_n"),
    Figure("RTT p50", "rtt_p50_ns", "ms", "rtt_n"),
    Figure("RTT p95", "rtt_p95_ns", "ms", "rtt_n"),
    Figure("RTT p99", "rtt_p99_ns", "ms", "rtt_n"),
    Figure("RTT max", "rtt_max_ns", "ms", "rtt_n"),
    Figure("RTT standard deviation", "rtt_stddev_ns", "ms", "rtt_n"),
    Figure("jitter, mean |ΔRTT|", "ipdv_abs_mean_ns", "ms", "ipdv_n"),
    Figure(
        "jitter, RFC 3550",
        "jitter_rfc3550_ns",
        "ms",
        "jitter_rfc3550_n",
    ),
    Figure(
        "PDV p95, above the smallest RTT",
        "pdv_p95_ns",
        "ms",
        "rtt_n",
    ),
    Figure(
        "PDV p99, above the smallest RTT",
        "pdv_p99_ns",
        "ms",
        "rtt_n",
    ),
    Figure("offered", "offered_bps", "kbit/s", "packets_sent"),
    Figure(
        "throughput of payload",
        "achieved_bps",
        "kbit/s",
        "packets_answered",
    ),
    Figure("goodput", "goodput_bps", "kbit/s", "packets_answered"),
    Figure("R factor (G.107)", "r_factor", "", "loss_n"),
    Figure("MOS of a call", "mos", "", "loss_n"),
    Figure("pacing error p50", "pacing_error_p50_ns", "ms", "pacing_n"),
    Figure("pacing error p99", "pacing_error_p99_ns", "ms", "pacing_n"),
    Figure("HTTP status", "http_status", "", ""),
    Figure("cache", "cache_status", "", ""),
    Figure("HTTP connect", "http_connect_ns", "ms", ""),
    Figure("HTTP first byte", "http_first_byte_ns", "ms", ""),
    Figure("HTTP total", "http_total_ns", "ms", ""),
    Figure("HTTP body", "http_body_bytes", "bytes", ""),
    Figure("HTTP requests", "http_requests", "", ""),
    Figure("HTTP errors", "http_errors", "", "http_requests"),
    Figure("HTTP cache hits", "http_hits", "", "http_answered"),
    Figure("HTTP answers", "http_rate_rps", "1/s", "http_answered"),
    Figure(
        "HTTP latency mean",
        "http_latency_mean_ns",
        "ms",
        "http_answered",
    ),
    Figure(
        "HTTP latency p50",
        "http_latency_p50_ns",
        "ms",
        "http_answered",
    ),
    Figure(
        "HTTP latency p95",
        "http_latency_p95_ns",
        "ms",
        "http_answered",
    ),
    Figure(
        "HTTP latency p99",
        "http_latency_p99_ns",
        "ms",
        "http_answered",
    ),
    Figure(
        "HTTP latency max",
        "http_latency_max_ns",
        "ms",
        "http_answered",
    ),
    Figure("increase of RTT p50", "rtt_increase_ns", "ms", "rtt_n"),
    Figure("bufferbloat", "bufferbloat_grade", "", "rtt_n"),
    Figure("load down", "load_download_bps", "Mbit/s", ""),
    Figure("load up", "load_upload_bps", "Mbit/s", ""),
    Figure("connect beside the load", "rpm_connect_ns", "ms", "rpm_n"),
    Figure("request beside the load", "rpm_request_ns", "ms", "rpm_n"),
    Figure(
        "RTT of the loaded TCP",
        "rpm_loaded_rtt_ns",
        "ms",
        "rpm_loaded_n",
    ),
    Figure("RPM", "rpm", "", "rpm_n"),
    Figure(
        "RTT added by the proxy",
        "added_rtt_ns",
        "ms",
        "added_rtt_n",
    ),
    Figure(
        "RTT added by the proxy, 95 % from",
        "added_rtt_low_ns",
        "ms",
        "added_rtt_n",
    ),
    Figure(
        "RTT added by the proxy, to",
        "added_rtt_high_ns",
        "ms",
        "added_rtt_n",
    ),
    Figure(
        "request added, from the cache",
        "added_hit_ns",
        "ms",
        "added_hit_n",
    ),
    Figure(
        "request added, from the cache, 95 % from",
        "added_hit_low_ns",
        "ms",
        "added_hit_n",
    ),
    Figure(
        "request added, from the cache, to",
        "added_hit_high_ns",
        "ms",
        "added_hit_n",
    ),
    Figure(
        "request added, not from it",
        "added_miss_ns",
        "ms",
        "added_miss_n",
    ),
    Figure(
        "request added, not from it, 95 % from",
        "added_miss_low_ns",
        "ms",
        "added_miss_n",
    ),
    Figure(
        "request added, not from it, to",
        "added_miss_high_ns",
        "ms",
        "added_miss_n",
    ),
    Figure("part of the run", "phase", "", ""),
];

/// The columns of the table of the parts of a run.
const BY_PART: [&str; 21] = [
    "rtt_p50_ns",
    "rtt_p95_ns",
    "rtt_increase_ns",
    "bufferbloat_grade",
    "loss_pct",
    "load_download_bps",
    "load_upload_bps",
    "rpm_connect_ns",
    "rpm_request_ns",
    "rpm_loaded_rtt_ns",
    "rpm",
    "http_latency_p50_ns",
    "added_rtt_ns",
    "added_rtt_low_ns",
    "added_rtt_high_ns",
    "added_hit_ns",
    "added_hit_low_ns",
    "added_hit_high_ns",
    "added_miss_ns",
    "added_miss_low_ns",
    "added_miss_high_ns",
];

/// The columns of the table of several clients.
const BY_CLIENT: [&str; 9] = [
    "packets_sent",
    "loss_pct",
    "rtt_p50_ns",
    "rtt_p95_ns",
    "ipdv_abs_mean_ns",
    "goodput_bps",
    "http_status",
    "cache_status",
    "http_total_ns",
];

/// Every figure of one result.
pub(super) fn one(page: &mut String, result: &Outcome) -> fmt::Result {
    page.push_str(
        "<h2>Figures</h2>\n<div class=\"wide\"><table>\n<tr><th>figure</th>\
         <th class=\"n\">value</th><th>unit</th><th class=\"n\">n</th></tr>\n",
    );
    for figure @ Figure(name, column, unit, n) in &FIGURES {
        if !result.figures.contains_key(*column) {
            continue;
        }
        let n = result.number(n).map(|n| n.to_string()).unwrap_or_default();
        let value = value(result, figure);
        writeln!(
            page,
            "<tr><td>{name}</td><td class=\"n\">{}</td><td>{unit}</td><td class=\"n\">{n}</td></tr>",
            Escaped(&value)
        )?;
    }
    page.push_str("</table></div>\n");
    remarks(page, result, "")
}

/// A row for each of several clients.
pub(super) fn many(page: &mut String, results: &[Outcome], fairness: Option<f64>) -> fmt::Result {
    rows(
        page,
        ("Clients", "client"),
        &BY_CLIENT,
        (1..).map(|n: u32| n.to_string()).zip(results),
    )?;
    if let Some(fairness) = fairness {
        writeln!(
            page,
            "<p>Jain's fairness index of the goodput: {fairness:.3}</p>"
        )?;
    }
    (1..)
        .zip(results)
        .try_for_each(|(number, result)| remarks(page, result, &format!("client {number}: ")))
}

/// A row for each part of a run.
pub(super) fn parts(page: &mut String, results: &[Outcome]) -> fmt::Result {
    let phase = |result: &Outcome| {
        let phase = result.figures.get("phase").and_then(|phase| phase.as_str());
        phase.unwrap_or_default().to_owned()
    };
    let named = || results.iter().map(|result| (phase(result), result));
    let is_known = |name: &&str| results.iter().any(|r| r.figures.contains_key(*name));
    let wanted: Vec<&str> = BY_PART.into_iter().filter(is_known).collect();
    rows(page, ("Parts of the run", ""), &wanted, named())?;
    named().try_for_each(|(phase, result)| remarks(page, result, &format!("{phase}: ")))
}

/// A table with a row for each result, named by its first column.
fn rows<'r>(
    page: &mut String,
    (title, first): (&str, &str),
    wanted: &[&str],
    results: impl Iterator<Item = (String, &'r Outcome)>,
) -> fmt::Result {
    let columns = || FIGURES.iter().filter(|figure| wanted.contains(&figure.1));
    writeln!(
        page,
        "<h2>{title}</h2>\n<div class=\"wide\"><table>\n<tr><th class=\"n\">{first}</th>"
    )?;
    for Figure(name, _, unit, _) in columns() {
        let comma = if unit.is_empty() { "" } else { ", " };
        write!(page, "<th class=\"n\">{name}{comma}{unit}</th>")?;
    }
    page.push_str("</tr>\n");
    for (name, result) in results {
        write!(page, "<tr><td class=\"n\">{}</td>", Escaped(&name))?;
        for figure in columns() {
            let value = value(result, figure);
            write!(page, "<td class=\"n\">{}</td>", Escaped(&value))?;
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table></div>\n");
    Ok(())
}

/// What a reader must know beside the figures; `of` says whose they are.
fn remarks(page: &mut String, result: &Outcome, of: &str) -> fmt::Result {
    for graded in &result.grades {
        writeln!(
            page,
            "<p class=\"{}\">{of}{}: {:.3}, <strong>{}</strong></p>",
            if graded.pass { "soft" } else { "fail" },
            Escaped(&graded.label),
            graded.value,
            Escaped(&graded.class)
        )?;
    }
    for (class, texts) in [
        ("fail", &result.errors),
        ("fail", &result.limits),
        ("soft", &result.notes),
    ] {
        for text in texts {
            writeln!(page, "<p class=\"{class}\">{of}{}</p>", Escaped(text))?;
        }
    }
    Ok(())
}

/// In the unit of the table; a dash for what the sample does not support.
fn value(result: &Outcome, Figure(_, column, unit, _): &Figure) -> String {
    match (result.figures.get(*column), *unit) {
        (Some(serde_json::Value::String(text)), _) => text.clone(),
        (Some(serde_json::Value::Number(number)), unit) => {
            let number = number.as_f64().unwrap_or_default();
            match unit {
                "ms" => format!("{:.3}", number / 1e6),
                "kbit/s" => format!("{:.2}", number / 1e3),
                "Mbit/s" => format!("{:.2}", number / 1e6),
                "%" | "1/s" => format!("{number:.2}"),
                _ if number.fract() == 0.0 => format!("{number:.0}"),
                _ => format!("{number:.2}"),
            }
        }
        _ => "–".to_owned(),
    }
}
