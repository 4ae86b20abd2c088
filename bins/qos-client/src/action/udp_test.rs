//! A UDP test, from its order to its report.

use std::slice::from_ref;

use super::{Bench, Failure, Verdict, outcome};
use crate::config::Action;
use crate::live::{self, screen::Screen};
use crate::report::events::{self, Event, Interval, Ordered, Outcome, Start};
use crate::report::row::Row;
use crate::report::screen;
use crate::target::{Endpoint, Service};
use crate::udp::{Measurement, Pace, Plan, Progress, Run, Test};

impl Bench<'_> {
    pub(super) fn udp(&mut self, action: &Action, plan: &Plan) -> Result<Verdict, Failure> {
        let endpoint = self.target.endpoint(Service::Udp);
        let (at, run) = (jiff::Timestamp::now(), Run::new());
        if self.output.json {
            let mut start = Start::new("udp", at, run, endpoint.to_string());
            start.udp = Some(Ordered::of(plan));
            events::write(self.out, &Event::Start(start))?;
        } else {
            screen::udp_heading(self.out, &endpoint, plan, run)?;
        }
        self.out.flush()?;
        let measured = self.measure(&endpoint, plan, run)?;
        let mut row = Row::new(at, run, 1, &endpoint.to_string());
        row.add_udp(&measured);
        let checked = self.hold(&mut [&mut row]);
        if self.output.json {
            self.samples(1, None, &measured)?;
            let outcome = Outcome {
                figures: &row,
                grades: &row.grades,
                limits: &measured.limits,
                notes: &measured.notes,
                errors: Vec::new(),
            };
            self.end("udp", run, vec![outcome], None, &checked)?;
        } else {
            screen::udp(self.out, &measured)?;
            screen::assertions(self.out, &checked)?;
            screen::grades(self.out, self.output.profile.as_ref(), from_ref(&row))?;
        }
        // Where one of the two files cannot be written, the other is.
        let saved = self.save(action, from_ref(&row));
        self.write_capture(&measured)?;
        saved?;
        Ok(outcome(&checked, from_ref(&row)))
    }

    /// Runs a test and tells of its progress, until its end or until Ctrl-C.
    pub(super) fn measure(
        &mut self,
        endpoint: &Endpoint,
        plan: &Plan,
        run: Run,
    ) -> Result<Measurement, Failure> {
        let (out, err) = (&mut *self.out, &mut *self.err);
        let json = self.output.json;
        let mut tell = |progress: Progress| {
            // That progress cannot be told is no reason to end a test.
            let _ = if json {
                let interval = Interval::of(&progress);
                events::write(out, &Event::Interval(interval)).and_then(|()| out.flush())
            } else {
                screen::progress(err, progress)
            };
        };
        let record = {
            let _during = self.interrupt.during_test();
            let test = Test {
                endpoint,
                plan,
                run,
                pace: Pace::Exact,
                interrupt: self.interrupt,
            };
            let live = self.terminal && !json && !self.output.plain;
            match live.then(Screen::take) {
                Some(Ok(screen)) => live::measure(&test, screen)?,
                // Where a view cannot be drawn, a line can be written.
                Some(Err(_)) | None => test.measure(&mut tell)?,
            }
        };
        Ok(Measurement::of(record))
    }
}
