//! Two ways side by side, for people.

use std::io::{self, Write};

use comfy_table::CellAlignment;
use netstats::paired::MedianInterval;
use netstats::quantile::P50;
use netstats::summary::Summary;

use super::{BLANK, ms, or_blank, table, write_table};
use crate::compare::{Comparison, Plan};
use crate::config::compact;
use crate::target::{Service, Target};

/// Before it runs.
pub fn compare_heading(out: &mut dyn Write, proxied: &Target, plan: &Plan) -> io::Result<()> {
    let direct = plan.direct(proxied);
    writeln!(
        out,
        "Direct ({}, {}) against proxied ({}, {}): {} pairs of probes, one every {}, and {} rounds \
         of requests for {}",
        direct.endpoint(Service::Tcp),
        direct.endpoint(Service::Udp),
        proxied.endpoint(Service::Tcp),
        proxied.endpoint(Service::Udp),
        plan.udp.packets(),
        compact(plan.udp.interval()),
        plan.rounds(),
        plan.http.path,
    )
}

/// What it showed.
pub fn compare(out: &mut dyn Write, found: &Comparison) -> io::Result<()> {
    let mut medians = table([
        "medians",
        "direct",
        "proxied",
        "difference",
        "95 % sure",
        "pairs",
        "",
    ]);
    let (past, through) = (&found.direct, &found.proxied);
    let (direct, hits, misses) = (&past.requests, &found.hits, &found.misses);
    for (name, first, second, difference) in [
        (
            "UDP round trip",
            &past.udp.figures.rtt,
            &through.udp.figures.rtt,
            found.rtt,
        ),
        ("request, from the cache", direct, hits, found.hit),
        ("request, not from it", direct, misses, found.miss),
    ] {
        add(&mut medians, name, [first, second], difference);
    }
    let name = "hit (left) and miss (right)";
    add(&mut medians, name, [hits, misses], found.miss_over_hit);
    for column in medians.column_iter_mut().skip(1).take(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    write_table(out, &medians)?;
    let lost =
        |way: &crate::compare::Way| or_blank(way.udp.figures.loss_pct, |p| format!("{p:.2} %"));
    writeln!(
        out,
        "  loss: {} direct, {} proxied",
        lost(past),
        lost(through)
    )?;
    if let Some(hops) = &through.udp.hops
        && hops.relays() == 1
    {
        let residence = hops.residences.first().and_then(|d| d.quantile(P50));
        writeln!(
            out,
            "  in the proxy, by its own stamps: {} of each UDP round trip (median of {}); the rest of \
             the difference is the second link and the kernels at its ends",
            ms(residence),
            hops.n
        )?;
    }
    if found.not_as_asked > 0 {
        writeln!(
            out,
            "  note: {} proxied answers were not the hit or the miss that was asked for, by their \
             own Cache-Status, and are left out",
            found.not_as_asked
        )?;
    }
    for (word, way) in [("direct", past), ("proxied", through)] {
        for limit in &way.udp.limits {
            writeln!(out, "  {word}: measurement-limited: {limit}")?;
        }
        if let Some(note) = way.udp.ended_early() {
            writeln!(out, "  {word}: note: {note}")?;
        }
    }
    Ok(())
}

fn add(
    medians: &mut comfy_table::Table,
    name: &str,
    [first, second]: [&Summary; 2],
    difference: Option<MedianInterval>,
) {
    let signed = |ns: i64| format!("{:+.3}", ns as f64 / 1e6);
    medians.add_row([
        name.to_owned(),
        ms(first.quantile(P50)),
        ms(second.quantile(P50)),
        or_blank(difference, |d| format!("{} ms", signed(d.median))),
        or_blank(difference, |d| {
            format!("{} to {}", signed(d.low), signed(d.high))
        }),
        or_blank(difference, |d| d.n.to_string()),
        match difference {
            Some(difference) if !difference.is_significant() => "not significant".to_owned(),
            Some(_) => String::new(),
            None => format!("{BLANK} needs 6 pairs"),
        },
    ]);
}
