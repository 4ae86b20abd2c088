//! Many HTTP requests, from their order to their report.

use std::slice::from_ref;

use super::{Bench, Failure, Verdict, outcome};
use crate::config::Action;
use crate::http::series::{self, Series};
use crate::report::events::{self, Event, Outcome, Start};
use crate::report::row::Row;
use crate::report::screen;
use crate::target::Service;
use crate::udp::Run;

impl Bench<'_> {
    pub(super) fn series(&mut self, action: &Action, series: &Series) -> Result<Verdict, Failure> {
        let endpoint = self.target.endpoint(Service::Tcp);
        let (at, run) = (jiff::Timestamp::now(), Run::new());
        if self.output.json {
            let start = Start::new("http", at, run, endpoint.to_string());
            events::write(self.out, &Event::Start(start))?;
        } else {
            screen::series_heading(self.out, &endpoint, series)?;
        }
        self.out.flush()?;
        let shown = {
            let _during = self.interrupt.during_test();
            series::run(&endpoint, series, self.interrupt)?
        };
        let mut row = Row::new(at, run, 1, &endpoint.to_string());
        row.add_series(&shown);
        let checked = self.hold(&mut [&mut row]);
        if self.output.json {
            let result = Outcome {
                figures: &row,
                grades: &row.grades,
                limits: &[],
                notes: &[],
                errors: shown.error.clone().into_iter().collect(),
            };
            self.end("http", run, vec![result], None, &checked)?;
        } else {
            screen::series(self.out, &shown)?;
            screen::assertions(self.out, &checked)?;
            screen::grades(self.out, self.output.profile.as_ref(), from_ref(&row))?;
        }
        self.save(action, from_ref(&row))?;
        Ok(outcome(&checked, from_ref(&row)))
    }
}
