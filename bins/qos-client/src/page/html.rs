//! The page around the drawings. Everything that comes from the events is escaped.

use std::fmt::{self, Write as _};
use std::time::Duration;

use netstats::jitter::InterarrivalJitter;

use super::plots::{self, Axes, MAX_BARS, MAX_MARKS, Point};
use super::recording::{Fate, Outcome, Recording, Sample};
use super::table;

const STYLE: &str = include_str!("page.css");

/// Text that is nothing but text, in an element or in a quoted attribute.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}

/// All but the first two lines, which mark the page. The error is that of a drawing.
pub(super) fn page(recording: &Recording) -> Result<String, String> {
    let mut page = String::new();
    // Writing to a String does not fail.
    let _ = head(&mut page, recording);
    let _ = match recording.end.results.as_slice() {
        [only] => table::one(&mut page, only),
        several if has_parts(recording) => table::parts(&mut page, several),
        several => table::many(&mut page, several, recording.end.fairness_jain),
    };
    probes(&mut page, recording)?;
    if has_parts(recording) {
        stages(&mut page, &recording.end.results)?;
    } else {
        clients(&mut page, &recording.end.results)?;
    }
    page.push_str("</main>\n</body>\n</html>\n");
    Ok(page)
}

/// Whether its results are parts of one run and not clients.
fn has_parts(recording: &Recording) -> bool {
    matches!(recording.start.command.as_str(), "load" | "compare")
}

fn head(page: &mut String, recording: &Recording) -> fmt::Result {
    let start = &recording.start;
    let (command, target) = (Escaped(&start.command), Escaped(&start.target));
    write!(
        page,
        "<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>qos-client {command}: {target}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n<h1>qos-client {command}: {target}</h1>\n\
         <p class=\"soft\">{}, run {}, measured by {}</p>\n",
        Escaped(&start.time_utc),
        Escaped(&start.run_id),
        Escaped(&start.tool),
    )?;
    for asserted in &recording.end.assertions {
        let (class, verdict) = if asserted.holds {
            ("soft", "holds")
        } else {
            ("fail", "does not hold")
        };
        let text = Escaped(&asserted.assertion);
        writeln!(
            page,
            "<p class=\"{class}\"><code>{text}</code> {verdict}</p>"
        )?;
    }
    Ok(())
}

/// What the probes show, where there were any.
fn probes(page: &mut String, recording: &Recording) -> Result<(), String> {
    if recording.series.is_empty() {
        return Ok(());
    }
    let in_time = || recording.samples().filter_map(answered);
    let rtts: Vec<Point> = in_time()
        .map(|(sent, rtt)| (seconds(sent), ms(rtt)))
        .collect();
    let lost = |sample: &&Sample| sample.fate.is_loss() == Some(true);
    let losses = recording.samples().filter(lost);
    let losses: Vec<f64> = losses.filter_map(|s| s.sent_ns.map(seconds)).collect();
    let shared = if losses.len() > MAX_MARKS {
        "; close ones share a mark"
    } else {
        ""
    };
    figure(
        page,
        &Axes {
            title: "Round-trip time",
            x: "sent, s after the first probe",
            y: "RTT, ms",
        },
        &format!(
            "<span class=\"key first\">RTT</span> of {} answers, \
             <span class=\"key loss\">{} losses</span> by when they were sent{shared}",
            rtts.len(),
            losses.len()
        ),
        |axes| plots::over_time(axes, &rtts, &[], &losses),
    )?;
    // Of a load, the idle path apart.
    let is_idle = |sample: &&Sample| {
        sample
            .phase
            .as_deref()
            .is_none_or(|phase| matches!(phase, "idle" | "direct"))
    };
    let rtts_of = |wanted: &dyn Fn(&&Sample) -> bool| -> Vec<f64> {
        let samples = recording.samples().filter(wanted);
        samples
            .filter_map(answered)
            .map(|(_, rtt)| ms(rtt))
            .collect()
    };
    let (values, loaded) = (rtts_of(&is_idle), rtts_of(&|sample| !is_idle(sample)));
    let (first, second) = match recording.start.command.as_str() {
        "compare" => ("direct", "proxied"),
        _ => ("on the idle path", "under load"),
    };
    let apart = match loaded.len() {
        0 => String::new(),
        n => format!(
            " <span class=\"key first\">{first}</span>, {n} <span class=\"key second\">{second}</span>"
        ),
    };
    figure(
        page,
        &Axes {
            title: "Distribution of the round-trip time",
            x: "RTT, ms",
            y: "answers no later, %",
        },
        &format!(
            "Of {} answers{apart}; the losses are not in it",
            values.len()
        ),
        |axes| plots::distribution(axes, &values, &loaded),
    )?;
    let (differences, running) = jitter(recording);
    figure(
        page,
        &Axes {
            title: "Jitter",
            x: "sent, s after the first probe",
            y: "ms",
        },
        &format!(
            "<span class=\"key first\">|ΔRTT|</span> of {} pairs of consecutive probes{}",
            differences.len(),
            if running.is_empty() {
                ""
            } else {
                ", <span class=\"key second\">running estimate</span> by RFC 3550 §6.4.1"
            }
        ),
        |axes| plots::over_time(axes, &differences, &running, &[]),
    )?;
    loss_runs(page, recording)
}

fn loss_runs(page: &mut String, recording: &Recording) -> Result<(), String> {
    let runs = recording.loss_runs();
    let Some((&longest, _)) = runs.last_key_value() else {
        page.push_str("<h2>Runs of losses</h2>\n<p>No probe was lost.</p>\n");
        return Ok(());
    };
    let mut heights = vec![0.0; (longest as usize).min(MAX_BARS)];
    for (length, times) in runs {
        if let Some(height) = heights.get_mut((length as usize).min(MAX_BARS) - 1) {
            *height += f64::from(times);
        }
    }
    let beyond = if longest as usize > MAX_BARS {
        format!("; the last bar has all of {MAX_BARS} and more, the longest is {longest}")
    } else {
        String::new()
    };
    figure(
        page,
        &Axes {
            title: "Runs of losses",
            x: "losses in a row",
            y: "times",
        },
        &format!("{} losses{beyond}", recording.losses()),
        |axes| plots::bars(axes, &heights, true),
    )
}

/// By how much the median grew in each stage of a load.
fn stages(page: &mut String, results: &[Outcome]) -> Result<(), String> {
    let loaded: Vec<(&str, f64)> = results
        .iter()
        .filter_map(|result| {
            let phase = result.figures.get("phase")?.as_str()?;
            Some((phase, result.number("rtt_increase_ns")? / 1e6))
        })
        .take(MAX_BARS)
        .collect();
    if loaded.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = (1..)
        .zip(&loaded)
        .map(|(number, (phase, _))| format!("{number} {}", Escaped(phase)))
        .collect();
    let heights: Vec<f64> = loaded.iter().map(|(_, increase)| *increase).collect();
    figure(
        page,
        &Axes {
            title: "Increase of the median round-trip time",
            x: "load",
            y: "ms",
        },
        &format!("Over the idle path: {}", names.join(", ")),
        |axes| plots::bars(axes, &heights, false),
    )
}

/// What sets several clients apart, and hits from misses.
fn clients(page: &mut String, results: &[Outcome]) -> Result<(), String> {
    let goodput: Vec<f64> = results
        .iter()
        .map(|result| result.number("goodput_bps").unwrap_or_default() / 1e3)
        .collect();
    if results.len() > 1 && goodput.iter().any(|&rate| rate > 0.0) {
        figure(
            page,
            &Axes {
                title: "Goodput by client",
                x: "client",
                y: "kbit/s",
            },
            "First copies of answers, payload only; no bar where there is no rate",
            |axes| plots::bars(axes, &goodput, false),
        )?;
    }
    let totals = |cache: &str| -> Vec<f64> {
        let of = |result: &&Outcome| {
            result.figures.get("cache_status").and_then(|v| v.as_str()) == Some(cache)
        };
        let total = |result: &Outcome| result.number("http_total_ns").map(|ns| ns / 1e6);
        results.iter().filter(of).filter_map(total).collect()
    };
    let (hits, misses) = (totals("HIT"), totals("MISS"));
    if hits.len() + misses.len() > 1 {
        figure(
            page,
            &Axes {
                title: "Latency of hits and of misses",
                x: "whole request, ms",
                y: "requests no longer, %",
            },
            &format!(
                "<span class=\"key first\">{} hits</span>, \
                 <span class=\"key second\">{} misses</span>, by the Cache-Status field",
                hits.len(),
                misses.len()
            ),
            |axes| plots::distribution(axes, &hits, &misses),
        )?;
    }
    Ok(())
}

/// A drawing with its words; the caption is of this file's own making.
fn figure(
    page: &mut String,
    axes: &Axes,
    caption: &str,
    draw: impl FnOnce(&Axes) -> Result<String, String>,
) -> Result<(), String> {
    let (title, svg) = (axes.title, draw(axes)?);
    let _ = writeln!(
        page,
        "<h2>{title}</h2>\n<figure><figcaption>{caption}</figcaption>\n{svg}</figure>"
    );
    Ok(())
}

/// When a probe that came back in time was sent, and its round trip.
fn answered(sample: &Sample) -> Option<(u64, u64)> {
    match sample.fate {
        Fate::Answered => sample.sent_ns.zip(sample.rtt_ns),
        _ => None,
    }
}

/// |ΔRTT| of consecutive sequence numbers of each client, and, of a single client, the running
/// estimate in the order of arrival.
fn jitter(recording: &Recording) -> (Vec<Point>, Vec<Point>) {
    let mut differences = Vec::new();
    for samples in recording.series.values() {
        for pair in samples.windows(2) {
            let [before, after] = pair else { continue };
            let consecutive = before.sequence.checked_add(1) == Some(after.sequence);
            if let (true, Some((_, old)), Some((sent, new))) =
                (consecutive, answered(before), answered(after))
            {
                differences.push((seconds(sent), ms(new.abs_diff(old))));
            }
        }
    }
    let mut running = Vec::new();
    if recording.series.len() == 1 {
        let mut arrivals: Vec<(u64, u64)> = recording
            .samples()
            .filter_map(answered)
            .map(|(sent, rtt)| (sent.saturating_add(rtt), sent))
            .collect();
        arrivals.sort_unstable();
        let mut estimate = InterarrivalJitter::new();
        for (received, sent) in arrivals {
            estimate.arrived(Duration::from_nanos(sent), Duration::from_nanos(received));
            if let Some(jitter) = estimate.jitter() {
                running.push((seconds(sent), jitter.as_secs_f64() * 1e3));
            }
        }
    }
    (differences, running)
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}
