//! Every path instead of one.

use std::io::Write;

use anyhow::Result;

use super::{Run, or_nobody_reads, out};
use crate::config::AllPaths;
use crate::multipath::{self, Graph, Multipath};
use crate::report::extras::Extras;
use crate::report::json::{Ending, Start};
use crate::report::record::Record;
use crate::tracing::Event;

impl Run<'_> {
    /// Finds every path and tells it when it is known.
    pub(super) fn find_all_paths(&mut self, asked: &AllPaths) -> Result<()> {
        let mut multipath = Multipath::new(multipath::Plan {
            first_ttl: self.plan.first_ttl,
            max_ttl: self.plan.max_ttl,
            window: self.plan.window,
            wait: self.plan.waits.max,
            packet_len: self.plan.packet_len,
            confidence: asked.confidence_pct / 100.0,
        });
        let mut found = None;
        let probed = self.in_turn(&mut multipath, &mut Record::new(false), |events| {
            for event in events {
                if let Event::Told(graph) = event {
                    found = Some(graph);
                }
            }
            Ok(())
        });
        if self.config.json {
            let start = Start {
                queries: 1,
                confidence_pct: Some(asked.confidence_pct),
                ..self.start()
            };
            let mut report = self.json(start, Extras::default(), out());
            let told = report.graph(found.as_ref());
            or_nobody_reads(told.and_then(|()| report.summary(Ending::of(&probed))))?;
            return probed.map(|_| ());
        }
        probed?;
        let Some(graph) = found else {
            anyhow::bail!("stopped before all paths were known");
        };
        let text = self.graph_as_text(asked, &graph);
        let mut out = out();
        or_nobody_reads(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
    }

    fn graph_as_text(&self, asked: &AllPaths, graph: &Graph) -> String {
        if asked.dot {
            return graph.dot();
        }
        format!(
            "paths to {} ({}), {} % sure of each router's next hops, {} probes\n{}",
            self.config.host,
            self.target.ip(),
            asked.confidence_pct,
            graph.probes,
            graph.text()
        )
    }
}
