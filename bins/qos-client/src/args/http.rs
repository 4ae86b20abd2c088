//! The flags of `http`: one request or many.

use std::time::Duration;

use clap::Args;

use super::values::{duration, number};
use super::{Refusal, usage};
use crate::config::Action;
use crate::http;
use crate::http::series::Series;

#[derive(Debug, Args)]
pub(super) struct HttpArgs {
    /// What to ask for
    #[arg(default_value = "/")]
    path: String,
    /// The longest that the whole request may take
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration, allow_hyphen_values = true)]
    timeout: Duration,
    /// Make so many requests, each on a connection of its own, and show how long they took
    #[arg(long, value_parser = number, allow_negative_numbers = true)]
    requests: Option<u64>,
    /// So many a second, whatever comes back; latency counts from when each was due. Without it,
    /// each client makes its next request when the last has ended
    #[arg(
        long,
        requires = "requests",
        value_name = "PER SECOND",
        allow_negative_numbers = true
    )]
    rate: Option<f64>,
    /// How many may be under way at once [default: 1; 256 with --rate]
    #[arg(long, requires = "requests", value_name = "CLIENTS", value_parser = number, allow_negative_numbers = true)]
    concurrency: Option<u64>,
}

impl HttpArgs {
    pub(super) fn action(&self) -> Result<Action, Refusal> {
        let request = plan(&self.path, self.timeout)?;
        let Some(requests) = self.requests else {
            return Ok(Action::Http(request));
        };
        let series = Series::new(request, requests, self.rate, self.concurrency);
        Ok(Action::Series(series.map_err(usage)?))
    }
}

/// A request, here and among those of many clients.
pub(super) fn plan(path: &str, timeout: Duration) -> Result<http::Plan, Refusal> {
    if !http::TIMEOUTS.contains(&timeout) {
        return Err(usage("--timeout is 1ms to 10m"));
    }
    http::Plan {
        timeout,
        ..http::Plan::default()
    }
    .with_path(path)
    .map_err(usage)
}
