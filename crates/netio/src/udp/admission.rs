//! The door of everything that answers datagrams: who is let in, how many of them, and a count of
//! those who were not, by reason.

use std::time::Instant;

use super::Train;
use super::rate::{RateLimiter, RateLimits};
use super::source::SourceRule;
use crate::telemetry::Counter;

/// Why a datagram is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Source port 0: there is nowhere to answer to (RFC 768: "if not used, a value of zero").
    PortZero,
    /// A source port below 1024: a service, not a client.
    ServicePort,
    /// A source port that the [`SourceRule`] was told of.
    BlockedPort,
    /// From `0.0.0.0/8` or `::`.
    UnspecifiedAddress,
    /// From `255.255.255.255`. The broadcast address of a network cannot be told from the address
    /// alone; the kernel lets none in as a source.
    BroadcastAddress,
    /// From a multicast group.
    MulticastAddress,
    /// From no network that the operator let in.
    NotAllowed,
    /// Sent to a broadcast or multicast address: if all who heard it answered, the source, which
    /// may be forged, would get a multiple of what was sent.
    SentToMany,
    /// More than the bound on one source lets through.
    SourceRate,
    /// More than the bound on all sources lets through.
    OverallRate,
}

impl Refusal {
    /// Every refusal, in the order of its discriminant.
    pub const ALL: [Refusal; 10] = [
        Refusal::PortZero,
        Refusal::ServicePort,
        Refusal::BlockedPort,
        Refusal::UnspecifiedAddress,
        Refusal::BroadcastAddress,
        Refusal::MulticastAddress,
        Refusal::NotAllowed,
        Refusal::SentToMany,
        Refusal::SourceRate,
        Refusal::OverallRate,
    ];

    /// A word for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::PortZero => "source_port_zero",
            Refusal::ServicePort => "source_port_of_service",
            Refusal::BlockedPort => "source_port_blocked",
            Refusal::UnspecifiedAddress => "source_unspecified",
            Refusal::BroadcastAddress => "source_broadcast",
            Refusal::MulticastAddress => "source_multicast",
            Refusal::NotAllowed => "source_not_allowed",
            Refusal::SentToMany => "sent_to_many",
            Refusal::SourceRate => "source_rate",
            Refusal::OverallRate => "overall_rate",
        }
    }
}

/// What a door has turned away, in datagrams.
#[derive(Debug, Default)]
pub struct AdmissionCounters {
    refused: [Counter; Refusal::ALL.len()],
}

impl AdmissionCounters {
    /// Datagrams refused for this reason.
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refused[refusal as usize].value()
    }

    /// The name of every reason, with the datagrams refused for it.
    pub fn by_reason(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Refusal::ALL
            .into_iter()
            .map(|refusal| (refusal.name(), self.refused(refusal)))
    }

    fn add(&self, refusal: Refusal, datagrams: u32) {
        self.refused[refusal as usize].add(u64::from(datagrams));
    }
}

/// The rule and the bounds of one socket.
#[derive(Debug)]
pub struct Admission {
    rule: SourceRule,
    limiter: RateLimiter,
}

impl Admission {
    /// A door that has let nobody in yet.
    pub fn new(rule: SourceRule, limits: RateLimits, now: Instant) -> Admission {
        Admission {
            rule,
            limiter: RateLimiter::new(limits, now),
        }
    }

    /// As much of `train` as may be answered; what may not is counted.
    pub fn admit<'d>(
        &mut self,
        train: Train<'d>,
        now: Instant,
        counters: &AdmissionCounters,
    ) -> Option<Train<'d>> {
        let datagrams = train.count() as u32;
        let source = train.peer?;
        let checked = if train.local.is_some_and(|local| local.shared) {
            Err(Refusal::SentToMany)
        } else {
            self.rule.check(source)
        };
        if let Err(refusal) = checked {
            counters.add(refusal, datagrams);
            return None;
        }
        let taken = self.limiter.take(source.ip(), datagrams, now);
        if taken.granted == datagrams {
            return Some(train);
        }
        counters.add(Refusal::SourceRate, taken.over_source);
        counters.add(Refusal::OverallRate, taken.over_overall);
        train.first(taken.granted as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::udp::Local;
    use crate::udp::rate::Rate;

    #[test]
    fn every_refusal_is_listed_at_its_discriminant() {
        for (index, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, index);
        }
    }

    #[test]
    fn what_is_refused_is_counted_under_its_reason() {
        let now = Instant::now();
        let rate = |burst| Rate {
            per_second: 1,
            burst,
        };
        let limits = RateLimits {
            per_source: rate(5),
            overall: rate(7),
            bound_loopback: false,
        };
        let mut door = Admission::new(SourceRule::new([9000]), limits, now);
        let counters = AdmissionCounters::default();
        let bytes = [0; 40];
        let shared = Some(Local {
            address: "192.0.2.9".parse().unwrap(),
            interface: 0,
            shared: true,
        });
        for (source, local, admitted) in [
            ("192.0.2.1:9000", None, None),
            ("192.0.2.1:5000", shared, None),
            ("192.0.2.1:5000", None, Some(4)),
            ("192.0.2.1:5000", None, Some(1)),
            ("192.0.2.2:5000", None, Some(2)),
        ] {
            let train = Train {
                segment_size: 10,
                local,
                ..Train::one(Some(source.parse().unwrap()), &bytes)
            };
            let train = door.admit(train, now, &counters);
            assert_eq!(train.map(|train| train.count()), admitted, "{source}");
        }
        for (refusal, datagrams) in [
            (Refusal::BlockedPort, 4),
            (Refusal::SentToMany, 4),
            (Refusal::SourceRate, 3),
            (Refusal::OverallRate, 2),
            (Refusal::PortZero, 0),
        ] {
            assert_eq!(counters.refused(refusal), datagrams, "{}", refusal.name());
        }
    }
}
