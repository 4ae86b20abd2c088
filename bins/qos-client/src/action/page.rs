//! A recorded test made into a page.

use super::{Bench, Failure, Verdict};
use crate::page::{self, Order};

impl Bench<'_> {
    pub(super) fn report(&mut self, order: &Order) -> Result<Verdict, Failure> {
        let recording = page::make(order)?;
        writeln!(
            self.out,
            "  {} probes, {} of them lost; written to {}",
            recording.samples().count(),
            recording.losses(),
            order.output.display()
        )?;
        Ok(Verdict::Passed)
    }
}
