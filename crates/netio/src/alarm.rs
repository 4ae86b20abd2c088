//! One moment to wait for, as exactly as the kernel can (timerfd_create(2)): the runtime's own timers
//! have the precision of a millisecond.

#![expect(
    unsafe_code,
    reason = "a descriptor is registered with the runtime, whose safe form needs one that cannot close"
)]

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// A timer of its owner's, set to one moment at a time.
#[derive(Debug)]
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
    set_to: Option<Instant>,
}

impl Alarm {
    /// One that is not set, registered with the tokio runtime of this thread.
    pub fn new() -> io::Result<Alarm> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: an `OwnedFd` stays open and the same until it is dropped.
        let timer = unsafe { AsyncFd::register(timer) }.map_err(io::Error::from)?;
        Ok(Alarm {
            timer,
            set_to: None,
        })
    }

    /// Sets it to `moment` instead of what it was set to. No system call if that is the same.
    pub fn set(&mut self, moment: Instant) -> io::Result<()> {
        /// All zeroes would switch it off.
        const AT_ONCE: Duration = Duration::from_nanos(1);
        if self.set_to == Some(moment) {
            return Ok(());
        }
        let left = moment.saturating_duration_since(Instant::now());
        let left = left.max(AT_ONCE);
        let never = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let once = Itimerspec {
            it_interval: never,
            it_value: Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            },
        };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        self.set_to = Some(moment);
        Ok(())
    }

    /// Waits until the moment has come. May return before if it had been set to an earlier one that
    /// nobody waited for, so the caller looks at the clock.
    pub async fn reached(&self) -> io::Result<()> {
        self.timer.readable().await?.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_reached_at_its_moment_again_and_again() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut alarm = Alarm::new().unwrap();
            let mut soonest = Duration::MAX;
            for _ in 0..50 {
                let moment = Instant::now() + Duration::from_micros(1500);
                alarm.set(moment).unwrap();
                alarm.reached().await.unwrap();
                let late = Instant::now().checked_duration_since(moment);
                soonest = soonest.min(late.expect("not before its moment"));
            }
            // On a busy machine most may be late, but a timer of whole milliseconds would be late
            // by half of one at least, every time.
            assert!(soonest < Duration::from_micros(400), "{soonest:?}");
            // One that has passed comes at once, and the moment may be moved to an earlier one.
            alarm.set(Instant::now()).unwrap();
            alarm.reached().await.unwrap();
            alarm.set(Instant::now() + Duration::from_hours(1)).unwrap();
            alarm
                .set(Instant::now() + Duration::from_millis(1))
                .unwrap();
            alarm.reached().await.unwrap();
        });
    }
}
