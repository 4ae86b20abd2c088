//! One stage: what the path carried, and what was measured meanwhile.

use std::time::Duration;

use netstats::throughput::Throughput;

use super::Requests;
use super::plan::DATAGRAM_BYTES;
use crate::http::bulk::{Carried, Way};
use crate::target::Unreachable;
use crate::udp::Measurement;

/// What the path carries while it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing.
    Idle,
    /// Downloads.
    Download,
    /// Uploads.
    Upload,
    /// Downloads and uploads.
    Both,
    /// Datagrams to the echo and back.
    Datagrams,
}

impl Phase {
    /// As it is written in results.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Idle => "idle",
            Phase::Download => "download",
            Phase::Upload => "upload",
            Phase::Both => "both",
            Phase::Datagrams => "datagrams",
        }
    }

    /// Whether its load goes this way.
    pub fn carries(self, way: Way) -> bool {
        self == Phase::Datagrams || self.ways().contains(&way)
    }

    /// The ways of its loading connections.
    pub(super) fn ways(self) -> &'static [Way] {
        match self {
            Phase::Idle | Phase::Datagrams => &[],
            Phase::Download => &[Way::Download],
            Phase::Upload => &[Way::Upload],
            Phase::Both => &[Way::Download, Way::Upload],
        }
    }
}

/// What one phase showed.
#[derive(Debug)]
pub struct Stage {
    /// What the path carried.
    pub phase: Phase,
    /// The round-trip times meanwhile.
    pub probes: Result<Measurement, Unreachable>,
    /// Small requests meanwhile, where the load is HTTP.
    pub requests: Option<Requests>,
    /// What was carried to the client.
    pub download_bps: Option<f64>,
    /// What was carried to the server.
    pub upload_bps: Option<f64>,
    /// The round-trip times of the loading connections, as TCP estimated them.
    pub own: Vec<Duration>,
    /// Loading connections that failed: how many, and the first reason.
    pub failed: Option<(usize, String)>,
}

impl Stage {
    /// What went wrong in it, a sentence each.
    pub fn errors(&self) -> Vec<String> {
        let probes = self.probes.as_ref().err().map(ToString::to_string);
        let load = self.failed.as_ref().map(|(count, first)| {
            format!("{count} of the loading connections failed; the first: {first}")
        });
        let requests = self.requests.as_ref().and_then(|requests| {
            let first = requests.error.as_ref()?;
            let count = requests.failed;
            Some(format!("{count} small requests failed; the first: {first}"))
        });
        let idle_way = |(way, rate): (Way, Option<f64>)| {
            let wanted = self.phase.carries(way) && rate.is_none();
            (wanted && self.failed.is_none()).then(|| format!("the {} carried nothing", way.word()))
        };
        let ways = [
            (Way::Download, self.download_bps),
            (Way::Upload, self.upload_bps),
        ];
        let nothing = ways.into_iter().filter_map(idle_way);
        let others = load.into_iter().chain(requests);
        probes.into_iter().chain(nothing).chain(others).collect()
    }

    /// What a reader must know beside the figures, a sentence each.
    pub fn notes(&self) -> Vec<String> {
        let measured = self
            .probes
            .iter()
            .flat_map(|measured| measured.notes.clone());
        measured.chain(self.caveat().map(str::to_owned)).collect()
    }

    /// Why the increase may say little of a network.
    pub fn caveat(&self) -> Option<&'static str> {
        let measured = self.probes.as_ref().ok()?;
        let is_here = measured.record.address.ip().is_loopback();
        (is_here && !self.phase.ways().is_empty()).then_some(
            "the target is this machine: the load takes processors from everything that is \
             measured, so that the increase is theirs more than a network's",
        )
    }
}

/// Puts together what the threads of a stage have left.
pub(super) fn gather(
    phase: Phase,
    probes: Result<Measurement, Unreachable>,
    requests: Option<Requests>,
    carried: Vec<(Way, Carried)>,
    streamed: Option<Result<Measurement, Unreachable>>,
) -> Stage {
    let total = |way: Way| {
        let flows = carried.iter().filter(|(other, _)| *other == way);
        flows
            .map(|(_, carried)| carried.throughput)
            .reduce(Throughput::beside)?
            .bps()
    };
    let (mut download_bps, mut upload_bps) = (total(Way::Download), total(Way::Upload));
    let mut errors: Vec<String> = carried
        .iter()
        .filter_map(|(_, carried)| carried.error.as_ref().map(ToString::to_string))
        .collect();
    match streamed {
        Some(Ok(measured)) => {
            // Every datagram has as many bytes, so that what came back is to what was sent as the
            // answers are to the probes.
            download_bps = measured.figures.goodput_bps;
            upload_bps = measured.figures.sent_bps;
        }
        Some(Err(error)) => {
            errors.push(format!("the load of {DATAGRAM_BYTES} bytes each: {error}"));
        }
        None => {}
    }
    let failed = errors.len();
    Stage {
        phase,
        probes,
        requests,
        download_bps,
        upload_bps,
        failed: errors.into_iter().next().map(|first| (failed, first)),
        own: carried
            .into_iter()
            .flat_map(|(_, carried)| carried.round_trips)
            .collect(),
    }
}
