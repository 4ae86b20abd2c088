//! A flood, from its order to its report.

use std::slice::from_ref;

use super::{Bench, Failure, Verdict, outcome};
use crate::config::Action;
use crate::report::events::{self, Event, Flooded, Interval, Outcome, Start};
use crate::report::row::Row;
use crate::report::screen;
use crate::target::Service;
use crate::udp::Run;
use crate::udp::flood::{self, Plan, Progress};

impl Bench<'_> {
    pub(super) fn flood(&mut self, action: &Action, plan: &Plan) -> Result<Verdict, Failure> {
        let endpoint = self.target.endpoint(Service::Udp);
        let (at, run) = (jiff::Timestamp::now(), Run::new());
        if self.output.json {
            let mut start = Start::new("udp", at, run, endpoint.to_string());
            start.flood = Some(Flooded::of(plan));
            events::write(self.out, &Event::Start(start))?;
        } else {
            screen::flood_heading(self.out, &endpoint, plan, run)?;
        }
        self.out.flush()?;
        let (out, err) = (&mut *self.out, &mut *self.err);
        let json = self.output.json;
        let mut tell = |progress: Progress| {
            // That progress cannot be told is no reason to end a test.
            let _ = if json {
                let interval = Interval::of_flood(&progress);
                events::write(out, &Event::Interval(interval)).and_then(|()| out.flush())
            } else {
                screen::flood_progress(err, &progress)
            };
        };
        let shown = {
            let _during = self.interrupt.during_test();
            flood::run(&endpoint, plan, run, self.interrupt, &mut tell)?
        };
        let mut row = Row::new(at, run, 1, &endpoint.to_string());
        row.add_flood(&shown);
        let checked = self.hold(&mut [&mut row]);
        let (limits, notes) = (shown.limits(), shown.notes());
        if self.output.json {
            let result = Outcome {
                figures: &row,
                grades: &row.grades,
                limits: &limits,
                notes: &notes,
                errors: Vec::new(),
            };
            self.end("udp", run, vec![result], None, &checked)?;
        } else {
            screen::flood(self.out, &shown)?;
            screen::assertions(self.out, &checked)?;
            screen::grades(self.out, self.output.profile.as_ref(), from_ref(&row))?;
        }
        self.save(action, from_ref(&row))?;
        Ok(outcome(&checked, from_ref(&row)))
    }
}
