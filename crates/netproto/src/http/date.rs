//! HTTP dates (RFC 9110 §5.6.7): three forms are read, IMF-fixdate is written. Times are whole
//! seconds since the Unix epoch, in UTC; the caller says what time it is now.

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// The last second that IMF-fixdate can say: 31 December 9999, 23:59:59.
const LAST_SECOND: u64 = 253_402_300_799;

/// A two-digit year is read as at most this far in the future (RFC 9110 §5.6.7).
const RFC850_FUTURE_YEARS: i64 = 50;

const DAYS: [&[u8; 3]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
const LONG_DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// The time that `value` names, in seconds since the epoch; times before 1970 come out as 0.
///
/// The names of days, months and of `GMT` are taken in any case; the day of the week is not held
/// against the date. `now` (seconds since the epoch) settles the century of the two-digit years of
/// the rfc850 form. `None` for everything else: another zone, a day that the month does not have,
/// missing leading zeros, anything before or behind.
pub fn parse(value: &[u8], now: u64) -> Option<u64> {
    let mut text = Scanner { rest: value };
    let short_day = DAYS
        .iter()
        .any(|day| text.peek(3).eq_ignore_ascii_case(*day));
    let civil = if short_day && text.byte_at(3) == Some(b',') {
        imf_fixdate(&mut text)?
    } else if short_day && text.byte_at(3) == Some(b' ') {
        asctime(&mut text)?
    } else {
        rfc850(&mut text, now)?
    };
    text.rest.is_empty().then(|| civil.seconds())?
}

/// `seconds` since the epoch as IMF-fixdate: `Sun, 06 Nov 1994 08:49:37 GMT`. Times after the year
/// 9999 come out as its last second.
pub fn write(seconds: u64) -> [u8; 29] {
    let seconds = seconds.min(LAST_SECOND);
    let days = seconds / SECONDS_PER_DAY;
    let (year, month, day) = civil_from_days(days.cast_signed());
    let in_day = seconds % SECONDS_PER_DAY;
    let mut out = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    // 1 January 1970 was a Thursday, the fourth of DAYS.
    out[..3].copy_from_slice(DAYS[((days + 3) % 7) as usize]);
    out[5..7].copy_from_slice(&two_digits(day));
    out[8..11].copy_from_slice(MONTHS[usize::from(month) - 1]);
    out[12..14].copy_from_slice(&two_digits((year / 100) as u8));
    out[14..16].copy_from_slice(&two_digits((year % 100) as u8));
    out[17..19].copy_from_slice(&two_digits((in_day / 3600) as u8));
    out[20..22].copy_from_slice(&two_digits((in_day / 60 % 60) as u8));
    out[23..25].copy_from_slice(&two_digits((in_day % 60) as u8));
    out
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &mut Scanner<'_>) -> Option<Civil> {
    text.skip(5, |head| head.ends_with(b", "))?;
    let day = text.two_digits()?;
    text.literal(b" ")?;
    let month = text.month()?;
    text.literal(b" ")?;
    let year = i64::from(text.two_digits()?) * 100 + i64::from(text.two_digits()?);
    text.literal(b" ")?;
    let second_of_day = text.time_of_day()?;
    text.gmt()?;
    Some(Civil {
        year,
        month,
        day,
        second_of_day,
    })
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &mut Scanner<'_>) -> Option<Civil> {
    text.skip(4, |head| head.ends_with(b" "))?;
    let month = text.month()?;
    text.literal(b" ")?;
    let day = if text.byte_at(0) == Some(b' ') {
        text.literal(b" ")?;
        text.digit()?
    } else {
        text.two_digits()?
    };
    text.literal(b" ")?;
    let second_of_day = text.time_of_day()?;
    text.literal(b" ")?;
    let year = i64::from(text.two_digits()?) * 100 + i64::from(text.two_digits()?);
    Some(Civil {
        year,
        month,
        day,
        second_of_day,
    })
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &mut Scanner<'_>, now: u64) -> Option<Civil> {
    let name = LONG_DAYS
        .iter()
        .find(|day| text.peek(day.len()).eq_ignore_ascii_case(day.as_bytes()))?;
    text.skip(name.len() + 2, |head| head.ends_with(b", "))?;
    let day = text.two_digits()?;
    text.literal(b"-")?;
    let month = text.month()?;
    text.literal(b"-")?;
    let short_year = i64::from(text.two_digits()?);
    text.literal(b" ")?;
    let second_of_day = text.time_of_day()?;
    text.gmt()?;

    let now_days = (now.min(LAST_SECOND) / SECONDS_PER_DAY).cast_signed();
    let (now_year, now_month, now_day) = civil_from_days(now_days);
    let latest = (
        now_year + RFC850_FUTURE_YEARS,
        now_month,
        now_day,
        (now % SECONDS_PER_DAY) as u32,
    );
    // The latest year with these two digits that is not more than fifty years from now.
    let mut year = now_year - now_year.rem_euclid(100) + 100 + short_year;
    while (year, month, day, second_of_day) > latest {
        year -= 100;
    }
    Some(Civil {
        year,
        month,
        day,
        second_of_day,
    })
}

/// A date and a time of day as a calendar says them.
struct Civil {
    year: i64,
    month: u8,
    day: u8,
    second_of_day: u32,
}

impl Civil {
    fn seconds(&self) -> Option<u64> {
        if self.day == 0 || self.day > days_in_month(self.year, self.month) {
            return None;
        }
        let days = days_from_civil(self.year, self.month, self.day);
        let seconds = days * SECONDS_PER_DAY.cast_signed() + i64::from(self.second_of_day);
        Some(u64::try_from(seconds).unwrap_or(0))
    }
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    fn peek(&self, len: usize) -> &'a [u8] {
        self.rest.get(..len).unwrap_or_default()
    }

    fn byte_at(&self, at: usize) -> Option<u8> {
        self.rest.get(at).copied()
    }

    fn skip(&mut self, len: usize, wanted: impl Fn(&[u8]) -> bool) -> Option<()> {
        let (head, rest) = self.rest.split_at_checked(len)?;
        wanted(head).then_some(())?;
        self.rest = rest;
        Some(())
    }

    fn literal(&mut self, bytes: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(bytes)?;
        Some(())
    }

    fn digit(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        byte.is_ascii_digit().then(|| byte - b'0')
    }

    fn two_digits(&mut self) -> Option<u8> {
        Some(self.digit()? * 10 + self.digit()?)
    }

    fn month(&mut self) -> Option<u8> {
        let name = self.peek(3);
        let index = MONTHS
            .iter()
            .position(|month| name.eq_ignore_ascii_case(*month))?;
        self.rest = &self.rest[3..];
        Some(index as u8 + 1)
    }

    /// `08:49:37` in seconds; 60 is a leap second, which counts as the next minute's first.
    fn time_of_day(&mut self) -> Option<u32> {
        let hour = self.two_digits()?;
        self.literal(b":")?;
        let minute = self.two_digits()?;
        self.literal(b":")?;
        let second = self.two_digits()?;
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        Some(u32::from(hour) * 3600 + u32::from(minute) * 60 + u32::from(second))
    }

    fn gmt(&mut self) -> Option<()> {
        self.skip(4, |zone| zone.eq_ignore_ascii_case(b" GMT"))
    }
}

fn two_digits(value: u8) -> [u8; 2] {
    [b'0' + value / 10, b'0' + value % 10]
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from the epoch to a date of the Gregorian calendar. Years are counted from March, so that
/// the leap day is a year's last; 400 such years have 146,097 days.
fn days_from_civil(year: i64, month: u8, day: u8) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    // From 1 March of the year 0 to 1 January 1970.
    era * 146_097 + day_of_era - 719_468
}

/// The reverse of [`days_from_civil`]: year, month (1 to 12), day.
fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month as u8, day as u8)
}
