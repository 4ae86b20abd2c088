//! What the answers of a trace tell about the path besides its routers. Pure: fates in, findings
//! out, each at the hop where it was first seen.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::mark::Mark;
use crate::probe::{Answer, Rewritten};
use crate::report::text::hops_back;
use crate::session::{Fate, MtuNote};
use crate::silence::{self, Record, Silence, Suspect};

/// Something about the path, and the hop at which it was first seen. What did it lies between this
/// hop's predecessor and this hop.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The TTL at which it was first seen.
    pub ttl: u8,
    /// What it is.
    pub what: What,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Addresses, ports or checksum of the probe arrived as others than were sent: a NAT.
    Nat(Rewritten),
    /// A router says that the TTL ran out, in the name of the address that the probe was going to:
    /// a NAT that translates it, and what those behind it say.
    NatOfTarget,
    /// DSCP or ECN arrived as another than was sent.
    TrafficClass {
        /// The octet as it was sent.
        sent: u8,
        /// As it arrived.
        seen: u8,
    },
    /// The link before this hop takes only so much, and a router (or this host) said so.
    Mtu {
        /// Octets.
        mtu: u32,
    },
    /// The link before this hop swallows what is larger, without a word.
    BlackHole {
        /// Octets that pass.
        mtu: u16,
    },
    /// The way back seems to have another length than the way there.
    WayBack {
        /// Hops back, this one included.
        hops: u16,
    },
    /// The hop left probes unanswered that were not lost.
    Silence(Silence),
}

/// Watches a trace.
#[derive(Debug)]
pub struct Diagnosis {
    traffic_class: u8,
    nat: Rewritten,
    /// Whether a router has spoken in the target's name.
    target_is_behind_nat: bool,
    seen_class: u8,
    /// By how many hops the way back differed last.
    detour: i32,
    /// Who answered last at each TTL, and what its probes came to.
    records: BTreeMap<u8, (Option<IpAddr>, Record)>,
}

impl Diagnosis {
    /// Of a trace whose probes leave with this DSCP and ECN.
    pub fn new(traffic_class: u8) -> Diagnosis {
        Diagnosis {
            traffic_class,
            nat: Rewritten::default(),
            target_is_behind_nat: false,
            seen_class: traffic_class,
            detour: 0,
            records: BTreeMap::new(),
        }
    }

    /// What a fate adds to what is known.
    pub fn watch(&mut self, fate: &Fate) -> Vec<Finding> {
        let mut found = Vec::new();
        match fate.note {
            Some(MtuNote::Told { mtu, .. }) => found.push(What::Mtu { mtu }),
            Some(MtuNote::Found { mtu }) => found.push(What::BlackHole { mtu }),
            None => {}
        }
        if let Some(sent) = fate.sent {
            let (address, record) = self.records.entry(fate.ttl).or_default();
            *address = fate.answer.as_ref().map(|it| it.from).or(*address);
            record.add(sent, fate.answer.is_some());
        }
        if let Some(answer) = &fate.answer {
            found.extend(self.rewritten(answer));
            found.extend(self.in_the_targets_name(answer));
            found.extend(self.class(answer));
            found.extend(self.way_back(fate.ttl, answer));
        }
        let at = |what| Finding {
            ttl: fate.ttl,
            what,
        };
        found.into_iter().map(at).collect()
    }

    /// What all fates together add.
    pub fn conclude(&self) -> Vec<Finding> {
        let hops: Vec<(u8, &Record)> = self
            .records
            .iter()
            .map(|(ttl, (_, record))| (*ttl, record))
            .collect();
        let found = silence::judge(&hops).into_iter().map(|silence| Finding {
            ttl: silence.ttl,
            what: What::Silence(silence),
        });
        found.collect()
    }

    /// The hops whose silence is worth an experiment.
    pub fn suspects(&self) -> Vec<Suspect> {
        let hops: Vec<_> = self
            .records
            .iter()
            .map(|(ttl, (address, record))| (*ttl, *address, record))
            .collect();
        silence::suspects(&hops)
    }

    fn rewritten(&mut self, answer: &Answer) -> Option<What> {
        let rewritten = answer.told.quote?.rewritten;
        // The checksum differs from probe to probe; that it does not fit is told once.
        let kind = |it: Rewritten| {
            (
                it.checksum.is_some(),
                Rewritten {
                    checksum: None,
                    ..it
                },
            )
        };
        let is_new = kind(rewritten) != kind(self.nat);
        self.nat = rewritten;
        (is_new && !rewritten.is_empty()).then_some(What::Nat(rewritten))
    }

    fn in_the_targets_name(&mut self, answer: &Answer) -> Option<What> {
        // No host lets the TTL of what is for itself run out: it forwards to nobody (RFC 1122
        // §3.2.1.7, RFC 8200 §3).
        let going_to = answer.told.quote?.destination;
        let seen = answer.mark == Mark::Passing && answer.from == going_to;
        let is_new = seen && !self.target_is_behind_nat;
        self.target_is_behind_nat |= seen;
        is_new.then_some(What::NatOfTarget)
    }

    fn class(&mut self, answer: &Answer) -> Option<What> {
        let seen = answer.told.quote?.traffic_class;
        let is_new = seen != self.seen_class;
        self.seen_class = seen;
        is_new.then_some(What::TrafficClass {
            sent: self.traffic_class,
            seen,
        })
    }

    fn way_back(&mut self, ttl: u8, answer: &Answer) -> Option<What> {
        let hops = hops_back(answer.told.ttl?);
        let detour = i32::from(hops) - i32::from(ttl);
        let is_new = detour != self.detour;
        self.detour = detour;
        (is_new && detour != 0).then_some(What::WayBack { hops })
    }
}

impl Finding {
    /// In one line.
    pub fn line(&self) -> String {
        let Finding { ttl, what } = self;
        match what {
            What::Nat(rewritten) => {
                format!(
                    "hop {ttl}: a NAT before it: probes arrive there with {}",
                    changes(rewritten)
                )
            }
            What::NatOfTarget => format!(
                "hop {ttl}: a NAT there or before it: that the TTL ran out is said in the target's name"
            ),
            What::TrafficClass { sent, seen } => format!(
                "hop {ttl}: DSCP/ECN rewritten before it: sent as {sent:#04x}, arrives there as \
                 {seen:#04x}"
            ),
            What::Mtu { mtu } => {
                format!(
                    "hop {ttl}: the way to it takes packets of {mtu} octets, as its router says"
                )
            }
            What::BlackHole { mtu } => format!(
                "hop {ttl}: packets larger than {mtu} octets vanish on the way to it, and no router \
                 says so"
            ),
            What::WayBack { hops } => {
                format!("hop {ttl}: its answers come {hops} hops back, as far as their TTL tells")
            }
            What::Silence(silence) => silence.line(),
        }
    }
}

fn changes(rewritten: &Rewritten) -> String {
    let mut changes = Vec::new();
    if let Some(source) = rewritten.source {
        changes.push(format!("source {source}"));
    }
    if let Some(port) = rewritten.source_port {
        changes.push(format!("source port {port}"));
    }
    if let Some(destination) = rewritten.destination {
        changes.push(format!("destination {destination}"));
    }
    if let Some(port) = rewritten.destination_port {
        changes.push(format!("destination port {port}"));
    }
    if rewritten.checksum.is_some() {
        changes.push("another checksum".to_owned());
    }
    changes.join(", ")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::probe::{Quote, Told};

    const TARGET: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));

    /// A hop's fate: the class that it saw, the source that it saw if another, its answer's TTL.
    fn fate(ttl: u8, class: u8, source: Option<[u8; 4]>, returned: u8) -> Fate {
        let rewritten = Rewritten {
            source: source.map(Into::into),
            ..Rewritten::default()
        };
        let told = Told {
            ttl: Some(returned),
            quote: Some(Quote {
                destination: TARGET,
                ttl: 1,
                traffic_class: class,
                rewritten,
            }),
            extensions: Vec::new(),
        };
        Fate {
            ttl,
            first_of_hop: true,
            sent: None,
            answer: Some(Answer {
                from: [10, 0, 0, ttl].into(),
                rtt: Duration::ZERO,
                mark: Mark::Passing,
                told,
            }),
            too_large_here: None,
            note: None,
        }
    }

    #[test]
    fn each_change_is_found_once_at_the_hop_that_first_saw_it() {
        let nat = Some([192, 0, 2, 1]);
        let mut diagnosis = Diagnosis::new(0xb8);
        let fates = [
            fate(1, 0xb8, None, 64),
            fate(2, 0xb8, None, 63),
            fate(3, 0x00, nat, 62),
            fate(4, 0x00, nat, 250),
            fate(5, 0x00, nat, 249),
        ];
        let found: Vec<Finding> = fates
            .iter()
            .flat_map(|fate| diagnosis.watch(fate))
            .collect();
        let expected = [
            (3, "source 192.0.2.1"),
            (3, "sent as 0xb8, arrives there as 0x00"),
            // 255 − 250 + 1 hops, and the next one hop more: nothing new.
            (4, "6 hops back"),
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (finding, (ttl, words)) in found.iter().zip(expected) {
            assert_eq!(finding.ttl, ttl);
            assert!(finding.line().contains(words), "{}", finding.line());
        }
    }
    #[test]
    fn routers_that_speak_in_the_targets_name_are_behind_a_nat_and_the_target_itself_is_not() {
        let fate = |ttl: u8, from: [u8; 4], mark: Mark| {
            let mut fate = fate(ttl, 0, None, 65 - ttl);
            let answer = fate.answer.as_mut().unwrap();
            (answer.from, answer.mark) = (from.into(), mark);
            fate
        };
        let (router, target) = ([10, 0, 0, 1], [10, 0, 0, 9]);
        for (second, third, expected) in [
            ((target, Mark::Passing), (target, Mark::Passing), Some(2)),
            ((router, Mark::Passing), (target, Mark::Passing), Some(3)),
            ((router, Mark::Passing), (target, Mark::Arrived), None),
        ] {
            let mut diagnosis = Diagnosis::new(0);
            let fates = [
                fate(1, router, Mark::Passing),
                fate(2, second.0, second.1),
                fate(3, third.0, third.1),
            ];
            let found: Vec<Finding> = fates
                .iter()
                .flat_map(|fate| diagnosis.watch(fate))
                .collect();
            let expected = expected.map(|ttl| Finding {
                ttl,
                what: What::NatOfTarget,
            });
            assert_eq!(found, Vec::from_iter(expected));
        }
    }
}
