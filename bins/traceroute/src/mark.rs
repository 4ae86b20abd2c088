//! What an answer says about the way: a router passed, the target, or a mark such as !H.

use netproto::icmp::{Reason, TimeExceeded, Unreachable, Version};

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// "The TTL ran out here": the way goes on.
    Passing,
    /// The target itself answered as it should.
    Arrived,
    /// The way ends here, and this is why.
    Refused(Reason),
}

impl Mark {
    /// What an ICMP error says; nothing, if it does not end the probe.
    pub fn of(reason: Reason) -> Option<Mark> {
        match reason {
            Reason::TimeExceeded(TimeExceeded::InTransit) => Some(Mark::Passing),
            Reason::Unreachable(Unreachable::Port) => Some(Mark::Arrived),
            // Advice: the probe went on its way.
            Reason::SourceQuench { .. } | Reason::Redirect(_) => None,
            other => Some(Mark::Refused(other)),
        }
    }
}

impl Mark {
    /// Whether nothing lies behind who said this.
    pub fn ends_the_way(self) -> bool {
        self != Mark::Passing
    }

    /// Nothing, or the mark of the Linux traceroute: `!H`.
    pub fn sign(self, version: Version) -> Option<String> {
        let Mark::Refused(reason) = self else {
            return None;
        };
        let sign = match reason {
            Reason::Unreachable(why) => match why {
                Unreachable::NoRoute
                | Unreachable::NetUnknown
                | Unreachable::SourceHostIsolated
                | Unreachable::NetForTypeOfService => "!N",
                Unreachable::Host
                | Unreachable::HostUnknown
                | Unreachable::HostForTypeOfService
                | Unreachable::BeyondScope => "!H",
                Unreachable::Protocol => "!P",
                Unreachable::Port => return None,
                Unreachable::SourceRouteFailed => "!S",
                Unreachable::NetProhibited
                | Unreachable::HostProhibited
                | Unreachable::AdministrativelyProhibited => "!X",
                Unreachable::PrecedenceViolation => "!V",
                Unreachable::PrecedenceCutoff => "!C",
                Unreachable::SourcePolicy => "!<5>",
                Unreachable::RejectRoute => "!<6>",
                Unreachable::Unknown(code) => return Some(format!("!<{code}>")),
            },
            Reason::PacketTooBig { mtu } => return Some(format!("!F-{mtu}")),
            other => {
                let (kind, code, _) = other.to_wire(version)?;
                return Some(format!("!<{kind}-{code}>"));
            }
        };
        Some(sign.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use netproto::icmp::ParameterProblem;

    use super::*;

    #[test]
    fn the_marks_are_those_of_traceroute_8() {
        for (why, sign) in [
            (Unreachable::NoRoute, Some("!N")),
            (Unreachable::Host, Some("!H")),
            (Unreachable::Protocol, Some("!P")),
            (Unreachable::Port, None),
            (Unreachable::SourceRouteFailed, Some("!S")),
            (Unreachable::AdministrativelyProhibited, Some("!X")),
            (Unreachable::PrecedenceViolation, Some("!V")),
            (Unreachable::PrecedenceCutoff, Some("!C")),
            (Unreachable::Unknown(42), Some("!<42>")),
        ] {
            let mark = Mark::of(Reason::Unreachable(why)).unwrap();
            assert_eq!(mark.sign(Version::V4).as_deref(), sign, "{why:?}");
        }
        let too_big = Mark::of(Reason::PacketTooBig { mtu: 1400 }).unwrap();
        assert_eq!(too_big.sign(Version::V6).as_deref(), Some("!F-1400"));
        let problem = Reason::ParameterProblem(ParameterProblem {
            code: 0,
            pointer: 9,
        });
        for (version, sign) in [(Version::V4, "!<12-0>"), (Version::V6, "!<4-0>")] {
            assert_eq!(
                Mark::of(problem).unwrap().sign(version).as_deref(),
                Some(sign)
            );
        }
        assert_eq!(Mark::Passing.sign(Version::V4), None);
    }
}
