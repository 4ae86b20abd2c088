//! The flags of `compare`.

use std::time::Duration;

use clap::Args;

use super::values::{duration, number, port};
use super::{Refusal, usage};
use crate::compare::Plan;
use crate::http;

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// How many pairs of probes
    #[arg(long, default_value_t = 200, value_parser = number, allow_negative_numbers = true)]
    packets: u64,
    /// From one pair to the next
    #[arg(long, default_value = "20ms", value_name = "TIME", value_parser = duration, allow_hyphen_values = true)]
    interval: Duration,
    /// How many rounds of three requests: direct, from the cache, past the cache
    #[arg(long, default_value_t = 50, value_name = "ROUNDS", value_parser = number, allow_negative_numbers = true)]
    requests: u64,
    /// What to ask for; its misses are made by a query of their own
    #[arg(long, default_value = "/")]
    path: String,
    /// The TCP port of the server itself, on the same host
    #[arg(long, default_value_t = 8000, value_name = "PORT", value_parser = port, allow_negative_numbers = true)]
    direct_port: u16,
    /// The UDP port of the server itself
    #[arg(long, default_value_t = 9000, value_name = "PORT", value_parser = port, allow_negative_numbers = true)]
    direct_udp_port: u16,
}

impl CompareArgs {
    pub(super) fn plan(&self) -> Result<Plan, Refusal> {
        let usual = Plan::default();
        let udp = usual.udp.with_packets(self.packets);
        let udp = udp.and_then(|plan| plan.with_interval(self.interval));
        let mut plan = usual;
        plan.direct_port = self.direct_port;
        plan.direct_udp_port = self.direct_udp_port;
        plan.udp = udp.map_err(usage)?;
        plan.http = http::Plan::default().with_path(&self.path).map_err(usage)?;
        plan.with_rounds(self.requests).map_err(usage)
    }
}
