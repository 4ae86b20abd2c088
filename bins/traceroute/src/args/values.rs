//! The values of flags that are more than a number in a range.

use std::time::Duration;

use crate::assertion::{self, Assertion};
use crate::session::Waits;

/// A list that clap takes for one value.
#[derive(Debug, Clone)]
pub(super) struct Assertions(pub(super) Vec<Assertion>);

pub(super) fn assertions(text: &str) -> Result<Assertions, String> {
    assertion::parse(text).map(Assertions)
}

pub(super) fn waits(text: &str) -> Result<Waits, String> {
    const NEEDED: &str = "one to three numbers such as 5 or 5,3,10 are needed";
    let mut numbers = text.split([',', '/']).map(|part| {
        part.parse()
            .ok()
            .filter(|value: &f64| (0.0..=86_400.0).contains(value))
            .ok_or(NEEDED)
    });
    let max = Duration::from_secs_f64(numbers.next().unwrap_or(Err(NEEDED))?);
    // As the Linux traceroute: with a maximum alone, nothing shortens the wait.
    let here = numbers.next().unwrap_or(Ok(0.0))?;
    let near = numbers.next().unwrap_or(Ok(0.0))?;
    if numbers.next().is_some() {
        return Err(NEEDED.into());
    }
    Ok(Waits { max, here, near })
}

pub(super) fn confidence(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|percent| (50.0..=99.999).contains(percent))
        .ok_or_else(|| "a number of percent from 50 to 99.999 is needed".to_owned())
}

pub(super) fn interval(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|seconds| (0.1..=86_400.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "a number of seconds from 0.1 to 86400 is needed".to_owned())
}

pub(super) fn octet(text: &str) -> Result<u8, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| "a number from 0 to 255, or to 0xff, is needed".to_owned())
}

pub(super) fn spacing(text: &str) -> Result<Duration, String> {
    let number: f64 = text
        .parse()
        .ok()
        .filter(|value| (0.0..=3_600_000.0).contains(value))
        .ok_or("a number of seconds such as 0.5, or of milliseconds above 10, is needed")?;
    let seconds = if number > 10.0 {
        number / 1000.0
    } else {
        number
    };
    Ok(Duration::from_secs_f64(seconds))
}

pub(super) fn zones(text: &str) -> Result<(String, String), String> {
    match text.split_once(',') {
        Some((v4, v6)) if !v4.is_empty() && !v6.is_empty() => Ok((v4.to_owned(), v6.to_owned())),
        _ => Err("two DNS zones with a comma between them are needed".into()),
    }
}
