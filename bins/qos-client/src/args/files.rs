//! The flags of the commands that read a file: `analyze` and `report`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::duration;
use super::{Refusal, usage};
use crate::config::Analyze;
use crate::{page, udp};

#[derive(Debug, Args)]
pub(super) struct AnalyzeArgs {
    /// The file
    file: PathBuf,
    /// How long after sending an unanswered probe is lost
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = duration, allow_hyphen_values = true)]
    loss_deadline: Duration,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The events of one test, as `qos-client udp --json` prints them
    #[arg(default_value = page::DEFAULT_EVENTS)]
    file: PathBuf,
    /// The page to write; an older report is replaced, any other file is left alone
    #[arg(long, default_value = page::DEFAULT_OUTPUT, value_name = "FILE")]
    output: PathBuf,
}

impl AnalyzeArgs {
    pub(super) fn order(self) -> Result<Analyze, Refusal> {
        // Within the bounds of a test's.
        let plan = udp::Plan::default().with_loss_deadline(self.loss_deadline);
        Ok(Analyze {
            path: self.file,
            loss_deadline: plan.map_err(usage)?.loss_deadline(),
        })
    }
}

impl ReportArgs {
    pub(super) fn order(self) -> page::Order {
        page::Order {
            events: self.file,
            output: self.output,
        }
    }
}
