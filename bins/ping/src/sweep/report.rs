//! What is told of the targets when a sweep ends.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::Result;
use netio::usage::complain;

use super::Show;
use super::session::{Outcome, Session};
use super::targets::Target;
use crate::config::{Config, Format};
use crate::report::{three_decimals, write_quality, write_summary};
use crate::session::Summary;

/// The columns of `--csv`.
const COLUMNS: [&str; 7] = [
    "target",
    "address",
    "probe",
    "state",
    "sent_ms",
    "rtt_ms",
    "queued_ms",
];

/// A line a target, in their order, which went round the sessions. Whether all answered and kept
/// all bounds.
pub(super) fn write(
    out: &mut impl Write,
    config: &Config,
    show: Show,
    targets: &[Target],
    sessions: &[&Session],
) -> Result<bool> {
    let format = config.output.format;
    let now = Instant::now();
    let mut alive = 0;
    let mut kept = true;
    if format == Format::Csv {
        writeln!(out, "{}", COLUMNS.join(","))?;
    }
    for (at, target) in targets.iter().enumerate() {
        let session = sessions[at % sessions.len()];
        let at = at / sessions.len();
        let Some(summary) = session.summary(at, now) else {
            continue;
        };
        alive += u64::from(summary.success);
        let told = match show {
            Show::All => true,
            Show::Alive => summary.success,
            Show::Unreachable => !summary.success,
        };
        if told && format == Format::Json {
            write_summary(out, &target.name, target.address.ip(), &summary)?;
        } else if told && format == Format::Csv {
            write_rows(out, target, session.probes(at, now))?;
        } else if told && show == Show::All && !config.output.quiet {
            write_line(out, target, &summary)?;
            if config.output.statistics {
                write_quality(out, &summary)?;
            }
        } else if told && show == Show::Unreachable {
            writeln!(out, "{}", target.name)?;
        }
        for assertion in &config.assertions {
            if let Err(broken) = assertion.check(&summary) {
                complain("ping", format_args!("{}: {broken}", target.name));
                kept = false;
            }
        }
    }
    let targets = targets.len() as u64;
    if show == Show::All && format == Format::Text {
        let (mut sent, mut received) = (0, 0);
        for totals in sessions.iter().map(|session| session.totals()) {
            sent += totals.0;
            received += totals.1;
        }
        let silent = targets - alive;
        writeln!(
            out,
            "\n--- {targets} targets: {alive} alive, {silent} unreachable; \
             {sent} packets transmitted, {received} received ---"
        )?;
    }
    out.flush()?;
    Ok(alive == targets && kept)
}

/// A row for each probe.
fn write_rows(
    out: &mut impl Write,
    target: &Target,
    probes: impl Iterator<Item = Outcome>,
) -> Result<()> {
    let mut rows = csv::Writer::from_writer(out);
    let ms = |time: Duration| format!("{:.6}", time.as_nanos() as f64 / 1e6);
    for probe in probes {
        rows.write_record([
            &*target.name,
            &target.address.ip().to_string(),
            &probe.number.to_string(),
            probe.state,
            &ms(probe.sent),
            &probe.rtt.map_or_else(String::new, ms),
            &probe.queued.map_or_else(String::new, ms),
        ])?;
    }
    Ok(rows.flush()?)
}

fn write_line(out: &mut impl Write, target: &Target, summary: &Summary) -> io::Result<()> {
    let Target { name, address } = target;
    let address = address.ip();
    if *name == address.to_string() {
        write!(out, "{name}: ")?;
    } else {
        write!(out, "{name} ({address}): ")?;
    }
    let tally = summary.tally;
    write!(out, "{}/{} received", tally.received, summary.transmitted)?;
    for (count, what) in [
        (tally.duplicates, "duplicates"),
        (tally.corrupted, "corrupted"),
        (tally.errors, "errors"),
    ] {
        if count > 0 {
            write!(out, ", +{count} {what}")?;
        }
    }
    if summary.in_flight > 0 {
        write!(out, ", {} in flight", summary.in_flight)?;
    }
    if let Some(rtt) = summary.rtt {
        let [min, mean, max] = [rtt.min, rtt.mean, rtt.max].map(three_decimals);
        write!(out, ", rtt min/avg/max = {min}/{mean}/{max} ms")?;
    }
    writeln!(out)
}
