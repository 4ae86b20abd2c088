//! One test from its order to its report: measure, show, hold against the assertions, save.

mod captures;
mod compared;
mod flood;
mod loaded;
mod page;
mod series;
mod udp_test;

use std::io::{self, Write};
use std::path::PathBuf;
use std::slice::from_ref;
use std::sync::{Mutex, PoisonError};

use crate::assertion::{Checked, verdict};
use crate::capture::packets::CaptureError;
use crate::capture::verify::VerifyError;
use crate::capture::write::WriteError;
use crate::clients::Asked;
use crate::config::{Action, Output};
use crate::interrupt::Interrupt;
use crate::load::server::OfferError;
use crate::page::PageError;
use crate::report::events::{self, End, Event, Ordered, Outcome, Start};
use crate::report::row::Row;
use crate::report::{csv_file, screen};
use crate::target::{Service, Target, Unreachable};
use crate::udp::{Measurement, Progress, Run};
use crate::{clients, http};

/// What a finished test says to a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything asserted holds; also when nothing was asserted.
    Passed,
    /// Something asserted does not hold.
    Failed,
}

/// Why a test has no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The target gave no result.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The result was shown but could not be saved.
    #[error(transparent)]
    NotSaved(#[from] csv_file::CsvError),
    /// Nothing more can be shown.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
    /// A capture could not be written.
    #[error(transparent)]
    Capture(#[from] WriteError),
    /// A file is no capture, or cannot be read.
    #[error(transparent)]
    NoCapture(#[from] CaptureError),
    /// A test cannot be held against its capture.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A recorded test cannot be made into a page.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The server offers nothing to load it with.
    #[error(transparent)]
    NoOffer(#[from] OfferError),
    /// The machine has no room for the clients.
    #[error("cannot run {count} clients: {source}; try fewer")]
    Clients {
        /// As ordered.
        count: u32,
        /// The operating system's words.
        source: io::Error,
    },
}

/// Where a test is run from: whom it measures and to whom it reports.
pub struct Bench<'a> {
    /// Whom to measure.
    pub target: Target,
    /// Where results go.
    pub output: &'a Output,
    /// Ends a test early.
    pub interrupt: &'a Interrupt,
    /// Whether there is a terminal to draw on.
    pub terminal: bool,
    /// Results.
    pub out: &'a mut dyn Write,
    /// Progress.
    pub err: &'a mut (dyn Write + Send),
}

impl Bench<'_> {
    /// Runs a test. [`Action::Menu`] is none.
    pub fn run(&mut self, action: &Action) -> Result<Verdict, Failure> {
        match action {
            Action::Menu => Ok(Verdict::Passed),
            Action::Http(plan) => self.http(action, plan),
            Action::Flood(plan) => self.flood(action, plan),
            Action::Series(series) => self.series(action, series),
            Action::Udp(plan) => self.udp(action, plan),
            Action::Clients(plan) => self.clients(action, plan),
            Action::Analyze(analyze) => self.analyze(action, analyze),
            Action::Verify(plan) => self.verify(action, plan),
            Action::Report(order) => self.report(order),
            Action::Load(plan) => self.load(action, plan),
            Action::Compare(plan) => self.compare(action, plan),
        }
    }

    fn http(&mut self, action: &Action, plan: &http::Plan) -> Result<Verdict, Failure> {
        let endpoint = self.target.endpoint(Service::Tcp);
        let (at, run) = (jiff::Timestamp::now(), Run::new());
        if self.output.json {
            let start = Start::new("http", at, run, endpoint.to_string());
            events::write(self.out, &Event::Start(start))?;
        }
        // Ctrl-C ends the program here: half a request has nothing to report.
        let exchange = http::fetch(&endpoint, plan, self.interrupt)?;
        let mut row = Row::new(at, run, 1, &endpoint.to_string());
        row.add_http(&exchange);
        let checked = self.hold(&mut [&mut row]);
        if self.output.json {
            let outcome = Outcome {
                figures: &row,
                grades: &row.grades,
                limits: &[],
                notes: &[],
                errors: Vec::new(),
            };
            self.end("http", run, vec![outcome], None, &checked)?;
        } else {
            screen::http(self.out, &endpoint, &plan.path, &exchange)?;
            screen::preview(self.out, &exchange)?;
            screen::assertions(self.out, &checked)?;
            screen::grades(self.out, self.output.profile.as_ref(), from_ref(&row))?;
        }
        self.save(action, from_ref(&row))?;
        Ok(outcome(&checked, from_ref(&row)))
    }

    fn clients(&mut self, action: &Action, plan: &clients::Plan) -> Result<Verdict, Failure> {
        let (at, run) = (jiff::Timestamp::now(), Run::new());
        let tcp = self.target.endpoint(Service::Tcp);
        let udp = self.target.endpoint(Service::Udp);
        if self.output.json {
            let mut start = Start::new("clients", at, run, format!("{tcp}, {udp}"));
            start.udp = Some(Ordered::of(&plan.udp));
            events::write(self.out, &Event::Start(start))?;
        } else {
            screen::clients_heading(self.out, &tcp, &udp, plan)?;
        }
        self.out.flush()?;
        let err = Mutex::new(&mut *self.err);
        let mut tell = |progress: Progress| {
            let mut err = err.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = write!(err, "  first client:");
            let _ = screen::progress(&mut **err, progress);
        };
        let clients = {
            let _during = self.interrupt.during_test();
            clients::run(&self.target, plan, run, self.interrupt, &mut tell)
        };
        let clients = clients.map_err(|source| Failure::Clients {
            count: plan.count(),
            source,
        })?;
        let mut rows: Vec<Row> = clients
            .iter()
            .map(|client| {
                let mut row = Row::new(at, run, client.number, &udp.to_string());
                if let Ok(measured) = &client.udp {
                    row.add_udp(measured);
                }
                match &client.http {
                    Ok(Asked::Once(exchange)) => row.add_http(exchange),
                    Ok(Asked::Often(shown)) => row.add_series(shown),
                    Err(_) => {}
                }
                row
            })
            .collect();
        let checked = self.hold(&mut rows.iter_mut().collect::<Vec<_>>());
        if self.output.json {
            for client in &clients {
                if let Ok(measured) = &client.udp {
                    self.samples(client.number, None, measured)?;
                }
            }
            let outcomes = clients
                .iter()
                .zip(&rows)
                .map(|(c, row)| c.outcome(row))
                .collect();
            let end = End {
                command: "clients",
                run_id: format!("{:016x}", run.id),
                results: outcomes,
                fairness_jain: clients::fairness(&clients),
                http_fairness_jain: clients::http_fairness(&clients),
                assertions: &checked,
            };
            events::write(self.out, &Event::End(end))?;
        } else {
            screen::clients(self.out, &clients)?;
            screen::assertions(self.out, &checked)?;
            screen::grades(self.out, self.output.profile.as_ref(), &rows)?;
        }
        let answered = |client: &clients::Client| client.http.is_ok() || client.udp.is_ok();
        let rows: Vec<Row> = rows
            .into_iter()
            .zip(&clients)
            .filter_map(|(row, client)| answered(client).then_some(row))
            .collect();
        if rows.is_empty()
            && let Some(error) = clients.into_iter().find_map(|client| client.http.err())
        {
            return Err(error.into());
        }
        self.save(action, &rows)?;
        Ok(outcome(&checked, &rows))
    }

    /// The event of each probe; `phase` says of which part of a run it is.
    fn samples(
        &mut self,
        client: u32,
        phase: Option<&'static str>,
        measured: &Measurement,
    ) -> Result<(), Failure> {
        for sample in events::samples(client, phase, &measured.record.trace) {
            events::write(self.out, &Event::Sample(sample))?;
        }
        Ok(())
    }

    /// The last event.
    fn end(
        &mut self,
        command: &str,
        run: Run,
        results: Vec<Outcome<'_>>,
        fairness_jain: Option<f64>,
        assertions: &[Checked],
    ) -> Result<(), Failure> {
        let end = End {
            command,
            run_id: format!("{:016x}", run.id),
            results,
            fairness_jain,
            http_fairness_jain: None,
            assertions,
        };
        events::write(self.out, &Event::End(end))?;
        Ok(())
    }

    /// Holds every row against every assertion that concerns it, and writes each row's verdict into
    /// it. Of several rows, the first that fails speaks for all. A row that has no such figure at
    /// all, as an idle path has no increase under load, is not concerned while another row has it.
    fn hold(&self, rows: &mut [&mut Row]) -> Vec<Checked> {
        let mut of_rows: Vec<Vec<Checked>> = rows.iter().map(|_| Vec::new()).collect();
        let mut shown = Vec::new();
        for assertion in &self.output.assertions {
            let is_somewhere = rows.iter().any(|row| row.has(&assertion.figure));
            let mut spoken: Option<Checked> = None;
            for (row, of_row) in rows.iter().zip(&mut of_rows) {
                if is_somewhere && !row.has(&assertion.figure) {
                    continue;
                }
                let checked = assertion.check(row);
                of_row.push(checked.clone());
                if spoken
                    .as_ref()
                    .is_none_or(|spoken| spoken.holds && !checked.holds)
                {
                    spoken = Some(checked);
                }
            }
            shown.extend(spoken);
        }
        for (row, of_row) in rows.iter_mut().zip(&of_rows) {
            if let Some(profile) = &self.output.profile {
                row.grades = profile.grade(row);
            }
            row.set("verdict", verdict(of_row, &row.grades));
        }
        shown
    }

    fn save(&mut self, action: &Action, rows: &[Row]) -> Result<(), Failure> {
        let path: Option<PathBuf> = self.output.csv.path_for(action);
        let Some(path) = path.filter(|_| !rows.is_empty()) else {
            return Ok(());
        };
        let appended = csv_file::append(&path, rows)?;
        let out: &mut dyn Write = if self.output.json { self.err } else { self.out };
        if let Some(asked) = &appended.instead_of {
            writeln!(
                out,
                "  {} holds something else and was left alone",
                asked.display()
            )?;
        }
        let rows = match rows.len() {
            1 => "1 row".to_owned(),
            n => format!("{n} rows"),
        };
        writeln!(out, "  {rows} appended to {}", appended.path.display())?;
        Ok(())
    }
}

fn outcome(checked: &[Checked], rows: &[Row]) -> Verdict {
    let mut grades = rows.iter().flat_map(|row| &row.grades);
    if checked.iter().all(|checked| checked.holds) && grades.all(|graded| graded.pass) {
        Verdict::Passed
    } else {
        Verdict::Failed
    }
}
