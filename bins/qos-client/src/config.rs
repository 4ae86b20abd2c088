//! What the program is asked to do, validated; nothing below this knows of flags.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::assertion::Assertion;
use crate::grade::Profile;
use crate::http::series::Pace;
use crate::load::plan::With;
use crate::page;
use crate::report::csv_file;
use crate::target::Target;
use crate::udp::flood;
use crate::{clients, compare, http, load, udp};

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Whom to measure.
    pub target: Target,
    /// What to do.
    pub action: Action,
    /// Where results go.
    pub output: Output,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The line menu, with these plans as what it offers.
    Menu,
    /// One HTTP request.
    Http(http::Plan),
    /// One UDP test.
    Udp(udp::Plan),
    /// As many datagrams as go.
    Flood(flood::Plan),
    /// Many HTTP requests.
    Series(http::series::Series),
    /// Several clients at once.
    Clients(clients::Plan),
    /// The figures of a capture.
    Analyze(Analyze),
    /// A UDP test held against its capture.
    Verify(udp::Plan),
    /// A page of a recorded test.
    Report(page::Order),
    /// Latency while the path is busy.
    Load(load::Plan),
    /// Past the proxy against through it.
    Compare(compare::Plan),
}

/// A capture to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Analyze {
    /// The file.
    pub path: PathBuf,
    /// An answer later than this is lost.
    pub loss_deadline: Duration,
}

/// Where results go, and what they are held against.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    /// One JSON object instead of tables.
    pub json: bool,
    /// A line a second instead of the live view, on a terminal too.
    pub plain: bool,
    /// The CSV file.
    pub csv: CsvFile,
    /// Where a UDP test's packets go.
    pub capture: Option<PathBuf>,
    /// What must hold for exit status 0.
    pub assertions: Vec<Assertion>,
    /// By what limits the figures are graded.
    pub profile: Option<Profile>,
}

/// Which tests append to which file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CsvFile {
    /// A UDP test to `qos_result.csv` in the current folder; the others nowhere.
    #[default]
    Default,
    /// None.
    Off,
    /// Every test to this file.
    At(PathBuf),
}

impl CsvFile {
    /// Where a row of this action goes.
    pub fn path_for(&self, action: &Action) -> Option<PathBuf> {
        match (self, action) {
            (CsvFile::Default, Action::Udp(_) | Action::Flood(_)) => {
                Some(csv_file::DEFAULT_NAME.into())
            }
            (CsvFile::Default | CsvFile::Off, _) => None,
            (CsvFile::At(path), _) => Some(path.clone()),
        }
    }
}

impl Action {
    /// The command that does this to `target`, for the user to repeat or to put into a script.
    /// Flags that would only repeat a default are left out, but for those that say what is done.
    pub fn command(&self, target: &Target) -> String {
        let mut command = String::from("qos-client");
        // Writing to a String does not fail.
        let mut flag = |name: &str, value: &dyn std::fmt::Display| {
            let word = format!(" {name} {value}");
            let _ = write!(command, "{}", word.trim_end());
        };
        let usual = Target::default();
        if target.host != usual.host {
            flag("--host", &target.host);
        }
        if target.tcp_port != usual.tcp_port {
            flag("--port", &target.tcp_port);
        }
        if target.udp_port != usual.udp_port {
            flag("--udp-port", &target.udp_port);
        }
        match self {
            Action::Menu => flag("menu", &""),
            Action::Http(plan) => flag("http", &plan.path),
            Action::Udp(plan) => {
                flag("udp --packets", &plan.packets());
                udp_flags(&mut flag, plan);
            }
            Action::Flood(plan) => {
                flag("udp --flood --duration", &compact(plan.duration()));
                flag("--payload", &plan.payload());
                if let Some(bitrate) = plan.bitrate() {
                    flag("--bitrate", &bitrate);
                }
                if plan.dscp() != 0 {
                    flag("--dscp", &plan.dscp());
                }
            }
            Action::Series(series) => {
                flag("http", &series.request.path);
                flag("--requests", &series.requests());
                if let Pace::Open(rate) = series.pace() {
                    flag("--rate", &rate);
                }
                flag("--concurrency", &series.clients());
            }
            Action::Analyze(analyze) => flag("analyze", &analyze.path.display()),
            Action::Verify(plan) => {
                flag("verify --packets", &plan.packets());
                udp_flags(&mut flag, plan);
            }
            Action::Report(order) => {
                flag("report", &order.events.display());
                if order.output != page::Order::default().output {
                    flag("--output", &order.output.display());
                }
            }
            Action::Compare(plan) => {
                let usual = compare::Plan::default();
                flag("compare --packets", &plan.udp.packets());
                flag("--interval", &compact(plan.udp.interval()));
                flag("--requests", &plan.rounds());
                if plan.http.path != usual.http.path {
                    flag("--path", &plan.http.path);
                }
                if plan.direct_port != usual.direct_port {
                    flag("--direct-port", &plan.direct_port);
                }
                if plan.direct_udp_port != usual.direct_udp_port {
                    flag("--direct-udp-port", &plan.direct_udp_port);
                }
            }
            Action::Load(plan) => load_flags(&mut flag, plan),
            Action::Clients(plan) => {
                flag("clients --count", &plan.count());
                if let clients::Asking::Often(series) = &plan.http {
                    flag("--requests", &series.requests());
                    if let Pace::Open(rate) = series.pace() {
                        flag("--rate", &rate);
                    }
                }
                flag("--packets", &plan.udp.packets());
                udp_flags(&mut flag, &plan.udp);
            }
        }
        command
    }
}

fn udp_flags(flag: &mut impl FnMut(&str, &dyn std::fmt::Display), plan: &udp::Plan) {
    let usual = udp::Plan::default();
    flag("--payload", &plan.payload());
    flag("--interval", &compact(plan.interval()));
    if plan.loss_deadline() != usual.loss_deadline() {
        flag("--loss-deadline", &compact(plan.loss_deadline()));
    }
    if plan.warmup() != usual.warmup() {
        flag("--warmup", &plan.warmup());
    }
    if plan.pattern() != usual.pattern() {
        flag("--pattern", &plan.pattern());
    }
    if plan.seed() != usual.seed() {
        flag("--seed", &plan.seed());
    }
    if plan.dscp() != usual.dscp() {
        flag("--dscp", &plan.dscp());
    }
    if plan.stamps() {
        flag("--hops", &"");
    }
    if plan.rtp() {
        flag("--rtp", &"");
    }
}

fn load_flags(flag: &mut impl FnMut(&str, &dyn std::fmt::Display), plan: &load::Plan) {
    let usual = load::Plan::default();
    flag("load --duration", &compact(plan.duration()));
    match plan.with() {
        With::Http { connections } => flag("--connections", &connections),
        With::Datagrams(rate) => flag("--datagrams", &rate),
    }
    if plan.interval() != usual.interval() {
        flag("--interval", &compact(plan.interval()));
    }
    for (name, path) in [("--download", &plan.download), ("--upload", &plan.upload)] {
        if let Some(path) = path {
            flag(name, path);
        }
    }
}

/// A duration as one word that the command line reads back: `100ms`, `1s500ms`.
pub fn compact(duration: std::time::Duration) -> String {
    humantime::format_duration(duration)
        .to_string()
        .replace(' ', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_an_action_names_what_differs_from_the_defaults() {
        let udp = Action::Udp(udp::Plan::default());
        let usual = Target::default();
        assert_eq!(
            udp.command(&usual),
            "qos-client udp --packets 20 --payload 128 --interval 100ms"
        );
        let other = Target {
            host: "::1".to_owned(),
            udp_port: 9000,
            ..usual
        };
        assert_eq!(
            Action::Http(http::Plan::default()).command(&other),
            "qos-client --host ::1 --udp-port 9000 http /"
        );
    }

    #[test]
    fn only_a_udp_test_writes_a_file_that_nobody_named() {
        let udp = Action::Udp(udp::Plan::default());
        let clients = Action::Clients(clients::Plan::default());
        let named = CsvFile::At("a.csv".into());
        for (file, action, path) in [
            (&CsvFile::Default, &udp, Some("qos_result.csv")),
            (&CsvFile::Default, &clients, None),
            (&CsvFile::Off, &udp, None),
            (&named, &clients, Some("a.csv")),
        ] {
            assert_eq!(file.path_for(action), path.map(PathBuf::from));
        }
    }
}
