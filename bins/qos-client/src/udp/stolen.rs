//! What a hypervisor took of this machine's processors: time in which nothing here ran, however
//! urgent, and for which no program here can make up.

use std::time::Duration;

/// Since the machine started, all processors together; `None` where the system does not tell.
pub(super) fn by_now() -> Option<Duration> {
    of(&std::fs::read_to_string("/proc/stat").ok()?)
}

/// Since [`by_now`] gave `before`.
pub(super) fn since(before: Option<Duration>) -> Option<Duration> {
    Some(by_now()?.saturating_sub(before?))
}

/// Of the text of /proc/stat (proc(5)), whose eighth figure is that time, in hundredths of a second.
fn of(stat: &str) -> Option<Duration> {
    let all = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: u64 = all.split_whitespace().nth(7)?.parse().ok()?;
    Some(Duration::from_millis(ticks.checked_mul(10)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_stolen_is_the_eighth_figure_of_the_line_of_all_processors() {
        let stat = "cpu  10132153 290696 3084719 46828483 16683 0 25195 175628 0 0\n\
                    cpu0 1393280 32966 572056 13343292 6130 0 17875 23933 0 0\n";
        assert_eq!(of(stat), Some(Duration::from_millis(1_756_280)));
        for not in [
            "",
            "cpu0 1 2 3 4 5 6 7 8",
            "cpu 1 2 3 4 5 6 7",
            "cpu 1 2 3 4 5 6 7 x",
        ] {
            assert_eq!(of(not), None, "{not}");
        }
    }
}
