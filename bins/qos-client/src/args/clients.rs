//! The flags of `clients`.

use std::time::Duration;

use clap::Args;

use super::udp::UdpArgs;
use super::values::{duration, number};
use super::{Refusal, http, usage};
use crate::clients::{Asking, Plan};
use crate::http::series::Series;

#[derive(Debug, Args)]
pub(super) struct ClientsArgs {
    /// How many clients, 1 to 1000
    #[arg(long, default_value_t = 5, value_parser = number, allow_negative_numbers = true)]
    count: u64,
    /// What each asks for by HTTP
    #[arg(long, default_value = "/")]
    path: String,
    /// How many requests each makes, one at a time, beside its UDP test
    #[arg(long, default_value_t = 1, value_parser = number, allow_negative_numbers = true)]
    requests: u64,
    /// So many a second by each, whatever comes back; latency counts from when each was due. Without
    /// it, each makes its next request when its last has ended
    #[arg(
        long,
        requires = "requests",
        value_name = "PER SECOND",
        allow_negative_numbers = true
    )]
    rate: Option<f64>,
    /// The longest that a whole request may take
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration, allow_hyphen_values = true)]
    timeout: Duration,
    #[command(flatten)]
    udp: UdpArgs,
}

impl ClientsArgs {
    pub(super) fn plan(&self) -> Result<Plan, Refusal> {
        let request = http::plan(&self.path, self.timeout)?;
        let mut plan = Plan::default();
        plan.http = if self.requests == 1 && self.rate.is_none() {
            Asking::Once(request)
        } else {
            // One at a time: who asks for several at once is several clients.
            let series = Series::new(request, self.requests, self.rate, Some(1));
            Asking::Often(series.map_err(usage)?)
        };
        plan.udp = self.udp.plan()?;
        plan.with_count(self.count).map_err(usage)
    }
}
