//! What is done with captures: written beside a test, analysed, and held against the test.

use std::io::Write;

use super::{Bench, Failure, Verdict};
use crate::capture::analysis::{self, Analysis};
use crate::capture::{verify, write};
use crate::config::{Action, Analyze};
use crate::report::events::{self, Event};
use crate::report::row::{Cell, Row};
use crate::report::{capture_screen, flow, screen};
use crate::target::Service;
use crate::udp::{self, Measurement, Run};

impl Bench<'_> {
    /// Writes the packets of a test, where that is ordered.
    pub(super) fn write_capture(&mut self, measured: &Measurement) -> Result<(), Failure> {
        let Some(path) = &self.output.capture else {
            return Ok(());
        };
        let packets = write::write(path, &measured.record)?;
        let out: &mut dyn Write = if self.output.json { self.err } else { self.out };
        writeln!(out, "  {packets} packets written to {}", path.display())?;
        Ok(())
    }

    pub(super) fn analyze(&mut self, action: &Action, order: &Analyze) -> Result<Verdict, Failure> {
        let at = jiff::Timestamp::now();
        let read = Analysis::of(&order.path)?;
        let mut rows = Vec::new();
        for udp in read.conversations.udp() {
            for probes in &udp.probes {
                let run = Run { id: probes.run };
                let mut row = Row::new(at, run, 1, &format!("udp {}", udp.server));
                row.add_figures(&analysis::figures(udp, probes, order.loss_deadline));
                rows.push(row);
            }
        }
        if self.output.json {
            for flow in flow::flows(&read, order.loss_deadline) {
                events::write(self.out, &Event::Flow(flow))?;
            }
        } else {
            capture_screen::analysis(self.out, &order.path, &read, order.loss_deadline)?;
        }
        self.save(action, &rows)?;
        Ok(Verdict::Passed)
    }

    /// The test, its capture and tshark side by side; fails when they differ.
    pub(super) fn verify(&mut self, action: &Action, plan: &udp::Plan) -> Result<Verdict, Failure> {
        let endpoint = self.target.endpoint(Service::Udp);
        let (at, run) = (jiff::Timestamp::now(), Run::new());
        screen::udp_heading(self.out, &endpoint, plan, run)?;
        self.out.flush()?;
        let measured = self.measure(&endpoint, plan, run)?;
        let kept = self.output.capture.clone();
        let unkept = std::env::temp_dir().join(format!("qos-verify-{:016x}.pcapng", run.id));
        let path = kept.as_ref().unwrap_or(&unkept);
        let verified = verify::verify(&measured, path);
        if kept.is_none() {
            // Left behind, it is a small file in the folder for such files.
            let _ = std::fs::remove_file(&unkept);
        }
        let verified = verified?;
        capture_screen::verified(self.out, &verified)?;
        if let Some(path) = kept {
            writeln!(self.out, "  the capture is {}", path.display())?;
        }
        let mut row = Row::new(at, run, 1, &endpoint.to_string());
        row.add_udp(&measured);
        let agree = verified.figures.iter().all(verify::Compared::agrees);
        row.set(
            "verdict",
            Cell::Text(if agree { "pass" } else { "fail" }.to_owned()),
        );
        self.save(action, &[row])?;
        Ok(if agree {
            Verdict::Passed
        } else {
            Verdict::Failed
        })
    }
}
