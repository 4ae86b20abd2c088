//! The flags of `load`.

use std::time::Duration;

use clap::Args;

use super::values::{bit_rate, duration, number};
use crate::load::Plan;
use crate::load::plan::PlanError;

#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    /// How long each stage is measured, after a second in which the load grows
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = duration, allow_hyphen_values = true)]
    duration: Duration,
    /// How many connections load the path each way [default: 4]
    #[arg(long, value_parser = number, allow_negative_numbers = true)]
    connections: Option<u64>,
    /// From one UDP probe to the next
    #[arg(long, default_value = "20ms", value_name = "TIME", value_parser = duration, allow_hyphen_values = true)]
    interval: Duration,
    /// Download this [default: what the server offers at /.well-known/nq]
    #[arg(long, value_name = "PATH")]
    download: Option<String>,
    /// Upload to this, by POST [default: what the server offers at /.well-known/nq]
    #[arg(long, value_name = "PATH")]
    upload: Option<String>,
    /// Load with datagrams to the echo in the place of HTTP: so many bits of payload a second, such
    /// as 12mbit; a relay may have a narrower link for them than for HTTP
    #[arg(long, value_name = "RATE", value_parser = bit_rate, allow_negative_numbers = true, conflicts_with_all = ["connections", "download", "upload"])]
    datagrams: Option<u64>,
}

impl LoadArgs {
    pub(super) fn plan(self) -> Result<Plan, PlanError> {
        let plan = Plan::default()
            .with_duration(self.duration)?
            .with_interval(self.interval)?
            .with_paths(self.download, self.upload)?;
        match (self.datagrams, self.connections) {
            (Some(rate), _) => plan.with_datagrams(rate),
            (None, Some(connections)) => plan.with_connections(connections),
            (None, None) => Ok(plan),
        }
    }
}
