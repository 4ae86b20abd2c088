//! ICMP errors in the words that iputils has for them, and interfaces in ours.

use netproto::icmp::extended_echo::{InterfaceQuery, InterfaceState};
use netproto::icmp::{Reason, TimeExceeded, Unreachable, Version};

/// The words for `reason`; each version has its own.
pub(crate) fn describe(version: Version, reason: Reason) -> String {
    match version {
        Version::V4 => describe_v4(reason),
        Version::V6 => describe_v6(reason),
    }
}

fn describe_v4(reason: Reason) -> String {
    match reason {
        Reason::Unreachable(why) => match why {
            Unreachable::NoRoute => "Destination Net Unreachable".into(),
            Unreachable::Host => "Destination Host Unreachable".into(),
            Unreachable::Protocol => "Destination Protocol Unreachable".into(),
            Unreachable::Port => "Destination Port Unreachable".into(),
            Unreachable::SourceRouteFailed => "Source Route Failed".into(),
            Unreachable::NetUnknown => "Destination Net Unknown".into(),
            Unreachable::HostUnknown => "Destination Host Unknown".into(),
            Unreachable::SourceHostIsolated => "Source Host Isolated".into(),
            Unreachable::NetProhibited => "Destination Net Prohibited".into(),
            Unreachable::HostProhibited => "Destination Host Prohibited".into(),
            Unreachable::NetForTypeOfService => {
                "Destination Net Unreachable for Type of Service".into()
            }
            Unreachable::HostForTypeOfService => {
                "Destination Host Unreachable for Type of Service".into()
            }
            Unreachable::AdministrativelyProhibited => "Packet filtered".into(),
            Unreachable::PrecedenceViolation => "Precedence Violation".into(),
            Unreachable::PrecedenceCutoff => "Precedence Cutoff".into(),
            Unreachable::Unknown(code) => format!("Dest Unreachable, Bad Code: {code}"),
            Unreachable::BeyondScope | Unreachable::SourcePolicy | Unreachable::RejectRoute => {
                "Dest Unreachable".into()
            }
        },
        Reason::PacketTooBig { mtu } => format!("Frag needed and DF set (mtu = {mtu})"),
        Reason::TimeExceeded(TimeExceeded::InTransit) => "Time to live exceeded".into(),
        Reason::TimeExceeded(TimeExceeded::Reassembly) => "Frag reassembly time exceeded".into(),
        Reason::TimeExceeded(TimeExceeded::Unknown(code)) => {
            format!("Time exceeded, Bad Code: {code}")
        }
        Reason::ParameterProblem(at) => format!("Parameter problem: pointer = {}", at.pointer),
        Reason::SourceQuench { .. } => "Source Quench".into(),
        Reason::Redirect(redirect) => {
            let what = match redirect.code {
                0 => "Redirect Network".into(),
                1 => "Redirect Host".into(),
                2 => "Redirect Type of Service and Network".into(),
                3 => "Redirect Type of Service and Host".into(),
                code => format!("Redirect, Bad Code: {code}"),
            };
            format!("{what}(New nexthop: {})", redirect.gateway)
        }
    }
}

fn describe_v6(reason: Reason) -> String {
    match reason {
        Reason::Unreachable(why) => {
            let what = match why {
                Unreachable::NoRoute => "No route".into(),
                Unreachable::AdministrativelyProhibited => "Administratively prohibited".into(),
                Unreachable::BeyondScope => "Beyond scope of source address".into(),
                Unreachable::Host => "Address unreachable".into(),
                Unreachable::Port => "Port unreachable".into(),
                Unreachable::SourcePolicy => "Source address failed ingress/egress policy".into(),
                Unreachable::RejectRoute => "Reject route to destination".into(),
                Unreachable::Unknown(code) => format!("Unknown code {code}"),
                other => format!("{other:?}"),
            };
            format!("Destination unreachable: {what}")
        }
        Reason::PacketTooBig { mtu } => format!("Packet too big: mtu={mtu}"),
        Reason::TimeExceeded(TimeExceeded::InTransit) => "Time exceeded: Hop limit".into(),
        Reason::TimeExceeded(TimeExceeded::Reassembly) => {
            "Time exceeded: Defragmentation failure".into()
        }
        Reason::TimeExceeded(TimeExceeded::Unknown(code)) => format!("Time exceeded: code {code}"),
        Reason::ParameterProblem(at) => {
            let what = match at.code {
                0 => "Wrong header field ".into(),
                1 => "Unknown header ".into(),
                2 => "Unknown option ".into(),
                code => format!("code {code} "),
            };
            format!("Parameter problem: {what}at {}", at.pointer)
        }
        other @ (Reason::SourceQuench { .. } | Reason::Redirect(_)) => describe_v4(other),
    }
}

/// The interface that is asked about.
pub(crate) fn interface_words(query: &InterfaceQuery) -> String {
    match query {
        InterfaceQuery::Name(name) => format!("interface {name}"),
        InterfaceQuery::Index(index) => format!("interface number {index}"),
        InterfaceQuery::Address(address) => format!("interface with {address}"),
    }
}

/// What is said of it.
pub(crate) fn state_words(state: InterfaceState) -> String {
    match state {
        InterfaceState::Found { active, ipv4, ipv6 } => {
            let active = if active { "active" } else { "inactive" };
            let versions = match (ipv4, ipv6) {
                (true, true) => "with IPv4 and IPv6",
                (true, false) => "with IPv4",
                (false, true) => "with IPv6",
                (false, false) => "without IP",
            };
            format!("{active} {versions}")
        }
        InterfaceState::MalformedQuery => "malformed query".to_owned(),
        InterfaceState::NoSuchInterface => "no such interface".to_owned(),
        InterfaceState::NoSuchEntry => "no such table entry".to_owned(),
        InterfaceState::Several => "several interfaces fit".to_owned(),
        InterfaceState::Unknown(code) => format!("code {code}"),
    }
}
