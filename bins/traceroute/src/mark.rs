//! What an answer says about the way: a router passed, the target, or a mark such as !H.

use std::fmt;

use netproto::icmp::{Reason, TimeExceeded, Unreachable};

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

/// Nothing, or a space and the mark of the Linux traceroute.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mark::Refused(reason) = self else {
            return Ok(());
        };
        match reason {
            Reason::Unreachable(why) => match why {
                Unreachable::NoRoute
                | Unreachable::NetUnknown
                | Unreachable::SourceHostIsolated
                | Unreachable::NetForTypeOfService => f.write_str(" !N"),
                Unreachable::Host
                | Unreachable::HostUnknown
                | Unreachable::HostForTypeOfService
                | Unreachable::BeyondScope => f.write_str(" !H"),
                Unreachable::Protocol => f.write_str(" !P"),
                Unreachable::Port => Ok(()),
                Unreachable::SourceRouteFailed => f.write_str(" !S"),
                Unreachable::NetProhibited
                | Unreachable::HostProhibited
                | Unreachable::AdministrativelyProhibited => f.write_str(" !X"),
                Unreachable::PrecedenceViolation => f.write_str(" !V"),
                Unreachable::PrecedenceCutoff => f.write_str(" !C"),
                Unreachable::SourcePolicy => f.write_str(" !<5>"),
                Unreachable::RejectRoute => f.write_str(" !<6>"),
                Unreachable::Unknown(code) => write!(f, " !<{code}>"),
            },
            Reason::PacketTooBig { mtu } => write!(f, " !F-{mtu}"),
            Reason::ParameterProblem(_) => f.write_str(" !P"),
            Reason::TimeExceeded(TimeExceeded::Reassembly) => f.write_str(" !<11-1>"),
            Reason::TimeExceeded(_) => f.write_str(" !<11>"),
            Reason::SourceQuench { .. } => f.write_str(" !<4>"),
            Reason::Redirect(_) => f.write_str(" !<5>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marks_are_those_of_traceroute_8() {
        for (why, mark) in [
            (Unreachable::NoRoute, " !N"),
            (Unreachable::Host, " !H"),
            (Unreachable::Protocol, " !P"),
            (Unreachable::Port, ""),
            (Unreachable::SourceRouteFailed, " !S"),
            (Unreachable::AdministrativelyProhibited, " !X"),
            (Unreachable::PrecedenceViolation, " !V"),
            (Unreachable::PrecedenceCutoff, " !C"),
            (Unreachable::Unknown(42), " !<42>"),
        ] {
            assert_eq!(
                Mark::of(Reason::Unreachable(why)).unwrap().to_string(),
                mark,
                "{why:?}"
            );
        }
        let too_big = Reason::PacketTooBig { mtu: 1400 };
        assert_eq!(Mark::of(too_big).unwrap().to_string(), " !F-1400");
        assert_eq!(Mark::Passing.to_string(), "");
    }
}
