//! Many HTTP requests, for people.

use std::io::{self, Write};

use comfy_table::CellAlignment;
use netstats::quantile::{P50, P95, P99};
use netstats::summary::Summary;

use super::{ms, or_blank, table, write_table};
use crate::http::series::{Outcome, Pace, Series};
use crate::target::Endpoint;

/// Before they are made.
pub fn series_heading(out: &mut dyn Write, endpoint: &Endpoint, series: &Series) -> io::Result<()> {
    let pace = match series.pace() {
        Pace::Open(rate) => format!("{rate} a second (open loop)"),
        Pace::Closed => "each client after its last (closed loop)".to_owned(),
    };
    writeln!(
        out,
        "{} times GET http://{}{}, {pace}, at most {} at once",
        series.requests(),
        endpoint.authority(),
        series.request.path,
        series.clients()
    )
}

/// What they showed.
pub fn series(out: &mut dyn Write, outcome: &Outcome) -> io::Result<()> {
    writeln!(
        out,
        "  {} made, {} answered ({} with an error status), {} hits, {} misses; {} answers/s",
        outcome.made,
        outcome.answered,
        outcome.refused,
        outcome.hits,
        outcome.misses,
        or_blank(outcome.rate_rps, |rate| format!("{rate:.1}")),
    )?;
    let mut delays = table(["", "mean", "p50", "p95", "p99", "max", "n"]);
    let mut add = |name: &str, delays_of: &Summary| {
        delays.add_row([
            name.to_owned(),
            ms(delays_of.mean()),
            ms(delays_of.quantile(P50)),
            ms(delays_of.quantile(P95)),
            ms(delays_of.quantile(P99)),
            ms(delays_of.max()),
            delays_of.n().to_string(),
        ]);
    };
    add("from when due", &outcome.latency);
    add("from when sent", &outcome.service);
    for column in delays.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    write_table(out, &delays)?;
    if let Some(error) = &outcome.error {
        let failed = outcome.made.saturating_sub(outcome.answered);
        writeln!(out, "  {failed} failed; the first: {error}")?;
    }
    if outcome.interrupted {
        writeln!(out, "  note: ended early")?;
    }
    Ok(())
}
