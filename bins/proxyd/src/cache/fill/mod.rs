//! Bodies on their way in. They know neither what they are nor where they go: [`intake`] is one
//! body for all who read it, [`flight`] who asks for what, so that all who want the same ask once,
//! and [`run`] lets a body come in to its end, whoever goes away meanwhile.

pub mod flight;
pub mod intake;

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use netio::http::response::BodyStream;

use self::intake::{Kept, Writer};

/// A body that has come slower than this, in bytes a second, is not kept: the room that it takes is
/// not for who sends a byte now and then.
pub const LEAST_RATE: u64 = 1024;
/// For so long nobody asks how fast it comes.
pub const RATE_GRACE: Duration = Duration::from_secs(10);

/// Lets a body come in to its end, or until nobody reads it after `over`: from then on it is not worth
/// keeping. If it comes whole and is kept, `keep` gets it, before the first of
/// its readers is at the end. `claim` is dropped after that, or as soon as it is known that there
/// will be nothing to keep.
pub async fn run<C>(
    mut stream: BodyStream,
    mut writer: Writer,
    claim: C,
    over: impl Future<Output = ()>,
    keep: impl FnOnce(Bytes),
) {
    let began = Instant::now();
    let mut came: u64 = 0;
    let mut claim = Some(claim);
    let mut over = pin!(over);
    let mut is_over = false;
    loop {
        let next = std::future::poll_fn(|context| stream.as_mut().poll_next(context));
        let piece = tokio::select! {
            biased;
            piece = next => piece,
            () = writer.deserted() => return,
            () = &mut over, if !is_over => {
                is_over = true;
                writer.keep_no_longer();
                continue;
            }
        };
        let Some(piece) = piece else {
            break;
        };
        let Ok(piece) = piece else {
            // Dropped, the writer tells its readers that the body is cut.
            return;
        };
        came += piece.len() as u64;
        if !is_in_time(came, began.elapsed()) {
            writer.keep_no_longer();
        }
        match writer.push(&piece).await {
            Kept::Whole => {}
            Kept::No => drop(claim.take()),
            Kept::Deserted => return,
        }
    }
    writer.finish(keep);
    drop(claim);
}

fn is_in_time(came: u64, took: Duration) -> bool {
    took.checked_sub(RATE_GRACE)
        .is_none_or(|late| late.as_secs().saturating_mul(LEAST_RATE) <= came)
}

#[cfg(test)]
mod tests;
