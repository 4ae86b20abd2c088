//! The live view of a UDP test: what it shows so far, ten times a second, on a terminal.
//!
//! [`standing`] is what is known so far, told of each event and of the time, with no clock of its
//! own; `view` draws it; [`screen`] is the terminal and what is typed there.

pub mod screen;
pub mod standing;
mod view;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::target::Unreachable;
use crate::udp::running::Running;
use crate::udp::{Record, Test};
use screen::Screen;
use standing::Standing;

/// From one drawing to the next; a terminal of another size is seen then too.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Runs a test with its view on `screen`, which is given back at the end. `q` and Ctrl-C end the
/// test early.
pub fn measure(test: &Test<'_>, screen: Screen) -> Result<Record, Unreachable> {
    let screen = Mutex::new(screen);
    test.measure_watched(&|running| {
        let mut screen = screen.lock().unwrap_or_else(PoisonError::into_inner);
        look_on(test, running, &mut screen);
    })
}

fn look_on(test: &Test<'_>, mut running: Running<'_>, screen: &mut Screen) {
    let mut standing = Standing::new(test.endpoint.to_string(), test.plan);
    while !running.over() {
        for news in running.by_ref() {
            standing.take(news);
        }
        standing.settle(Running::now(), running.receive_drops());
        // A terminal that cannot be drawn on any more is no reason to end a test.
        let _ = screen.draw(&standing);
        if screen.asks_to_end(DRAW_EVERY) {
            test.interrupt.ask();
        }
    }
}
