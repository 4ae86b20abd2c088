//! The ordinary trace.

use anyhow::Result;

use super::{Run, out};
use crate::diagnose::Diagnosis;
use crate::report::csv::Csv;
use crate::report::text::Report;
use crate::session::Session;

impl Run<'_> {
    /// Traces once. Whether the path is that of `--compare`.
    pub(super) fn trace(&mut self) -> Result<bool> {
        let (start, extras) = (self.start(), self.extras()?);
        let mut session = Session::new(self.plan);
        if self.config.json {
            let mut face = self.json(start, extras, out());
            return self.told_by(&mut session, &mut face, start);
        }
        if self.config.csv {
            let mut face = Csv::new(extras, self.begun, out());
            return self.told_by(&mut session, &mut face, start);
        }
        let watched = self.config.diagnose;
        let diagnosis = watched.then(|| Diagnosis::new(self.traffic_class()));
        let mut face = Report::new(start, extras, diagnosis, out());
        self.told_by(&mut session, &mut face, start)
    }
}
