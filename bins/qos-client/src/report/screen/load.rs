//! A test under load, for people.

use std::io::{self, Write};

use comfy_table::CellAlignment;
use netstats::quantile::{P50, P95};
use netstats::responsiveness::Grade;

use super::{BLANK, bps, ms, or_blank, table, write_table};
use crate::config::compact;
use crate::load::plan::{DATAGRAM_BYTES, RAMP, With};
use crate::load::{Findings, Phase, Plan, Stage};
use crate::udp::Run;

/// Before it runs.
pub fn load_heading(
    out: &mut dyn Write,
    target: &str,
    plan: &Plan,
    phases: &[Phase],
    run: Run,
) -> io::Result<()> {
    let words: Vec<&str> = phases.iter().map(|phase| phase.word()).collect();
    let load = match plan.with() {
        With::Http { connections } => format!("HTTP over {connections} connections each way"),
        With::Datagrams(rate) => {
            format!(
                "datagrams of {DATAGRAM_BYTES} bytes, {}",
                bps(Some(rate as f64))
            )
        }
    };
    writeln!(
        out,
        "Latency under load to {target}: {}; {} each after {} of ramp, a probe every {} \
         (run {:016x})\n  load: {load}",
        words.join(", "),
        compact(plan.duration()),
        compact(RAMP),
        compact(plan.interval()),
        run.id
    )
}

/// What it showed.
pub fn load(out: &mut dyn Write, stages: &[Stage], findings: &Findings) -> io::Result<()> {
    let mut latency = table([
        "load", "RTT p50", "RTT p95", "n", "increase", "loss", "down", "up", "grade",
    ]);
    for (stage, finding) in stages.iter().zip(&findings.of_stages) {
        let figures = stage.probes.as_ref().ok().map(|measured| &measured.figures);
        let quantile = |q| ms(figures.and_then(|f| f.rtt.quantile(q)));
        latency.add_row([
            stage.phase.word().to_owned(),
            quantile(P50),
            quantile(P95),
            or_blank(figures, |f| f.rtt.n().to_string()),
            ms(finding.rtt_increase),
            or_blank(figures.and_then(|f| f.loss_pct), |loss| {
                format!("{loss:.2} %")
            }),
            bps(stage.download_bps),
            bps(stage.upload_bps),
            or_blank(finding.grade, |grade| grade.letter().to_owned()),
        ]);
    }
    right(&mut latency);
    write_table(out, &latency)?;
    if stages.iter().any(|stage| stage.requests.is_some()) {
        responsiveness(out, stages, findings)?;
    }
    grade(out, findings)?;
    for stage in stages {
        let word = stage.phase.word();
        for error in stage.errors() {
            writeln!(out, "  {word}: {error}")?;
        }
        if let Ok(measured) = &stage.probes {
            for limit in &measured.limits {
                writeln!(out, "  {word}: measurement-limited: {limit}")?;
            }
        }
    }
    match stages.iter().find_map(Stage::caveat) {
        Some(caveat) => writeln!(out, "  note: {caveat}"),
        None => Ok(()),
    }
}

fn responsiveness(out: &mut dyn Write, stages: &[Stage], findings: &Findings) -> io::Result<()> {
    let mut small = table([
        "small requests",
        "connect",
        "request",
        "n",
        "loaded TCP",
        "n",
        "RPM",
    ]);
    for (stage, finding) in stages.iter().zip(&findings.of_stages) {
        small.add_row([
            stage.phase.word().to_owned(),
            ms(finding.connect),
            ms(finding.request),
            finding.requests.to_string(),
            ms(finding.own),
            match stage.own.len() {
                0 => BLANK.to_owned(),
                n => n.to_string(),
            },
            or_blank(finding.rpm, |rpm| format!("{rpm:.0}")),
        ]);
    }
    right(&mut small);
    write_table(out, &small)?;
    writeln!(
        out,
        "  times above are means of the fastest 95 %; RPM = (60 s / mean(connect, request) + 60 s / \
         loaded TCP) / 2 (draft-ietf-ippm-responsiveness-08, without TLS; HTTP/1.1: TCP's own \
         estimate stands for requests on the loaded connections)"
    )
}

fn grade(out: &mut dyn Write, findings: &Findings) -> io::Result<()> {
    let Some(worst) = findings.grade else {
        return Ok(());
    };
    let scale: Vec<String> = Grade::SCALE
        .iter()
        .map(|(grade, end)| format!("{} below {}", grade.letter(), compact(*end)))
        .collect();
    writeln!(
        out,
        "  bufferbloat: {} by the largest increase of the median RTT ({}, else F; \
         dslreports.com's scale)",
        worst.letter(),
        scale.join(", ")
    )
}

fn right(table: &mut comfy_table::Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
