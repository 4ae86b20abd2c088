//! What answers over HTTP meet on their way to clients, in Toxiproxy's terms: how it is written, and
//! what becomes of it on a connection. The bytes meet it in [`netio::http::toxic`].

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use netio::http::toxic::Toxics;
use netproto::http::status::StatusCode;

use super::Probability;
use super::draw::{Draws, Purpose};
use super::grammar::{
    Terms, bits_per_second, distribution, probability, term, time, written_rate, written_time,
};
use super::jitter::Jitter;

/// The names of all terms.
const NAMES: [&str; 11] = [
    "latency",
    "jitter",
    "distribution",
    "bandwidth",
    "slicer",
    "slicer_delay",
    "slow_close",
    "limit_data",
    "timeout",
    "reset_peer",
    "fail",
];

/// The longest time of any: less than how long a client may take nothing of an answer.
const LONGEST: Duration = Duration::from_secs(20);

/// What is ordered. The default does nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpFaults {
    /// How much later bytes arrive.
    pub latency: Duration,
    /// How that varies.
    pub jitter: Option<Jitter>,
    /// The rate of each connection, in bits a second.
    pub bandwidth: Option<u64>,
    /// How many bytes go in one piece.
    pub slicer: Option<u64>,
    /// How long after one the next goes.
    pub slicer_delay: Duration,
    /// How much later the end of a connection comes.
    pub slow_close: Duration,
    /// After how many bytes a connection is closed.
    pub limit_data: Option<u64>,
    /// Nothing arrives, and the connection is closed after so long.
    pub timeout: Option<Duration>,
    /// Nothing arrives, and the connection is reset after so long.
    pub reset_peer: Option<Duration>,
    /// Which requests are answered with a failure.
    pub fail: Option<Fail>,
}

/// Answers in the place of answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fail {
    /// With what status.
    pub status: StatusCode,
    /// How probably.
    pub probability: Probability,
}

impl HttpFaults {
    /// What one connection meets, its jitter drawn from `draws`.
    pub(super) fn toxics(&self, draws: Draws) -> Option<Toxics> {
        let on_bytes = HttpFaults {
            fail: None,
            ..self.clone()
        };
        if on_bytes == HttpFaults::default() {
            return None;
        }
        let (latency, jitter, mut slice) = (self.latency, self.jitter, 0);
        let draw = move || {
            slice += 1;
            jitter.map_or(latency, |jitter| {
                jitter.vary(latency, draws.fraction(Purpose::Latency, slice))
            })
        };
        Some(Toxics {
            latency: (!latency.is_zero()).then(|| Box::new(draw) as Box<dyn FnMut() -> Duration>),
            bytes_per_second: self.bandwidth.map(|bits| bits / 8),
            slice_bytes: self.slicer.map(|bytes| bytes as usize),
            slice_delay: self.slicer_delay,
            timeout: self.timeout,
            reset_peer: self.reset_peer,
            limit_bytes: self.limit_data,
            slow_close: self.slow_close,
        })
    }

    /// What the terms say; the error is one line with the cause and the cure.
    pub(crate) fn of_terms(terms: &Terms) -> Result<HttpFaults, String> {
        if let Some(unknown) = terms.keys().find(|name| !NAMES.contains(&name.as_str())) {
            let names = NAMES.join(", ");
            return Err(format!(
                "there is no fault '{unknown}' of HTTP; there are {names}"
            ));
        }
        for (name, needed) in [
            ("jitter", "latency"),
            ("distribution", "jitter"),
            ("slicer_delay", "slicer"),
        ] {
            if terms.contains_key(name) && !terms.contains_key(needed) {
                return Err(format!("{name} needs {needed}; add {needed}=…"));
            }
        }
        if terms.contains_key("timeout") && terms.contains_key("reset_peer") {
            return Err("timeout and reset_peer exclude each other; leave one out".to_owned());
        }
        let short = |name| {
            term(terms, name, |text| match time(text)? {
                time if time > LONGEST => Err(format!("expected at most {} s", LONGEST.as_secs())),
                time => Ok(time),
            })
        };
        let latency = short("latency")?.unwrap_or_default();
        let distribution = term(terms, "distribution", distribution)?.unwrap_or_default();
        let jitter = match short("jitter")?.filter(|spread| !spread.is_zero()) {
            Some(spread) if spread > latency => {
                return Err("jitter is more than latency; raise latency or lower jitter".to_owned());
            }
            spread => spread.map(|spread| Jitter {
                spread,
                distribution,
            }),
        };
        Ok(HttpFaults {
            latency,
            jitter,
            bandwidth: term(terms, "bandwidth", bits_per_second)?,
            slicer: term(terms, "slicer", size)?,
            slicer_delay: short("slicer_delay")?.unwrap_or_default(),
            slow_close: short("slow_close")?.unwrap_or_default(),
            limit_data: term(terms, "limit_data", size)?,
            timeout: short("timeout")?,
            reset_peer: short("reset_peer")?,
            fail: term(terms, "fail", fail)?,
        })
    }

    /// Its terms, in the order in which they are documented: what [`HttpFaults::of_terms`] reads.
    pub(crate) fn terms(&self) -> Vec<(&'static str, String)> {
        let time = |time: Duration| (!time.is_zero()).then(|| written_time(time));
        let bytes = |bytes: u64| format!("{bytes}B");
        let terms = [
            ("latency", time(self.latency)),
            (
                "jitter",
                self.jitter.map(|jitter| written_time(jitter.spread)),
            ),
            (
                "distribution",
                self.jitter
                    .map(|jitter| jitter.distribution.name().to_owned()),
            ),
            ("bandwidth", self.bandwidth.map(written_rate)),
            ("slicer", self.slicer.map(bytes)),
            ("slicer_delay", time(self.slicer_delay)),
            ("slow_close", time(self.slow_close)),
            ("limit_data", self.limit_data.map(bytes)),
            ("timeout", self.timeout.map(written_time)),
            ("reset_peer", self.reset_peer.map(written_time)),
            ("fail", self.fail.map(|fail| fail.to_string())),
        ];
        terms
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

fn size(text: &str) -> Result<u64, String> {
    let size: Option<ByteSize> = text.parse().ok();
    size.map(|size| size.as_u64())
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "expected a size, such as 100B or 64KiB".to_owned())
}

fn fail(text: &str) -> Result<Fail, String> {
    let parsed = text.split_once(':').and_then(|(status, percent)| {
        let status: u16 = status
            .parse()
            .ok()
            .filter(|code| (400..=599).contains(code))?;
        Some(Fail {
            status: StatusCode::new(status)?,
            probability: probability(percent).ok()?,
        })
    });
    parsed.ok_or_else(|| "expected STATUS:PCT, such as 503:5%".to_owned())
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.status.as_u16(), self.probability)
    }
}

impl fmt::Display for HttpFaults {
    /// As the flag takes it; nothing if it is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self
            .terms()
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"));
        f.write_str(&words.collect::<Vec<_>>().join(" "))
    }
}

impl FromStr for HttpFaults {
    type Err = String;

    fn from_str(text: &str) -> Result<HttpFaults, String> {
        let mut terms = BTreeMap::new();
        for word in text.split_whitespace() {
            let (name, value) = word.split_once('=').ok_or_else(|| {
                format!("'{word}': expected NAME=VALUE, such as latency=100ms or fail=503:5%")
            })?;
            if terms.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(format!("{name} is given twice; leave one out"));
            }
        }
        if terms.is_empty() {
            return Err("nothing is ordered; give a fault, such as latency=100ms".to_owned());
        }
        HttpFaults::of_terms(&terms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        for text in [
            "latency=100ms",
            "latency=100ms jitter=20ms distribution=normal bandwidth=1mbit slow_close=1s",
            "slicer=100B slicer_delay=1ms limit_data=4096B fail=503:12.5%",
            "timeout=5s",
            "reset_peer=0s",
        ] {
            let faults: HttpFaults = text.parse().unwrap();
            assert_eq!(faults.to_string(), text);
        }
        assert_eq!(HttpFaults::default().to_string(), "");
    }

    #[test]
    fn a_mistake_is_told_in_one_line_with_its_cure() {
        for (text, told) in [
            (
                "",
                "nothing is ordered; give a fault, such as latency=100ms",
            ),
            (
                "fast",
                "'fast': expected NAME=VALUE, such as latency=100ms or fail=503:5%",
            ),
            (
                "latency=1s latency=2s",
                "latency is given twice; leave one out",
            ),
            ("latency=21s", "latency=21s: expected at most 20 s"),
            ("jitter=1ms", "jitter needs latency; add latency=…"),
            (
                "slicer=0B",
                "slicer=0B: expected a size, such as 100B or 64KiB",
            ),
            ("fail=503", "fail=503: expected STATUS:PCT, such as 503:5%"),
            (
                "fail=200:5%",
                "fail=200:5%: expected STATUS:PCT, such as 503:5%",
            ),
            (
                "latency=1ms jitter=2ms",
                "jitter is more than latency; raise latency or lower jitter",
            ),
            (
                "timeout=1s reset_peer=1s",
                "timeout and reset_peer exclude each other; leave one out",
            ),
            (
                "delay=1ms",
                "there is no fault 'delay' of HTTP; there are latency, jitter, distribution, \
                 bandwidth, slicer, slicer_delay, slow_close, limit_data, timeout, reset_peer, fail",
            ),
        ] {
            let parsed: Result<HttpFaults, String> = text.parse();
            assert_eq!(parsed.unwrap_err(), told, "{text}");
        }
    }
}
