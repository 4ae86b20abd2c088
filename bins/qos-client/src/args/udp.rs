//! The flags of `udp`, and of every other command that sends probes.

use std::time::Duration;

use clap::Args;

use super::values::{bit_rate, dscp, duration, number};
use super::{Refusal, usage};
use crate::config::Action;
use crate::udp;
use crate::udp::{Pattern, flood};

#[derive(Debug, Args)]
pub(super) struct UdpCommand {
    #[command(flatten)]
    probes: UdpArgs,
    /// Throughput instead: as many datagrams as this machine sends, many a system call. It has rates,
    /// losses and order, and no times of single packets
    #[arg(long, help_heading = "Flood", conflicts_with_all = ["packets", "interval", "warmup", "pattern", "seed", "hops", "rtp", "loss_deadline"])]
    flood: bool,
    /// How long a flood lasts, 100ms to 1m
    #[arg(long, help_heading = "Flood", requires = "flood", default_value = "5s", value_name = "TIME", value_parser = duration, allow_hyphen_values = true)]
    duration: Duration,
    /// So many bits of payload a second instead of all that go, such as 200mbit or 1.5gbit
    #[arg(long, help_heading = "Flood", requires = "flood", value_name = "BITS", value_parser = bit_rate, allow_negative_numbers = true)]
    bitrate: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct UdpArgs {
    /// How many probes
    #[arg(long, default_value_t = 20, value_parser = number, allow_negative_numbers = true)]
    packets: u64,
    /// Bytes of UDP payload in each, 28 to 65507 [default: 128; 1400 with --flood]
    #[arg(long, value_parser = number, allow_negative_numbers = true)]
    payload: Option<u64>,
    /// From one probe to the next, such as 100ms or 2s; a bare number is milliseconds
    #[arg(long, default_value = "100ms", value_name = "TIME", value_parser = duration, allow_hyphen_values = true)]
    interval: Duration,
    /// Probes sent before those that are counted
    #[arg(long, default_value_t = 0, value_name = "PACKETS", value_parser = number, allow_negative_numbers = true)]
    warmup: u64,
    /// When they are sent and how large they are: cbr, burst or burst:N (N at once, then silence), poisson
    /// (random gaps) or vbr (random sizes up to --payload); on average always one an interval
    #[arg(long, default_value = "cbr")]
    pattern: Pattern,
    /// What the chance of poisson and vbr starts from: the same seed, the same run
    #[arg(long, default_value_t = 1, value_parser = number, allow_negative_numbers = true)]
    seed: u64,
    /// The DSCP of each probe, 0 to 63 (46 is EF), or af41, cs5, ef, ...
    #[arg(long, default_value = "0", value_parser = dscp, allow_negative_numbers = true)]
    dscp: u64,
    /// Ask proxyd and webserverd to stamp the probes, and show where the time is spent
    #[arg(long)]
    hops: bool,
    /// Put an RTP header before each probe, so that Wireshark computes loss and jitter too
    #[arg(long, conflicts_with = "hops")]
    rtp: bool,
    /// How long after sending an unanswered probe is lost
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = duration, allow_hyphen_values = true)]
    loss_deadline: Duration,
}

impl UdpCommand {
    pub(super) fn action(&self) -> Result<Action, Refusal> {
        if self.flood {
            self.flood_plan().map(Action::Flood)
        } else {
            self.probes.plan().map(Action::Udp)
        }
    }

    fn flood_plan(&self) -> Result<flood::Plan, Refusal> {
        let plan = flood::Plan::default();
        let payload = self.probes.payload.unwrap_or(plan.payload() as u64);
        plan.with_payload(payload)
            .and_then(|plan| plan.with_duration(self.duration))
            .and_then(|plan| plan.with_dscp(self.probes.dscp))
            .and_then(|plan| self.bitrate.map_or(Ok(plan), |bps| plan.with_bitrate(bps)))
            .map_err(usage)
    }
}

impl UdpArgs {
    pub(super) fn plan(&self) -> Result<udp::Plan, Refusal> {
        let usual = udp::Plan::default();
        let payload = self.payload.unwrap_or(usual.payload() as u64);
        usual
            .with_packets(self.packets)
            .and_then(|plan| plan.with_payload(payload))
            .and_then(|plan| plan.with_interval(self.interval))
            .and_then(|plan| plan.with_loss_deadline(self.loss_deadline))
            .and_then(|plan| plan.with_warmup(self.warmup))
            .and_then(|plan| plan.with_dscp(self.dscp))
            .and_then(|plan| {
                if self.hops {
                    plan.with_stamps()
                } else {
                    Ok(plan)
                }
            })
            .and_then(|plan| if self.rtp { plan.with_rtp() } else { Ok(plan) })
            .map(|plan| plan.with_pattern(self.pattern).with_seed(self.seed))
            .map_err(usage)
    }

    /// The test that is held against its capture.
    pub(super) fn verified(mut self) -> Result<Action, Refusal> {
        // Without it tshark has no jitter to compare.
        self.rtp = !self.hops;
        self.plan().map(Action::Verify)
    }
}
