//! What the values of the flags must look like.

use std::time::Duration;

pub(super) fn number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| "it is a whole number from 0 up".to_owned())
}

/// A number, or the name of a per-hop behaviour: csN (RFC 2474), afXY (RFC 2597), ef (RFC 3246).
pub(super) fn dscp(text: &str) -> Result<u64, String> {
    let wrong = || "it is 0 to 63, or a name: ef, cs0 to cs7, af11 to af43".to_owned();
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let name = text.to_ascii_lowercase();
    let digits: Option<Vec<u64>> = name
        .get(2..)
        .map(|rest| {
            rest.chars()
                .map(|c| c.to_digit(10).map(u64::from))
                .collect()
        })
        .ok_or_else(wrong)?;
    match (name.get(..2), digits.as_deref()) {
        (Some("ef"), Some([])) => Ok(46),
        (Some("cs"), Some([class @ 0..=7])) => Ok(8 * class),
        (Some("af"), Some([class @ 1..=4, drop @ 1..=3])) => Ok(8 * class + 2 * drop),
        _ => Err(wrong()),
    }
}

/// Bits a second: a number, or one with `kbit`, `mbit` or `gbit` behind it.
pub(super) fn bit_rate(text: &str) -> Result<u64, String> {
    let text = text.to_ascii_lowercase();
    let (digits, unit) = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9), ("bit", 1.0)]
        .into_iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))
        .unwrap_or((&text, 1.0));
    let rate = digits.trim_end().parse::<f64>().map(|rate| rate * unit);
    match rate {
        Ok(rate) if (0.0..1e18).contains(&rate) => Ok(rate.round() as u64),
        _ => Err("write it like 12mbit, 500kbit or 1000000".to_owned()),
    }
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port @ 1..) => Ok(port),
        _ => Err("a port is a number from 1 to 65535".to_owned()),
    }
}

pub(super) fn host(text: &str) -> Result<String, String> {
    let host = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err("give a name or an address".to_owned());
    }
    Ok(host.to_owned())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(milliseconds) = text.parse::<f64>()
        && let Ok(duration) = Duration::try_from_secs_f64(milliseconds / 1e3)
    {
        return Ok(duration);
    }
    humantime::parse_duration(text)
        .map_err(|_| "write it like 100ms or 2s; a bare number is milliseconds".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dscp_has_a_number_or_the_name_of_its_behaviour() {
        // RFC 2474 §4.2.2.2, RFC 2597 §6, RFC 3246 §2.7.
        for (text, expected) in [
            ("0", Some(0)),
            ("46", Some(46)),
            ("ef", Some(46)),
            ("EF", Some(46)),
            ("cs5", Some(40)),
            ("af11", Some(10)),
            ("af41", Some(34)),
            ("af43", Some(38)),
            ("af44", None),
            ("cs8", None),
            ("é", None),
            ("", None),
        ] {
            assert_eq!(dscp(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_rate_is_in_bits_a_second_with_or_without_a_prefix() {
        for (text, expected) in [
            ("12mbit", Some(12_000_000)),
            ("1.5Mbit", Some(1_500_000)),
            ("500kbit", Some(500_000)),
            ("1 gbit", Some(1_000_000_000)),
            ("9600", Some(9600)),
            ("9600bit", Some(9600)),
            ("-1", None),
            ("1e30", None),
            ("nan", None),
            ("mbit", None),
            ("", None),
        ] {
            assert_eq!(bit_rate(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_duration_has_a_unit_or_is_in_milliseconds() {
        for (text, expected) in [
            ("100ms", Some(Duration::from_millis(100))),
            ("1s500ms", Some(Duration::from_millis(1500))),
            ("20", Some(Duration::from_millis(20))),
            ("0.5", Some(Duration::from_micros(500))),
            ("-1", None),
            ("inf", None),
            ("1e400", None),
            ("", None),
        ] {
            assert_eq!(duration(text).ok(), expected, "{text:?}");
        }
    }
}
