//! One request and the head of its answer, over one connection. Either side may speak first: an
//! origin may have something to say before the request has come to its end.

use std::time::Duration;

use bytes::Bytes;
use netio::http::body::{ReadBodyError, RequestBody};
use netio::http::client::{Connection, Heard};
use netproto::http::Status;
use netproto::http::body::{BodyFraming, CHUNK_END, LAST_CHUNK, chunk_size_line};
use netproto::http::fields::FieldSlots;
use netproto::http::head::ResponseHead;
use netproto::http::method::Method;

use super::{Answer, Failure, LIMITS, Server};
use crate::fields;

/// How long an origin may think about a body that its client holds back. One that knows nothing of
/// Expect says nothing (RFC 9110 §10.1.1).
const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

/// Sends a request, passes on what its origin says meanwhile, and waits for the head of the answer.
pub(super) async fn converse(
    server: &Server,
    connection: Connection,
    head: Bytes,
    method: &Method<'_>,
    body: &mut RequestBody<'_>,
) -> Result<Answer, Failure> {
    let mut exchange = Exchange {
        connection,
        method,
        body,
        early: None,
    };
    exchange.connection.push(head);
    let is_in_order = match exchange.send().await {
        Err(Failure::Broken(_)) => {
            // The origin may have answered before it closed; if not, this tells it apart.
            false
        }
        Err(failure) => return Err(failure),
        Ok(is_whole) => is_whole,
    };
    let head = loop {
        if let Some(head) = exchange.early.take() {
            break head;
        }
        exchange.hear().await?;
    };
    Ok(Answer {
        server: server.clone(),
        busy: None,
        head,
        connection: exchange.connection,
        is_in_order,
    })
}

struct Exchange<'e, 't> {
    connection: Connection,
    method: &'e Method<'e>,
    body: &'e mut RequestBody<'t>,
    /// The head of the final answer, once it has come.
    early: Option<Bytes>,
}

impl Exchange<'_, '_> {
    /// Sends the request. Returns whether all of it went out: an origin that refuses it before it
    /// has read the body wants no more of it.
    async fn send(&mut self) -> Result<bool, Failure> {
        if !self.flush().await? {
            return Ok(false);
        }
        if self.body.is_held_back() {
            let thinking = self.connection.answer_begins();
            if let Ok(began) = tokio::time::timeout(CONTINUE_PATIENCE, thinking).await {
                began?;
                // With a final answer, the origin does without the body.
                if !self.listen().await? || self.early.is_some() {
                    return Ok(false);
                }
            }
        }
        let is_chunked = self.body.framing() == BodyFraming::Chunked;
        while !self.body.is_done() || is_chunked {
            let piece = tokio::select! {
                biased;
                began = self.connection.answer_begins(), if self.early.is_none() => {
                    began?;
                    if !self.listen().await? {
                        return Ok(false);
                    }
                    continue;
                }
                piece = self.body.chunk() => piece.map_err(Failure::Client)?,
            };
            let is_last = piece.is_none();
            let out = &mut self.connection;
            match piece {
                Some(piece) if is_chunked => {
                    out.render(|out| chunk_size_line(piece.len(), out));
                    out.push(piece);
                    out.render(|out| out.extend_from_slice(CHUNK_END));
                }
                Some(piece) => out.push(piece),
                None if is_chunked => out.render(|out| out.extend_from_slice(LAST_CHUNK)),
                None => {}
            }
            if !self.flush().await? {
                return Ok(false);
            }
            if is_last {
                break;
            }
        }
        Ok(true)
    }

    /// Writes what is rendered. Returns whether all of it went out, as [`Exchange::send`] does.
    async fn flush(&mut self) -> Result<bool, Failure> {
        loop {
            if self.early.is_some() {
                self.connection.flush().await?;
                return Ok(true);
            }
            if self.connection.flush_until_answer().await? {
                return Ok(true);
            }
            if !self.listen().await? {
                return Ok(false);
            }
        }
    }

    /// Hears what began to come before the request was sent to its end. Returns whether the origin
    /// may want the rest: it may after an interim answer, and after a 2xx, for it may be reading
    /// still; not if it refuses the request or says that it closes (RFC 9112 §9.5).
    async fn listen(&mut self) -> Result<bool, Failure> {
        loop {
            let goes_on = self.hear().await?;
            if self.early.is_some() {
                return Ok(goes_on);
            }
            if !self.connection.has_more() {
                return Ok(true);
            }
        }
    }

    /// Hears one head; what is interim is passed on (RFC 9110 §15.2).
    async fn hear(&mut self) -> Result<bool, Failure> {
        let heard = self.connection.next_head(self.method, &LIMITS).await?;
        if heard.is_interim() {
            self.pass_on(&heard).await?;
            return Ok(true);
        }
        let wants_rest = heard.status.is_success() && heard.persistent;
        self.early = Some(heard.head);
        Ok(wants_rest)
    }

    async fn pass_on(&mut self, heard: &Heard) -> Result<(), Failure> {
        let mut slots = FieldSlots::new();
        let head = match ResponseHead::parse(&heard.head, &mut slots, &LIMITS, self.method) {
            Ok(Status::Complete(head)) => head,
            // The same bytes were a whole head a moment ago.
            Ok(Status::Partial) => return Ok(()),
            Err(error) => return Err(Failure::Malformed(error)),
        };
        // What cannot be written again is left out: no client depends on it.
        let Ok(interim) = fields::interim_head(&head) else {
            return Ok(());
        };
        let told = self.body.tell(&interim).await;
        told.map_err(|error| Failure::Client(ReadBodyError::Broken(error)))
    }
}
