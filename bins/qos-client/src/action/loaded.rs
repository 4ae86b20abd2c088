//! A test under load, from its order to its report.

use super::{Bench, Failure, Verdict, outcome};
use crate::config::Action;
use crate::load::{self, Findings, Phase, Plan, Stage, server};
use crate::report::events::{self, Event, Interval, LoadOrder, Outcome, Start};
use crate::report::row::Row;
use crate::report::screen;
use crate::target::Service;
use crate::udp::{Progress, Run};

impl Bench<'_> {
    pub(super) fn load(&mut self, action: &Action, plan: &Plan) -> Result<Verdict, Failure> {
        let (at, run) = (jiff::Timestamp::now(), Run::new());
        let (tcp, udp) = (
            self.target.endpoint(Service::Tcp),
            self.target.endpoint(Service::Udp),
        );
        let paths = server::offer(&tcp, plan, self.interrupt)?;
        let target = match &paths {
            Some(_) => format!("{tcp}, {udp}"),
            None => udp.to_string(),
        };
        if self.output.json {
            let mut start = Start::new("load", at, run, target.clone());
            start.load = Some(LoadOrder::of(plan, paths.as_ref()));
            events::write(self.out, &Event::Start(start))?;
        } else {
            let phases = load::phases(plan, paths.as_ref());
            screen::load_heading(self.out, &target, plan, &phases, run)?;
        }
        self.out.flush()?;
        let (out, err) = (&mut *self.out, &mut *self.err);
        let json = self.output.json;
        let mut tell = |phase: Phase, progress: Progress| {
            // That progress cannot be told is no reason to end a test.
            let _ = if json {
                let interval = Interval::of(&progress).in_phase(phase.word());
                events::write(out, &Event::Interval(interval)).and_then(|()| out.flush())
            } else {
                write!(err, "  {}:", phase.word()).and_then(|()| screen::progress(err, progress))
            };
        };
        let stages = {
            let _during = self.interrupt.during_test();
            load::run(
                &self.target,
                paths.as_ref(),
                plan,
                run,
                self.interrupt,
                &mut tell,
            )?
        };
        let findings = Findings::of(&stages);
        let mut rows: Vec<Row> = stages
            .iter()
            .zip(&findings.of_stages)
            .map(|(stage, finding)| {
                let mut row = Row::new(at, run, 1, &target);
                row.add_stage(stage, finding);
                row
            })
            .collect();
        let checked = self.hold(&mut rows.iter_mut().collect::<Vec<_>>());
        if self.output.json {
            let notes: Vec<Vec<String>> = stages.iter().map(Stage::notes).collect();
            for stage in &stages {
                if let Ok(measured) = &stage.probes {
                    self.samples(1, Some(stage.phase.word()), measured)?;
                }
            }
            let outcomes = stages
                .iter()
                .zip(&rows)
                .zip(&notes)
                .map(|((stage, row), notes)| of_stage(stage, row, notes))
                .collect();
            self.end("load", run, outcomes, None, &checked)?;
        } else {
            screen::load(self.out, &stages, &findings)?;
            screen::assertions(self.out, &checked)?;
            screen::grades(self.out, self.output.profile.as_ref(), &rows)?;
        }
        self.save(action, &rows)?;
        Ok(outcome(&checked, &rows))
    }
}

fn of_stage<'a>(stage: &'a Stage, row: &'a Row, notes: &'a [String]) -> Outcome<'a> {
    Outcome {
        figures: row,
        grades: &row.grades,
        limits: match &stage.probes {
            Ok(measured) => &measured.limits,
            Err(_) => &[],
        },
        notes,
        errors: stage.errors(),
    }
}
