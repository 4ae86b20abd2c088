//! What is done with captures: written beside a test, analysed, and held against the test.

use std::io::Write;

use super::{Bench, Failure, Verdict};
use crate::capture::analysis::Analysis;
use crate::capture::verify::{self, Compared};
use crate::capture::write;
use crate::config::{Action, Analyze};
use crate::report::events::{self, Event, Ordered, Outcome, Start};
use crate::report::flow::Capture;
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
        let read = Analysis::of(&order.path)?;
        let udp = read.udp(order.loss_deadline);
        let mut rows = Vec::new();
        for conversation in &udp {
            for series in &conversation.series {
                let target = format!("udp {}", conversation.udp.server);
                let began = i128::try_from(series.began.as_nanos()).unwrap_or_default();
                // No time of a capture is beyond the years that a label can have.
                let at = jiff::Timestamp::from_nanosecond(began).unwrap_or_default();
                let mut row = Row::new(at, series.run, 1, &target);
                row.add_figures(&series.figures);
                rows.push(row);
            }
        }
        if self.output.json {
            let capture = Capture::of(&order.path, &read);
            events::write(self.out, &Event::Capture(capture))?;
            for flow in flow::flows(&udp, read.conversations.tcp()) {
                events::write(self.out, &Event::Flow(flow))?;
            }
        } else {
            capture_screen::analysis(self.out, &order.path, &read, &udp, order.loss_deadline)?;
        }
        self.save(action, &rows)?;
        Ok(Verdict::Passed)
    }

    /// The test, its capture and tshark side by side; fails when they differ.
    pub(super) fn verify(&mut self, action: &Action, plan: &udp::Plan) -> Result<Verdict, Failure> {
        let endpoint = self.target.endpoint(Service::Udp);
        let (at, run) = (jiff::Timestamp::now(), Run::new());
        if self.output.json {
            let mut start = Start::new("verify", at, run, endpoint.to_string());
            start.udp = Some(Ordered::of(plan));
            events::write(self.out, &Event::Start(start))?;
        } else {
            screen::udp_heading(self.out, &endpoint, plan, run)?;
        }
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
        let mut row = Row::new(at, run, 1, &endpoint.to_string());
        row.add_udp(&measured);
        let agree = verified.figures.iter().all(Compared::agrees);
        let verdict = if agree { "pass" } else { "fail" };
        row.set("verdict", Cell::Text(verdict.to_owned()));
        if self.output.json {
            self.samples(1, None, &measured)?;
            for compared in &verified.figures {
                let compared = events::Compared::of(compared);
                events::write(self.out, &Event::Compared(compared))?;
            }
            let outcome = Outcome {
                figures: &row,
                grades: &[],
                limits: &measured.limits,
                notes: &measured.notes,
                errors: Vec::new(),
            };
            self.end("verify", run, vec![outcome], None, &[])?;
        } else {
            capture_screen::verified(self.out, &verified, &measured)?;
        }
        if let Some(path) = kept {
            let out: &mut dyn Write = if self.output.json { self.err } else { self.out };
            writeln!(out, "  the capture is {}", path.display())?;
        }
        self.save(action, &[row])?;
        Ok(if agree {
            Verdict::Passed
        } else {
            Verdict::Failed
        })
    }
}
