//! How faults are written: `NAME=VALUE` terms, for both directions or, after `to-target:` or
//! `to-client:`, for one. The flag, the admin API and /metrics share names and values.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;

use super::jitter::{Distribution, Jitter};
use super::link::{DEFAULT_QUEUE_BYTES, DEFAULT_QUEUE_DATAGRAMS, LinkRate};
use super::{Faults, GilbertElliott, Impairment, Loss, Probability, Reorder};

/// The names of all terms.
const NAMES: [&str; 12] = [
    "delay",
    "jitter",
    "distribution",
    "loss",
    "gemodel",
    "duplicate",
    "reorder",
    "gap",
    "corrupt",
    "rate",
    "queue",
    "queue-datagrams",
];

/// The longest delay, and the longest that a queue may take to empty. Sessions end when they have
/// been idle as long.
const LONGEST_DELAY: Duration = Duration::from_mins(1);
/// The bounds of a rate, in bits a second: at the least, the default queue empties in 52 s.
const RATES: std::ops::RangeInclusive<u64> = 10_000..=1_000_000_000_000;
/// The longest queue.
const MOST_QUEUED: u32 = 100_000;
/// The longest gap.
const LONGEST_GAP: u32 = 1_000_000;

/// The units of a rate, longest first, with their factors.
const RATE_UNITS: [(&str, f64); 4] = [("gbit", 1e9), ("mbit", 1e6), ("kbit", 1e3), ("bit", 1.0)];

/// The terms for one direction, by name, as they were written.
pub(crate) type Terms = BTreeMap<String, String>;

impl FromStr for Impairment {
    type Err = String;

    fn from_str(text: &str) -> Result<Impairment, String> {
        let (mut both, mut to_target, mut to_client) = (Terms::new(), Terms::new(), Terms::new());
        let mut section = &mut both;
        for word in text.split_whitespace() {
            match word {
                "to-target:" => section = &mut to_target,
                "to-client:" => section = &mut to_client,
                _ => {
                    let (name, value) = word.split_once('=').ok_or_else(|| {
                        format!("'{word}': expected NAME=VALUE, such as delay=40ms or loss=1%")
                    })?;
                    if section.insert(name.to_owned(), value.to_owned()).is_some() {
                        return Err(format!("{name} is given twice; leave one out"));
                    }
                }
            }
        }
        if both.is_empty() && to_target.is_empty() && to_client.is_empty() {
            return Err("nothing is ordered; give a fault, such as delay=40ms".to_owned());
        }
        Impairment::of_terms(&both, to_target, to_client)
    }
}

impl Impairment {
    /// What the terms say, those for one direction in the place of those for both; the error is one
    /// line with the cause and the cure.
    pub(crate) fn of_terms(
        both: &Terms,
        to_target: Terms,
        to_client: Terms,
    ) -> Result<Impairment, String> {
        Ok(Impairment {
            to_target: Faults::of_terms(&overlaid(both, to_target))?,
            to_client: Faults::of_terms(&overlaid(both, to_client))?,
        })
    }
}

/// The terms for both directions, with those for one in their place.
fn overlaid(both: &Terms, one: Terms) -> Terms {
    let mut terms = both.clone();
    for (name, other) in [("loss", "gemodel"), ("gemodel", "loss")] {
        if one.contains_key(name) {
            terms.remove(other);
        }
    }
    terms.extend(one);
    terms
}

impl Faults {
    /// What the terms say; the error is one line with the cause and the cure.
    pub(crate) fn of_terms(terms: &Terms) -> Result<Faults, String> {
        if let Some(unknown) = terms.keys().find(|name| !NAMES.contains(&name.as_str())) {
            let names = NAMES.join(", ");
            return Err(format!("there is no fault '{unknown}'; there are {names}"));
        }
        for (name, needed, why) in [
            ("jitter", "delay", "it varies the delay"),
            ("distribution", "jitter", "it is that of the jitter"),
            ("reorder", "delay", "what is not held overtakes what is"),
            ("gap", "reorder", "it is between reordered datagrams"),
            ("queue", "rate", "it is what waits for the link"),
            ("queue-datagrams", "rate", "it is what waits for the link"),
        ] {
            if terms.contains_key(name) && !terms.contains_key(needed) {
                return Err(format!("{name} needs {needed}, as {why}; add {needed}=…"));
            }
        }
        if terms.contains_key("loss") && terms.contains_key("gemodel") {
            return Err("loss and gemodel exclude each other; leave one out".to_owned());
        }
        let percent = |name| term(terms, name, probability);
        let delay = term(terms, "delay", time)?.unwrap_or_default();
        Ok(Faults {
            delay,
            jitter: jitter(terms, delay)?,
            loss: match percent("loss")? {
                Some(loss) if loss > Probability::default() => Some(Loss::Independent(loss)),
                _ => term(terms, "gemodel", gilbert_elliott)?.map(Loss::Bursts),
            },
            duplicate: percent("duplicate")?.unwrap_or_default(),
            reorder: match percent("reorder")? {
                Some(probability) if probability > Probability::default() => Some(Reorder {
                    probability,
                    gap: term(terms, "gap", |text| count(text, LONGEST_GAP))?.unwrap_or(1),
                }),
                _ => None,
            },
            corrupt: percent("corrupt")?.unwrap_or_default(),
            rate: rate(terms)?,
        })
    }

    /// Its terms, in the order in which they are documented: what [`Faults::of_terms`] reads.
    pub(crate) fn terms(&self) -> Vec<(&'static str, String)> {
        let mut terms = Vec::new();
        if !self.delay.is_zero() {
            terms.push(("delay", written_time(self.delay)));
        }
        if let Some(jitter) = self.jitter {
            terms.push(("jitter", written_time(jitter.spread)));
            terms.push(("distribution", jitter.distribution.name().to_owned()));
        }
        match self.loss {
            Some(Loss::Independent(loss)) => terms.push(("loss", loss.to_string())),
            Some(Loss::Bursts(chain)) => terms.push(("gemodel", chain.to_string())),
            None => {}
        }
        for (name, probability) in [("duplicate", self.duplicate), ("corrupt", self.corrupt)] {
            if probability > Probability::default() {
                terms.push((name, probability.to_string()));
            }
        }
        if let Some(reorder) = self.reorder {
            terms.push(("reorder", reorder.probability.to_string()));
            terms.push(("gap", reorder.gap.to_string()));
        }
        if let Some(rate) = self.rate {
            terms.push(("rate", written_rate(rate.bits_per_second)));
            terms.push(("queue", format!("{}B", rate.queue_bytes)));
            terms.push(("queue-datagrams", rate.queue_datagrams.to_string()));
        }
        terms
    }
}

/// One term's value, if it is given.
pub(super) fn term<T>(
    terms: &Terms,
    name: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    terms
        .get(name)
        .map(|value| parse(value).map_err(|expected| format!("{name}={value}: {expected}")))
        .transpose()
}

fn jitter(terms: &Terms, delay: Duration) -> Result<Option<Jitter>, String> {
    let distribution = term(terms, "distribution", distribution)?;
    let Some(spread) = term(terms, "jitter", time)?.filter(|spread| !spread.is_zero()) else {
        return Ok(None);
    };
    if spread > delay {
        return Err(format!(
            "jitter={} is more than delay={}, and nothing can arrive before it was sent; \
             raise delay or lower jitter",
            written_time(spread),
            written_time(delay)
        ));
    }
    Ok(Some(Jitter {
        spread,
        distribution: distribution.unwrap_or_default(),
    }))
}

pub(super) fn distribution(text: &str) -> Result<Distribution, String> {
    let named = Distribution::ALL
        .into_iter()
        .find(|(name, _)| *name == text);
    let names = Distribution::ALL.map(|(name, _)| name).join(", ");
    named
        .map(|(_, distribution)| distribution)
        .ok_or_else(|| format!("expected one of {names}"))
}

fn rate(terms: &Terms) -> Result<Option<LinkRate>, String> {
    let Some(bits_per_second) = term(terms, "rate", bits_per_second)? else {
        return Ok(None);
    };
    let queue_bytes = term(terms, "queue", |text| {
        let size: Result<ByteSize, _> = text.parse();
        size.map(|size| size.as_u64())
            .map_err(|_| "expected a size, such as 64KiB".to_owned())
    })?;
    let queue_datagrams = term(terms, "queue-datagrams", |text| count(text, MOST_QUEUED))?;
    let rate = LinkRate {
        bits_per_second,
        queue_bytes: queue_bytes.unwrap_or(DEFAULT_QUEUE_BYTES),
        queue_datagrams: queue_datagrams.unwrap_or(DEFAULT_QUEUE_DATAGRAMS),
    };
    if rate.longest_wait() > LONGEST_DELAY {
        return Err(format!(
            "a queue of {} takes {} s to empty at rate={}, and at most {} s are allowed; \
             lower queue or raise rate",
            ByteSize::b(rate.queue_bytes),
            rate.longest_wait().as_secs(),
            written_rate(bits_per_second),
            LONGEST_DELAY.as_secs(),
        ));
    }
    Ok(Some(rate))
}

pub(super) fn probability(text: &str) -> Result<Probability, String> {
    let number = text
        .strip_suffix('%')
        .and_then(|number| number.parse().ok());
    let probability = number.and_then(Probability::of_percent);
    probability.ok_or_else(|| "expected a percentage from 0% to 100%, such as 1%".to_owned())
}

fn gilbert_elliott(text: &str) -> Result<GilbertElliott, String> {
    let expected = "expected P,R[,1-H[,1-K]], such as 1%,25% or 1%,25%,70%,0.1%";
    let parts: Result<Vec<_>, _> = text.split(',').map(probability).collect();
    let parts = parts.map_err(|_| expected.to_owned())?;
    let (&[good_to_bad, bad_to_good], rest) = parts.split_first_chunk().ok_or(expected)?;
    if rest.len() > 2 {
        return Err(expected.to_owned());
    }
    Ok(GilbertElliott {
        good_to_bad,
        bad_to_good,
        loss_in_bad: rest.first().copied().unwrap_or(Probability::ONE),
        loss_in_good: rest.get(1).copied().unwrap_or_default(),
    })
}

pub(super) fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text)
        .map_err(|_| "expected a time, such as 40ms, 250us or 1s".to_owned())?;
    if time > LONGEST_DELAY {
        return Err(format!("expected at most {} s", LONGEST_DELAY.as_secs()));
    }
    Ok(time)
}

pub(super) fn bits_per_second(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let of_unit = RATE_UNITS.into_iter().find_map(|(unit, factor)| {
        let number: f64 = lower.strip_suffix(unit)?.parse().ok()?;
        Some((number * factor).round() as u64)
    });
    of_unit
        .filter(|rate| RATES.contains(rate))
        .ok_or_else(|| "expected a rate from 10kbit to 1000gbit, such as 2mbit".to_owned())
}

pub(super) fn count(text: &str, most: u32) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| (1..=most).contains(count));
    count.ok_or_else(|| format!("expected a number from 1 to {most}"))
}

/// In the largest unit that makes it a whole number.
pub(super) fn written_time(time: Duration) -> String {
    let ns = time.as_nanos();
    let (factor, unit) = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")]
        .into_iter()
        .find(|(factor, _)| ns.is_multiple_of(*factor))
        .unwrap_or((1, "ns"));
    format!("{}{unit}", ns / factor)
}

/// In the largest unit that makes it a whole number.
pub(super) fn written_rate(bits_per_second: u64) -> String {
    let (unit, factor) = RATE_UNITS
        .into_iter()
        .find(|(_, factor)| bits_per_second.is_multiple_of(*factor as u64))
        .unwrap_or(("bit", 1.0));
    format!("{}{unit}", bits_per_second / factor as u64)
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.as_percent())
    }
}

impl fmt::Display for GilbertElliott {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GilbertElliott {
            good_to_bad,
            bad_to_good,
            loss_in_bad,
            loss_in_good,
        } = self;
        write!(
            f,
            "{good_to_bad},{bad_to_good},{loss_in_bad},{loss_in_good}"
        )
    }
}

impl fmt::Display for Faults {
    /// Its terms, by spaces; nothing if it is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self
            .terms()
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"));
        f.write_str(&words.collect::<Vec<_>>().join(" "))
    }
}

impl fmt::Display for Impairment {
    /// As the flag takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.to_target == self.to_client {
            return self.to_target.fmt(f);
        }
        let mut space = "";
        for (section, faults) in [
            ("to-target:", &self.to_target),
            ("to-client:", &self.to_client),
        ] {
            if !faults.is_none() {
                write!(f, "{space}{section} {faults}")?;
                space = " ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
