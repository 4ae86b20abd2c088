//! Several clients, for people: a row for each.

use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{CellAlignment, Table};
use netstats::quantile::{P50, P99};

use super::{BLANK, millis, or_blank, table, write_table};
use crate::clients::{self, Asked, Asking, Client};
use crate::http::series::Pace;
use crate::target::Endpoint;
use crate::udp::Measurement;

/// What all clients together are ordered to do.
pub fn clients_heading(
    out: &mut dyn Write,
    tcp: &Endpoint,
    udp: &Endpoint,
    plan: &clients::Plan,
) -> io::Result<()> {
    let (times, pace) = match &plan.http {
        Asking::Once(_) => (String::new(), String::new()),
        Asking::Often(series) => (
            format!("{} times ", series.requests()),
            match series.pace() {
                Pace::Open(rate) => format!(", {rate} a second (open loop)"),
                Pace::Closed => ", one after the other (closed loop)".to_owned(),
            },
        ),
    };
    writeln!(
        out,
        "{} clients at once: each {times}GET http://{}{}{pace} and {} packets of {} bytes to {udp}",
        plan.count(),
        tcp.authority(),
        plan.http.request().path,
        plan.udp.packets(),
        plan.udp.payload(),
    )
}

/// A row for each client, and how evenly they were served.
pub fn clients(out: &mut dyn Write, clients: &[Client]) -> io::Result<()> {
    let many = clients
        .iter()
        .any(|client| matches!(client.http, Ok(Asked::Often(_))));
    let by_http: &[&str] = if many {
        &["HTTP", "hits", "p50 ms", "p99 ms", "kbit/s"]
    } else {
        &["HTTP", "cache", "total ms"]
    };
    let by_udp = ["UDP", "loss %", "RTT ms", "max ms", "jitter ms", "kbit/s"];
    let mut table: Table = table([""]);
    table.set_header(["client"].iter().chain(by_http).chain(&by_udp));
    for client in clients {
        let mut row = vec![client.number.to_string()];
        match &client.http {
            Ok(asked) => row.extend(http_cells(asked)),
            Err(_) => row.extend(failed(by_http.len())),
        }
        match &client.udp {
            Ok(measured) => row.extend(udp_cells(measured)),
            Err(_) => row.extend(failed(by_udp.len())),
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    write_table(out, &table)?;
    if let Some(index) = clients::fairness(clients) {
        writeln!(
            out,
            "  fairness of the UDP throughput (Jain): {index:.4}; 1 is the same for all"
        )?;
    }
    if let Some(index) = clients::http_fairness(clients) {
        writeln!(out, "  fairness of the HTTP throughput (Jain): {index:.4}")?;
    }
    for (error, numbers) in errors_of(clients) {
        writeln!(out, "  {numbers}: {error}")?;
    }
    let measured = clients.iter().filter_map(|client| client.udp.as_ref().ok());
    let cut_short = measured.filter(|udp| udp.record.interrupted).count();
    if cut_short > 0 {
        writeln!(
            out,
            "  note: ended early: {cut_short} of {} clients had packets left to send or to wait for",
            clients.len()
        )?;
    }
    Ok(())
}

fn http_cells(asked: &Asked) -> Vec<String> {
    match asked {
        Asked::Once(exchange) => vec![
            exchange.status.to_string(),
            exchange.cache.word().to_owned(),
            in_ms(Some(exchange.total)),
        ],
        Asked::Often(shown) => vec![
            format!("{}/{}", shown.answered, shown.made),
            shown.hits.to_string(),
            in_ms(shown.latency.quantile(P50)),
            in_ms(shown.latency.quantile(P99)),
            in_kbit(shown.goodput_bps),
        ],
    }
}

fn udp_cells(measured: &Measurement) -> [String; 6] {
    let f = &measured.figures;
    [
        format!("{}/{}", f.answered, f.sent),
        or_blank(f.loss_pct, |share| format!("{share:.2}")),
        in_ms(f.rtt.mean()),
        in_ms(f.rtt.max()),
        in_ms(f.ipdv_abs_mean),
        in_kbit(f.goodput_bps),
    ]
}

fn failed(columns: usize) -> impl Iterator<Item = String> {
    let blanks = std::iter::repeat_n(BLANK, columns - 1);
    std::iter::once("failed").chain(blanks).map(str::to_owned)
}

fn in_ms(duration: Option<Duration>) -> String {
    or_blank(duration, |duration| format!("{:.3}", millis(duration)))
}

fn in_kbit(rate: Option<f64>) -> String {
    or_blank(rate, |rate| format!("{:.2}", rate / 1e3))
}

/// Clients that are named with an error; the table has them all.
const NAMED: usize = 8;

/// Each error once, with the clients that had it.
fn errors_of(clients: &[Client]) -> Vec<(String, String)> {
    let mut errors: Vec<(String, Vec<u32>)> = Vec::new();
    for client in clients {
        for error in client.errors() {
            match errors.iter_mut().find(|(known, _)| *known == error) {
                Some((_, numbers)) => numbers.push(client.number),
                None => errors.push((error, vec![client.number])),
            }
        }
    }
    let named = |numbers: &[u32]| {
        if numbers.len() == clients.len() {
            return "every client".to_owned();
        }
        let first: Vec<_> = numbers.iter().take(NAMED).map(u32::to_string).collect();
        let first = first.join(", ");
        match numbers.len().saturating_sub(NAMED) {
            0 => format!("client {first}"),
            more => format!("client {first} and {more} more"),
        }
    };
    errors
        .into_iter()
        .map(|(error, numbers)| (error, named(&numbers)))
        .collect()
}
