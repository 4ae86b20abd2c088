//! Two ways side by side, from their order to their report.

use super::{Bench, Failure, Verdict, outcome};
use crate::compare::{self, Comparison, Plan, Way};
use crate::config::Action;
use crate::report::events::{self, Event, Interval, Ordered, Outcome, Start};
use crate::report::row::Row;
use crate::report::screen;
use crate::target::{Service, Target};
use crate::udp::{Progress, Run};

impl Bench<'_> {
    pub(super) fn compare(&mut self, action: &Action, plan: &Plan) -> Result<Verdict, Failure> {
        let (at, run) = (jiff::Timestamp::now(), Run::new());
        let direct = plan.direct(&self.target);
        if self.output.json {
            let both = format!("{} against {}", name(&direct), name(&self.target));
            let mut start = Start::new("compare", at, run, both);
            start.udp = Some(Ordered::of(&plan.udp));
            events::write(self.out, &Event::Start(start))?;
        } else {
            screen::compare_heading(self.out, &self.target, plan)?;
        }
        self.out.flush()?;
        let (out, err) = (&mut *self.out, &mut *self.err);
        let json = self.output.json;
        let mut tell = |progress: Progress| {
            // That progress cannot be told is no reason to end a test.
            let _ = if json {
                let interval = Interval::of(&progress).in_phase(PROXIED);
                events::write(out, &Event::Interval(interval)).and_then(|()| out.flush())
            } else {
                screen::progress(err, progress)
            };
        };
        let found = {
            let _during = self.interrupt.during_test();
            compare::run(&self.target, plan, run, self.interrupt, &mut tell)?
        };
        let mut rows: Vec<Row> = ways(&found)
            .iter()
            .zip([name(&direct), name(&self.target)])
            .map(|((phase, way), target)| {
                let mut row = Row::new(at, run, 1, &target);
                row.add_way(phase, way);
                row
            })
            .collect();
        if let Some(proxied) = rows.last_mut() {
            proxied.add_differences(&found);
        }
        let checked = self.hold(&mut rows.iter_mut().collect::<Vec<_>>());
        if self.output.json {
            for (phase, way) in ways(&found) {
                self.samples(1, Some(phase), &way.udp)?;
            }
            let outcomes = ways(&found)
                .iter()
                .zip(&rows)
                .map(|((_, way), row)| Outcome {
                    figures: row,
                    grades: &row.grades,
                    limits: &way.udp.limits,
                    notes: &way.udp.notes,
                    errors: Vec::new(),
                })
                .collect();
            self.end("compare", run, outcomes, None, &checked)?;
        } else {
            screen::compare(self.out, &found)?;
            screen::assertions(self.out, &checked)?;
            screen::grades(self.out, self.output.profile.as_ref(), &rows)?;
        }
        self.save(action, &rows)?;
        Ok(outcome(&checked, &rows))
    }
}

const PROXIED: &str = "proxied";

fn ways(found: &Comparison) -> [(&'static str, &Way); 2] {
    [("direct", &found.direct), (PROXIED, &found.proxied)]
}

fn name(target: &Target) -> String {
    let [tcp, udp] = [Service::Tcp, Service::Udp].map(|service| target.endpoint(service));
    format!("{tcp}, {udp}")
}
