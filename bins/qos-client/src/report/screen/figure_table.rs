//! The table of a UDP test: each figure with its unit, its n and a word on it.

use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{CellAlignment, Table};
use netio::urgency::Urgency;
use netstats::quantile::{P50, P95, P99, Quantile};
use netstats::summary::Summary;

use super::{bps, ms, or_blank, table, write_table};
use crate::config::compact;
use crate::figures::Figures;
use crate::figures::hops::Hops;
use crate::figures::trust::Conduct;

/// A table under way.
pub(super) struct FigureTable {
    table: Table,
}

impl FigureTable {
    pub(super) fn new() -> FigureTable {
        FigureTable {
            table: table(["figure", "value", "n", ""]),
        }
    }

    fn add(&mut self, name: &str, value: String, n: usize, note: impl Into<String>) {
        self.table
            .add_row([name.to_owned(), value, n.to_string(), note.into()]);
    }

    /// What the path did.
    pub(super) fn path(&mut self, f: &Figures, loss_deadline: Duration) {
        let n = f.rtt.n();
        let loss_note = f.loss_ci_pct.map_or(String::new(), |ci| {
            format!(
                "95 % sure: {:.2} to {:.2} %; deadline {}",
                ci.low,
                ci.high,
                compact(loss_deadline)
            )
        });
        self.add("packet loss", pct(f.loss_pct), f.loss_n as usize, loss_note);
        self.add("RTT min", ms(f.rtt.min()), n, "");
        self.add("RTT mean", ms(f.rtt.mean()), n, "");
        for (name, quantile) in [("RTT p50", P50), ("RTT p95", P95), ("RTT p99", P99)] {
            self.add(name, ms(f.rtt.quantile(quantile)), n, needs(quantile, n));
        }
        self.add("RTT max", ms(f.rtt.max()), n, "");
        self.add("RTT stddev", ms(f.rtt.sample_stddev()), n, "");
        let (jitter, rfc3550) = ("jitter, mean |ΔRTT|", "jitter, RFC 3550");
        self.add(
            jitter,
            ms(f.ipdv_abs_mean),
            f.ipdv_n,
            "of consecutive packets",
        );
        self.add(rfc3550, ms(f.jitter), f.jitter_n, "running estimate");
        self.add("PDV p95", ms(f.rtt.pdv(P95)), n, "above the smallest RTT");
        let answers = (f.answered + f.late) as usize;
        let offered = format!("of payload; {} offered", bps(f.offered_bps));
        self.add("throughput", bps(f.goodput_bps), answers, offered);
        let (r_factor, mos) = f.voice.map(|voice| (voice.r_factor, voice.mos)).unzip();
        let score = or_blank(mos, |mos| format!("{mos:.2}"));
        let rating = or_blank(r_factor, |r| format!("R {r:.1}"));
        let note =
            format!("{rating} (G.107, G.711 with concealment); one-way delay taken as RTT/2");
        self.add("MOS of a call", score, f.loss_n as usize, note);
    }

    /// How this machine did.
    pub(super) fn conduct(&mut self, conduct: &Conduct) {
        let pacing = &conduct.pacing_error;
        let (p50, p99) = (us(pacing.quantile(P50)), us(pacing.quantile(P99)));
        self.add(
            "pacing error p50",
            p50,
            pacing.n(),
            match conduct.urgency {
                Some(Urgency::RealTime) => "how late packets were sent, by a real-time thread",
                _ => "how late packets were sent",
            },
        );
        let worst = format!(
            "worst {}; slots missed: {}",
            us(pacing.max()),
            conduct.missed_slots
        );
        self.add("pacing error p99", p99, pacing.n(), worst);
    }

    /// Where on the way the time went.
    pub(super) fn hops(&mut self, hops: &Hops) {
        let relays = hops.relays();
        let name = |node: usize| match node {
            0 => "client".to_owned(),
            node if node > relays => "server".to_owned(),
            1 if relays == 1 => "proxy".to_owned(),
            node => format!("proxy {node}"),
        };
        for (i, (link, residence)) in hops.links.iter().zip(&hops.residences).enumerate() {
            let link_name = format!("{} ↔ {}", name(i), name(i + 1));
            self.delays(&link_name, link, "both ways");
            self.delays(&format!("in the {}", name(i + 1)), residence, "");
        }
    }

    fn delays(&mut self, name: &str, delays: &Summary, note: &str) {
        let p99 = match delays.quantile(P99) {
            Some(p99) => format!("median; p99 {}", ms(Some(p99))),
            None => "median".to_owned(),
        };
        let note = [p99.as_str(), note].join(if note.is_empty() { "" } else { "; " });
        self.add(name, ms(delays.quantile(P50)), delays.n(), note);
    }

    /// Numbers to the right.
    pub(super) fn write(mut self, out: &mut dyn Write) -> io::Result<()> {
        for column in [1, 2] {
            if let Some(column) = self.table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        write_table(out, &self.table)
    }
}

fn needs(quantile: Quantile, n: usize) -> String {
    if n < quantile.min_samples() {
        format!("needs {} answers", quantile.min_samples())
    } else {
        String::new()
    }
}

/// For the small times that a pacing error should be.
pub(crate) fn us(duration: Option<Duration>) -> String {
    or_blank(duration, |duration| {
        format!("{:.1} µs", duration.as_secs_f64() * 1e6)
    })
}

fn pct(share: Option<f64>) -> String {
    or_blank(share, |share| format!("{share:.2} %"))
}
