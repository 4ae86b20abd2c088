//! An answer that comes before its request has come to its end: both go on at once, each at its own
//! pace.

use std::io;
use std::task::{Context, Poll};

use super::{Connection, OUTPUT_HIGH};
use crate::http::body::Unread;
use crate::http::response::{BodyStream, Framing};
use crate::http::server::Service;
use crate::http::transport::Taken;

/// How far an answer is.
#[derive(Debug, Default)]
struct Answer {
    sent: u64,
    /// Whether all of it is rendered.
    is_rendered: bool,
    /// How much of it the client had taken when that was last looked at.
    taken: Taken,
}

impl<S: Service> Connection<'_, S> {
    /// Writes a body as its pieces come, and passes the rest of the request on meanwhile.
    pub(super) async fn both_ways(
        &mut self,
        mut stream: BodyStream,
        framing: Framing,
        unread: &mut Unread,
    ) -> io::Result<()> {
        let mut answer = Answer::default();
        let result = std::future::poll_fn(|context| {
            // What the client breaks it finds out by the end of the connection.
            while let Poll::Ready(passed_on) = unread.poll_pass_on(&mut self.transport, context) {
                if !passed_on? {
                    break;
                }
            }
            self.poll_answer(&mut stream, framing, &mut answer, context)
        })
        .await;
        if result.is_ok() {
            return self.flush().await;
        }
        self.cut(framing).await?;
        result
    }

    /// Sends what there is of the answer. Ready when all of it has gone to the kernel.
    fn poll_answer(
        &mut self,
        stream: &mut BodyStream,
        framing: Framing,
        answer: &mut Answer,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut waits = true;
            if !answer.is_rendered && self.transport.output.pending() < OUTPUT_HIGH {
                match stream.as_mut().poll_next(context) {
                    Poll::Ready(Some(piece)) => {
                        self.add(piece?, framing, &mut answer.sent)?;
                        waits = false;
                    }
                    Poll::Ready(None) => {
                        framing.check_end(answer.sent)?;
                        framing.end(&mut self.transport.output);
                        answer.is_rendered = true;
                    }
                    Poll::Pending => {}
                }
            }
            if self.transport.output.is_empty() {
                if answer.is_rendered {
                    return Poll::Ready(Ok(()));
                }
                answer.taken = Taken::default();
                if waits {
                    return Poll::Pending;
                }
                continue;
            }
            match self.transport.poll_write(context) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if waits => {
                    let stall = self.server.settings.write_stall;
                    let stalled = self.transport.poll_taken(stall, &mut answer.taken, context);
                    return stalled.map(Err);
                }
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
        }
    }
}
