//! A flood, for people: what was offered and what came back, with the layer named.

use std::io::{self, Write};

use comfy_table::CellAlignment;

use super::{BLANK, bps, table, write_table};
use crate::config::compact;
use crate::target::Endpoint;
use crate::udp::Run;
use crate::udp::flood::{Outcome, Plan, Progress};

/// Before it is sent.
pub fn flood_heading(
    out: &mut dyn Write,
    endpoint: &Endpoint,
    plan: &Plan,
    run: Run,
) -> io::Result<()> {
    let rate = match plan.bitrate() {
        Some(bitrate) => format!("{} of payload", bps(Some(bitrate as f64))),
        None => "as many as this machine sends".to_owned(),
    };
    writeln!(
        out,
        "UDP flood to {endpoint}: datagrams of {} bytes for {}, {rate} (run {:016x})",
        plan.payload(),
        compact(plan.duration()),
        run.id
    )
}

/// About once a second.
pub fn flood_progress(out: &mut dyn Write, progress: &Progress) -> io::Result<()> {
    writeln!(
        out,
        "  {:.0} s: {} sent, {} came back",
        progress.since_start.as_secs_f64(),
        bps(Some(progress.sent_bps)),
        bps(Some(progress.received_bps)),
    )
}

/// What it showed.
pub fn flood(out: &mut dyn Write, shown: &Outcome) -> io::Result<()> {
    let loss = shown
        .loss_pct()
        .map_or(BLANK.to_owned(), |share| format!("{share:.2} %"));
    writeln!(
        out,
        "  datagrams: {} sent, {} answered, {} lost ({loss}), {} duplicate, {} reordered",
        shown.sent,
        shown.answered,
        shown.lost(),
        shown.duplicates,
        shown.reordered
    )?;
    let mut rates = table(["", "UDP payload", "IP packets", "Ethernet frames"]);
    for (name, rate) in [
        ("offered", shown.offered_bps),
        ("achieved", shown.achieved_bps),
        ("goodput", shown.goodput_bps),
    ] {
        let [packets, frames] = shown.on_the_wire(rate);
        rates.add_row([name.to_owned(), bps(rate), bps(packets), bps(frames)]);
    }
    for column in rates.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    write_table(out, &rates)?;
    for limit in shown.limits() {
        writeln!(out, "  measurement-limited: {limit}")?;
    }
    for note in shown.notes() {
        writeln!(out, "  note: {note}")?;
    }
    Ok(())
}
