//! How urgently the kernel runs a thread that has deadlines to keep.
//!
//! On a machine with more to do than cores, a thread of the ordinary kind that sleeps until a
//! deadline wakes milliseconds after it, and one that spins until then loses its core for whole
//! slices of time. Only a real-time thread is run when it is due.

#![expect(unsafe_code, reason = "rustix does not wrap sched_setscheduler")]

use rustix::process::setpriority_process;
use rustix::thread::gettid;

/// The nice value of a favoured thread.
const MOST_FAVOURABLE: i32 = -20;
/// Of 1 to 99. The least is enough to come before every ordinary thread; the kernel's own urgent
/// work has more.
const REAL_TIME_PRIORITY: i32 = 1;

/// How urgently a thread is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Urgency {
    /// At once when it is due, before every ordinary thread (SCHED_FIFO, sched(7)).
    RealTime,
    /// With the largest share of a core, but it may have to wait for it (nice -20).
    Favoured,
    /// Like everything else.
    #[default]
    Ordinary,
}

/// Makes the calling thread as urgent as it is allowed to be, and says what it got.
///
/// Both takes a privilege (root, CAP_SYS_NICE, or the limits `rtprio` and `nice`). Who is given
/// [`Urgency::RealTime`] owes the others some of the core: a thread that never sleeps keeps all of
/// it, until the kernel takes it away for tens of milliseconds at a time.
pub fn claim() -> Urgency {
    if is_real_time() || become_real_time() {
        Urgency::RealTime
    } else if setpriority_process(Some(gettid()), MOST_FAVOURABLE).is_ok() {
        Urgency::Favoured
    } else {
        Urgency::Ordinary
    }
}

/// Whether somebody has made it so already, as `chrt` does.
fn is_real_time() -> bool {
    // SAFETY: takes no pointer; 0 is the calling thread.
    let policy = unsafe { libc::sched_getscheduler(0) };
    [libc::SCHED_FIFO, libc::SCHED_RR, libc::SCHED_DEADLINE].contains(&policy)
}

fn become_real_time() -> bool {
    let priority = libc::sched_param {
        sched_priority: REAL_TIME_PRIORITY,
    };
    // SAFETY: the pointer is that of `priority`, which outlives the call; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Policy and priority of the calling thread, as proc(5) tells them.
    fn policy_and_priority() -> (String, String) {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        // Fields 40 and 41; the split begins with field 3.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let mut fields = fields.split(' ').skip(40 - 3).map(str::to_owned);
        (fields.next().unwrap(), fields.next().unwrap())
    }

    #[test]
    fn what_a_thread_is_said_to_have_got_is_what_the_kernel_gave() {
        std::thread::spawn(|| {
            let got = claim();
            // rt_priority and policy: SCHED_FIFO is 1.
            let real_time = ("1".to_owned(), "1".to_owned());
            assert_eq!(policy_and_priority() == real_time, got == Urgency::RealTime);
            if got != Urgency::RealTime {
                eprintln!("left out: a real-time thread (not permitted here: {got:?})");
                return;
            }
            // Asked once more, it stays what it is.
            assert_eq!(claim(), Urgency::RealTime);
            assert_eq!(policy_and_priority(), real_time);
        })
        .join()
        .unwrap();
    }
}
