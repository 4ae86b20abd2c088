//! What the values of the flags must look like.

use std::net::IpAddr;
use std::time::Duration;

use netio::icmp::{Binding, PathMtu};
use netproto::icmp::extended_echo::{InterfaceQuery, LONGEST_NAME};

use crate::assertion::{self, Assertion};

/// As many octets of pattern as iputils takes.
const LONGEST_PATTERN: usize = 16;

#[derive(Debug, Clone)]
pub(super) struct Pattern(pub(super) Vec<u8>);

#[derive(Debug, Clone)]
pub(super) struct Assertions(pub(super) Vec<Assertion>);

pub(super) fn binding(interface: Option<String>) -> Binding {
    let Some(text) = interface else {
        return Binding::default();
    };
    match text.parse::<IpAddr>() {
        Ok(source) => Binding {
            source: Some(source),
            interface: None,
        },
        Err(_) => Binding {
            source: None,
            interface: Some(text),
        },
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| *duration < Duration::from_secs(u64::from(u32::MAX)))
        .ok_or_else(|| "a number of seconds such as 1 or 0.2 is needed".to_owned())
}

pub(super) fn interface_query(text: &str) -> Result<InterfaceQuery, String> {
    if let Ok(address) = text.parse() {
        return Ok(InterfaceQuery::Address(address));
    }
    if let Ok(index) = text.parse() {
        return Ok(InterfaceQuery::Index(index));
    }
    if text.is_empty() || text.len() > LONGEST_NAME {
        return Err(format!(
            "an interface's name has 1 to {LONGEST_NAME} octets"
        ));
    }
    Ok(InterfaceQuery::Name(text.to_owned()))
}

pub(super) fn octet(text: &str) -> Result<u8, String> {
    let read = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => text.parse(),
    };
    read.map_err(|_| "a number from 0 to 255 is needed, or 0x00 to 0xff".to_owned())
}

pub(super) fn path_mtu(text: &str) -> Result<PathMtu, String> {
    match text {
        "do" => Ok(PathMtu::Do),
        "want" => Ok(PathMtu::Want),
        "dont" => Ok(PathMtu::Dont),
        "probe" => Ok(PathMtu::Probe),
        _ => Err("it is one of do, want, dont, probe".to_owned()),
    }
}

pub(super) fn assertions(text: &str) -> Result<Assertions, String> {
    assertion::parse(text).map(Assertions)
}

pub(super) fn pattern(text: &str) -> Result<Pattern, String> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).map(|value| value as u8))
        .collect();
    let octets: Vec<u8> = digits
        .ok_or("hexadecimal digits are needed, such as ff00")?
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |octet, digit| octet << 4 | digit))
        .collect();
    if octets.is_empty() || octets.len() > LONGEST_PATTERN {
        return Err(format!("1 to {LONGEST_PATTERN} octets are needed"));
    }
    Ok(Pattern(octets))
}
