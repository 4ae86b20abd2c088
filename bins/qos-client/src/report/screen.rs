//! Results for people: aligned tables in which each figure has its unit and its n.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{Table, presets};

use crate::assertion::Checked;
use crate::config::compact;
use crate::figures::Figures;
use crate::http::Exchange;
use crate::target::Endpoint;
use crate::udp::{Measurement, Pattern, Plan, Progress, Run};
use figure_table::FigureTable;

mod clients;
mod compare;
mod figure_table;
mod flood;
mod grades;
mod load;
mod series;

pub use clients::{clients, clients_heading};
pub use compare::{compare, compare_heading};
pub(crate) use figure_table::us;
pub use flood::{flood, flood_heading, flood_progress};
pub use grades::grades;
pub use load::{load, load_heading};
pub use series::{series, series_heading};

/// Where a figure is blank.
pub(super) const BLANK: &str = "–";

/// The heading of a UDP test, before it runs.
pub fn udp_heading(
    out: &mut dyn Write,
    endpoint: &Endpoint,
    plan: &Plan,
    run: Run,
) -> io::Result<()> {
    let warmup = match plan.warmup() {
        0 => String::new(),
        packets => format!(" after {packets} of warm-up"),
    };
    let sizes = match plan.pattern() {
        Pattern::Vbr => "up to ",
        _ => "",
    };
    let pattern = match plan.pattern() {
        Pattern::Cbr => String::new(),
        pattern @ Pattern::Burst(_) => format!(" on average, {pattern}"),
        pattern => format!(" on average, {pattern} of seed {}", plan.seed()),
    };
    writeln!(
        out,
        "UDP QoS test to {endpoint}: {} packets of {sizes}{} bytes, one every {}{pattern}{warmup} \
         (run {:016x})",
        plan.packets(),
        plan.payload(),
        compact(plan.interval()),
        run.id
    )
}

/// About once a second.
pub fn progress(out: &mut dyn Write, progress: Progress) -> io::Result<()> {
    let Progress {
        sent, answered, of, ..
    } = progress;
    writeln!(out, "  {sent} of {of} sent, {answered} answered")
}

/// The figures of a UDP test.
pub fn udp(out: &mut dyn Write, measured: &Measurement) -> io::Result<()> {
    let (f, plan) = (&measured.figures, &measured.record.plan);
    packets(out, f)?;
    let mut table = FigureTable::new();
    table.path(f, plan.loss_deadline());
    table.conduct(&measured.conduct);
    if let Some(hops) = &measured.hops {
        table.hops(hops);
    }
    table.write(out)?;
    losses(out, f)?;
    if let (ordered @ 1.., Some(returned)) = (plan.dscp(), measured.dscp_returned()) {
        writeln!(out, "  DSCP: sent {ordered}, came back {returned}")?;
    }
    for limit in &measured.limits {
        writeln!(out, "  measurement-limited: {limit}")?;
    }
    for note in &measured.notes {
        writeln!(out, "  note: {note}")?;
    }
    Ok(())
}

/// The figures of a path alone, as a capture has them.
pub fn path(out: &mut dyn Write, f: &Figures, loss_deadline: Duration) -> io::Result<()> {
    packets(out, f)?;
    let mut table = FigureTable::new();
    table.path(f, loss_deadline);
    table.write(out)?;
    losses(out, f)
}

fn packets(out: &mut dyn Write, f: &Figures) -> io::Result<()> {
    writeln!(
        out,
        "  packets: {} sent, {} answered, {} lost, {} late, {} duplicate, {} reordered",
        f.sent, f.answered, f.lost, f.late, f.duplicates, f.reordered
    )
}

/// How losses and overtaking crowd, where there is any.
fn losses(out: &mut dyn Write, f: &Figures) -> io::Result<()> {
    if f.loss_runs.longest > 1 {
        writeln!(
            out,
            "  losses in a row: {} at most, {:.2} on average",
            f.loss_runs.longest,
            f.loss_runs.mean().unwrap_or_default()
        )?;
    }
    if let (Some(mean), Some(density)) = (f.bursts.mean(), f.bursts.burst_density()) {
        writeln!(
            out,
            "  bursts (RFC 3611): {}, of {mean:.1} packets on average with {:.0} % of them lost; \
             between them {:.2} %",
            f.bursts.bursts,
            density * 100.0,
            f.bursts.gap_density().unwrap_or_default() * 100.0
        )?;
    }
    if f.reordered > 0 {
        writeln!(
            out,
            "  the most reordered packet was overtaken over {} arrivals (RFC 4737 extent)",
            f.reorder_extent_max
        )?;
    }
    Ok(())
}

/// What an HTTP request showed.
pub fn http(
    out: &mut dyn Write,
    endpoint: &Endpoint,
    path: &str,
    exchange: &Exchange,
) -> io::Result<()> {
    writeln!(out, "GET http://{}{path}", endpoint.authority())?;
    let mut table = table([]);
    let mut add = |name: &str, value: String, note: String| {
        table.add_row([name.to_owned(), value, note]);
    };
    let status = format!("{} {}", exchange.status, exchange.reason);
    add("status", status.trim_end().to_owned(), String::new());
    add(
        "cache",
        exchange.cache.word().to_owned(),
        exchange.cache.because().to_owned(),
    );
    add(
        "body",
        format!("{} bytes", exchange.body_bytes),
        exchange.content_type.clone().unwrap_or_default(),
    );
    if let Some(via) = &exchange.via {
        add("via", via.clone(), String::new());
    }
    add("connect", ms(Some(exchange.connect)), String::new());
    add(
        "first byte",
        ms(Some(exchange.first_byte)),
        "after the request was sent".to_owned(),
    );
    add(
        "transfer",
        ms(Some(exchange.transfer)),
        "from the first byte to the last".to_owned(),
    );
    add("total", ms(Some(exchange.total)), String::new());
    let piece = match exchange.throughput_bps {
        None => "the body came in one piece: too small for a rate",
        Some(_) => "of the body",
    };
    add("throughput", bps(exchange.throughput_bps), piece.to_owned());
    write_table(out, &table)
}

/// The first characters of a body.
pub fn preview(out: &mut dyn Write, exchange: &Exchange) -> io::Result<()> {
    match &exchange.preview {
        Some(text) if text.is_empty() => Ok(()),
        Some(text) => {
            let shown = text.chars().count();
            writeln!(out, "  first {shown} characters of the body:")?;
            for line in text.lines() {
                writeln!(out, "  | {line}")?;
            }
            Ok(())
        }
        None => writeln!(out, "  the body is not text and is not shown"),
    }
}

/// What was asserted, and whether it held.
pub fn assertions(out: &mut dyn Write, checked: &[Checked]) -> io::Result<()> {
    for Checked {
        assertion,
        measured,
        holds,
    } in checked
    {
        let word = if *holds { "pass" } else { "FAIL" };
        match measured {
            Some(measured) => writeln!(
                out,
                "  {word}: {assertion} (measured {})",
                rounded(*measured)
            )?,
            None => writeln!(
                out,
                "  {word}: {assertion} (blank: the sample is too small)"
            )?,
        }
    }
    Ok(())
}

/// To six decimals, without the zeros behind them.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

pub(super) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if header.iter().any(|name| !name.is_empty()) {
        table.set_header(header);
    }
    table
}

/// Indented by the table's own padding; without blanks at the ends of lines.
pub(super) fn write_table(out: &mut dyn Write, table: &Table) -> io::Result<()> {
    for line in table.lines() {
        writeln!(out, " {}", line.trim_end())?;
    }
    Ok(())
}

pub(super) fn or_blank<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| BLANK.to_owned(), show)
}

pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub(crate) fn ms(duration: Option<Duration>) -> String {
    or_blank(duration, |duration| format!("{:.3} ms", millis(duration)))
}

pub(crate) fn bps(rate: Option<f64>) -> String {
    or_blank(rate, |rate| Rate(rate).to_string())
}

/// Bits a second with a decimal prefix.
struct Rate(f64);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            rate if rate >= 1e9 => write!(f, "{:.2} Gbit/s", rate / 1e9),
            rate if rate >= 1e6 => write!(f, "{:.2} Mbit/s", rate / 1e6),
            rate if rate >= 1e3 => write!(f, "{:.2} kbit/s", rate / 1e3),
            rate => write!(f, "{rate:.0} bit/s"),
        }
    }
}
