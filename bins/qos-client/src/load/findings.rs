//! What the load changed: each stage beside the idle one.

use std::time::Duration;

use netstats::quantile::P50;
use netstats::responsiveness::{Grade, rpm, trimmed_mean};

use super::{Phase, Stage};

/// What one stage says beside the idle one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finding {
    /// By how much the median round-trip time grew; nothing where it did not. `None` for the idle
    /// stage, and without a load or a median.
    pub rtt_increase: Option<Duration>,
    /// That of the increase.
    pub grade: Option<Grade>,
    /// Trimmed mean of connecting.
    pub connect: Option<Duration>,
    /// Trimmed mean of the request behind it.
    pub request: Option<Duration>,
    /// Trimmed mean of the round-trip times of the loading connections.
    pub own: Option<Duration>,
    /// Round trips a minute.
    pub rpm: Option<f64>,
    /// Small requests behind the figures.
    pub requests: usize,
}

/// What all of them say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    /// In the order of the stages.
    pub of_stages: Vec<Finding>,
    /// The worst grade of any stage.
    pub grade: Option<Grade>,
}

impl Findings {
    /// Compares.
    pub fn of(stages: &[Stage]) -> Findings {
        let idle = stages.iter().find(|stage| stage.phase == Phase::Idle);
        let idle = idle.and_then(median);
        let of_stages: Vec<Finding> = stages.iter().map(|stage| one(stage, idle)).collect();
        Findings {
            grade: of_stages.iter().filter_map(|finding| finding.grade).max(),
            of_stages,
        }
    }
}

fn median(stage: &Stage) -> Option<Duration> {
    stage.probes.as_ref().ok()?.figures.rtt.quantile(P50)
}

fn one(stage: &Stage, idle: Option<Duration>) -> Finding {
    let is_loaded = stage.download_bps.or(stage.upload_bps).is_some();
    let rtt_increase = median(stage)
        .zip(idle)
        .filter(|_| is_loaded)
        .map(|(loaded, idle)| loaded.saturating_sub(idle));
    let times = |of: fn(&super::Requests) -> &Vec<Duration>| {
        let requests = stage.requests.as_ref()?;
        trimmed_mean(of(requests).iter().copied())
    };
    let connect = times(|requests| &requests.connect);
    let request = times(|requests| &requests.request);
    let own = trimmed_mean(stage.own.iter().copied());
    let foreign: Vec<Duration> = [connect, request].into_iter().flatten().collect();
    Finding {
        rtt_increase,
        grade: rtt_increase.map(Grade::of),
        rpm: own
            .filter(|_| foreign.len() == 2)
            .and_then(|own| rpm(&foreign, own)),
        connect,
        request,
        own,
        requests: stage
            .requests
            .as_ref()
            .map_or(0, |requests| requests.request.len()),
    }
}
