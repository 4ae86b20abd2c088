//! A path as a file has it: the lines that `--json` writes, of which as much is read as a
//! comparison takes. The file may be anything.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path as FilePath;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::report::json::VERSION;
use crate::silence::hypotheses::Hypothesis;

/// No file is longer; a trace of 255 hops takes less than one.
const LONGEST_FILE: u64 = 16 << 20;
/// A hop has no more probes, and no more addresses, one by one.
const MOST_LISTED: usize = 64;
/// More probes than a hop was ever sent.
const MOST_PROBES: u64 = 1_000_000_000_000;
/// No time is longer: a day.
const LONGEST_MS: f64 = 86_400_000.0;
/// As long as `!<255-255>` and some more.
const LONGEST_MARK: usize = 16;
/// Of what the reader says about a line, so much is told.
const LONGEST_COMPLAINT: usize = 120;

/// A path that was probed.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// The address to which it was to lead.
    pub target: IpAddr,
    /// By what it was probed.
    pub method: String,
    /// The last TTL that might have been probed.
    pub max_ttl: u8,
    /// Whether the target answered.
    pub reached: bool,
    /// Whether nothing was cut short.
    pub is_complete: bool,
    /// One TTL after the other; at least one.
    pub hops: Vec<Hop>,
}

/// A hop of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Hop {
    /// Its TTL.
    pub ttl: u8,
    /// Who answered; nobody, of a silent hop.
    pub addresses: Vec<IpAddr>,
    /// A router's refusal, as `!H`, where every answer was one.
    pub mark: Option<String>,
    /// How many probes there were.
    pub sent: u64,
    /// How many were answered.
    pub answered: u64,
    /// Their mean round trip in milliseconds, and its standard deviation where that is known.
    pub rtt_ms: Option<(f64, Option<f64>)>,
    /// What `--confirm` found its silence to be.
    pub silence: Option<Hypothesis>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Start {
        version: u32,
        target: IpAddr,
        method: String,
        max_hops: u8,
    },
    Hop {
        ttl: u8,
        probes: Vec<Probe>,
    },
    HopReport {
        ttl: u8,
        address: Option<IpAddr>,
        mark: Option<String>,
        sent: u64,
        answered: u64,
        mean_ms: Option<f64>,
        stdev_ms: Option<f64>,
        #[serde(default)]
        addresses: Vec<Seen>,
    },
    Confirmation {
        ttl: u8,
        survivor: Option<String>,
    },
    Summary {
        ending: String,
        reached: bool,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Probe {
    address: Option<IpAddr>,
    rtt_ms: Option<f64>,
    mark: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Seen {
    address: IpAddr,
}

/// Reads a file that `--save` or `--json` wrote.
pub fn read(path: &FilePath) -> Result<Path> {
    let name = path.display();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST_FILE + 1).read_to_end(&mut bytes))
        .with_context(|| format!("{name}"))?;
    ensure!(
        bytes.len() as u64 <= LONGEST_FILE,
        "{name}: larger than {} MiB, which no saved trace is",
        LONGEST_FILE >> 20
    );
    parse(&bytes).with_context(|| format!("{name} is no trace that --save wrote"))
}

/// Reads the lines.
pub fn parse(bytes: &[u8]) -> Result<Path> {
    let mut lines = bytes.split(|byte| *byte == b'\n').zip(1..);
    let (first, _) = lines.next().unwrap_or_default();
    let Line::Start {
        version,
        target,
        method,
        max_hops,
    } = line(first, 1)?
    else {
        bail!("line 1: does not say what was traced");
    };
    ensure!(
        version == VERSION,
        "it is of version {version}, and this program reads {VERSION}"
    );
    ensure!(
        method.chars().all(|c| c.is_ascii_alphanumeric()),
        "line 1: no method is called so"
    );
    let mut hops: Vec<Hop> = Vec::new();
    let mut summary = None;
    for (text, number) in lines {
        if text.is_empty() {
            continue;
        }
        ensure!(summary.is_none(), "line {number}: behind the summary");
        let hop = match line(text, number)? {
            Line::Start { .. } => bail!("line {number}: another trace"),
            Line::Summary { ending, reached } => {
                summary = Some((ending == "complete", reached));
                continue;
            }
            Line::Confirmation { ttl, survivor } => {
                if let Some(hop) = hops.iter_mut().find(|hop| hop.ttl == ttl) {
                    let is_it = |it: &Hypothesis| Some(it.name()) == survivor.as_deref();
                    hop.silence = Hypothesis::ALL.into_iter().find(is_it);
                }
                continue;
            }
            Line::Other => continue,
            Line::Hop { ttl, probes } => {
                ensure!(
                    probes.len() <= MOST_LISTED,
                    "line {number}: too many probes"
                );
                of_probes(ttl, &probes)
            }
            Line::HopReport {
                ttl,
                address,
                mark,
                sent,
                answered,
                mean_ms,
                stdev_ms,
                addresses,
            } => {
                let listed = addresses.iter().map(|seen| seen.address);
                ensure!(
                    listed.len() <= MOST_LISTED,
                    "line {number}: too many addresses"
                );
                Hop {
                    ttl,
                    addresses: distinct(listed.chain(address)),
                    mark,
                    sent,
                    answered,
                    rtt_ms: mean_ms.map(|mean| (mean, stdev_ms)),
                    silence: None,
                }
            }
        };
        check(&hop, hops.last()).with_context(|| format!("line {number}"))?;
        hops.push(hop);
    }
    let Some((is_complete, reached)) = summary else {
        bail!("it ends without a summary: the writing was cut off");
    };
    ensure!(!hops.is_empty(), "it has no hops");
    Ok(Path {
        target,
        method,
        max_ttl: max_hops,
        reached,
        is_complete,
        hops,
    })
}

fn line(text: &[u8], number: u32) -> Result<Line> {
    serde_json::from_slice(text).map_err(|error| {
        // It may repeat what is in the file.
        let said = error.to_string();
        let safe = said.chars().map(|c| if c.is_control() { '?' } else { c });
        let safe: String = safe.take(LONGEST_COMPLAINT).collect();
        anyhow::anyhow!("line {number}: {safe}")
    })
}

fn check(hop: &Hop, before: Option<&Hop>) -> Result<()> {
    let is_next = before.is_none_or(|before| before.ttl.checked_add(1) == Some(hop.ttl));
    ensure!(hop.ttl > 0 && is_next, "hop {} is not the next", hop.ttl);
    ensure!(
        hop.answered <= hop.sent && hop.sent <= MOST_PROBES,
        "{} of {} probes cannot have been answered",
        hop.answered,
        hop.sent
    );
    let times = hop
        .rtt_ms
        .iter()
        .flat_map(|(mean, stdev)| [Some(*mean), *stdev]);
    ensure!(
        times.flatten().all(|ms| (0.0..=LONGEST_MS).contains(&ms)),
        "no round trip takes so long"
    );
    let is_mark = |mark: &String| {
        let printable = mark.chars().all(|c| c.is_ascii_graphic());
        mark.starts_with('!') && printable && mark.len() <= LONGEST_MARK
    };
    ensure!(hop.mark.iter().all(is_mark), "no router refuses so");
    Ok(())
}

fn of_probes(ttl: u8, probes: &[Probe]) -> Hop {
    let answers: Vec<&Probe> = probes.iter().filter(|it| it.address.is_some()).collect();
    let refused = answers.iter().all(|probe| probe.mark.is_some());
    let times: Vec<f64> = answers.iter().filter_map(|probe| probe.rtt_ms).collect();
    Hop {
        ttl,
        addresses: distinct(answers.iter().filter_map(|probe| probe.address)),
        mark: answers
            .first()
            .filter(|_| refused)
            .and_then(|it| it.mark.clone()),
        sent: probes.len() as u64,
        answered: answers.len() as u64,
        rtt_ms: mean(&times).map(|mean| (mean, deviation(&times, mean))),
        silence: None,
    }
}

fn mean(times: &[f64]) -> Option<f64> {
    (!times.is_empty()).then(|| times.iter().sum::<f64>() / times.len() as f64)
}

/// The standard deviation of the sample.
fn deviation(times: &[f64], mean: f64) -> Option<f64> {
    let squares: f64 = times.iter().map(|ms| (ms - mean).powi(2)).sum();
    (times.len() > 1).then(|| (squares / (times.len() - 1) as f64).sqrt())
}

fn distinct(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut distinct: Vec<IpAddr> = Vec::new();
    for address in addresses {
        if !distinct.contains(&address) {
            distinct.push(address);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = r#"{"type":"start","version":1,"host":"h","target":"10.0.3.2","method":"udp","max_hops":30,"queries":3,"packet_octets":60}"#;
    const SUMMARY: &str = r#"{"type":"summary","ending":"complete","reached":true,"last_ttl":1,"probes":3,"answered":2}"#;

    fn hop(ttl: u8) -> String {
        format!(
            r#"{{"type":"hop","ttl":{ttl},"probes":[{{"address":"10.0.0.2","rtt_ms":1.0}},{{"address":"10.0.0.3","rtt_ms":3.0}},{{"address":null}}]}}"#
        )
    }

    #[test]
    fn a_hop_of_a_trace_and_one_of_a_report_are_read() {
        let report = r#"{"type":"hop_report","ttl":2,"address":"10.0.9.2","name":"n","mark":"!H","sent":20,"answered":19,"mean_ms":2.5,"stdev_ms":0.5,"addresses":[{"address":"10.0.1.2","answered":1},{"address":"10.0.9.2","answered":18}]}"#;
        let other = r#"{"type":"finding","whatever":1}
{"type":"confirmation","ttl":2,"survivor":"rate_limit"}
{"type":"confirmation","ttl":1,"survivor":"sunshine"}
{"type":"confirmation","ttl":9,"survivor":null}"#;
        let text = format!("{START}\n{}\n{report}\n{other}\n{SUMMARY}\n", hop(1));
        let path = parse(text.as_bytes()).unwrap();
        let address = |last: [u8; 4]| IpAddr::from(last);
        assert_eq!(path.target, address([10, 0, 3, 2]));
        assert!(path.reached && path.is_complete);
        let expected = [
            Hop {
                ttl: 1,
                addresses: vec![address([10, 0, 0, 2]), address([10, 0, 0, 3])],
                mark: None,
                sent: 3,
                answered: 2,
                // Of 1 and 3: the squared distances are 1 and 1, and √2 is the deviation.
                rtt_ms: Some((2.0, Some(2.0_f64.sqrt()))),
                silence: None,
            },
            Hop {
                ttl: 2,
                addresses: vec![address([10, 0, 1, 2]), address([10, 0, 9, 2])],
                mark: Some("!H".to_owned()),
                sent: 20,
                answered: 19,
                rtt_ms: Some((2.5, Some(0.5))),
                silence: Some(Hypothesis::RateLimit),
            },
        ];
        assert_eq!(path.hops, expected);
    }

    #[test]
    fn what_is_no_saved_trace_is_refused_in_one_line_that_says_where() {
        let hop_1 = hop(1);
        let report = |figures: &str| {
            format!(
                "{START}\n{{\"type\":\"hop_report\",\"ttl\":1,\"address\":null,\"mark\":null,{figures}}}\n{SUMMARY}"
            )
        };
        for (text, said) in [
            (String::new(), "line 1"),
            ("\u{1b}[2J".to_owned(), "line 1"),
            (format!("{SUMMARY}\n"), "does not say what"),
            (START.replace(":1,", ":9,"), "version 9"),
            (START.replace("udp", "\\u001b[2J"), "no method"),
            (format!("{START}\n{SUMMARY}"), "no hops"),
            (format!("{START}\n{hop_1}\n"), "cut off"),
            (
                format!(
                    "{START}\n{{\"type\":\"hop\",\"ttl\":1,\"probes\":[{}{{}}]}}\n{SUMMARY}",
                    "{},".repeat(64)
                ),
                "too many probes",
            ),
            (
                format!("{START}\n{hop_1}\n{hop_1}\n{SUMMARY}"),
                "line 3: hop 1",
            ),
            (
                format!("{START}\n{}\n{}\n{SUMMARY}", hop(3), hop(5)),
                "hop 5",
            ),
            (format!("{START}\n{}\n{SUMMARY}", hop(0)), "hop 0"),
            (
                format!("{START}\n{hop_1}\n{START}\n{SUMMARY}"),
                "another trace",
            ),
            (
                format!("{START}\n{hop_1}\n{SUMMARY}\n{hop_1}"),
                "line 4: behind",
            ),
            (report("\"sent\":1,\"answered\":2"), "2 of 1 probes"),
            (
                report("\"sent\":18446744073709551615,\"answered\":0"),
                "probes cannot",
            ),
            (
                report("\"sent\":1,\"answered\":1,\"mean_ms\":-1"),
                "so long",
            ),
            (
                report("\"sent\":1,\"answered\":1,\"mean_ms\":1e99"),
                "so long",
            ),
            (
                report("\"sent\":1,\"answered\":1,\"mean_ms\":1e999"),
                "out of range",
            ),
            (
                format!("{START}\n{}\n{SUMMARY}", "[".repeat(100_000)),
                "line 2",
            ),
            (
                report("\"sent\":1,\"answered\":0")
                    .replace("\"mark\":null", "\"mark\":\"!\\u001b\""),
                "refuses so",
            ),
        ] {
            let complaint = format!("{:#}", parse(text.as_bytes()).unwrap_err());
            assert!(complaint.contains(said), "{text:.80}: {complaint}");
            assert!(!complaint.contains(char::is_control), "{complaint:?}");
        }
    }
}
