//! One request and the head of its answer, over one connection.

use bytes::Bytes;
use netio::http::body::RequestBody;
use netio::http::client::Connection;
use netproto::http::body::{BodyFraming, CHUNK_END, LAST_CHUNK, chunk_size_line};
use netproto::http::method::Method;

use super::{Answer, Failure, LIMITS};

/// Sends a request and waits for the head of its answer.
pub(super) async fn converse(
    mut connection: Connection,
    head: Bytes,
    method: &Method<'_>,
    body: &mut RequestBody<'_>,
) -> Result<Answer, Failure> {
    connection.push(head);
    let is_in_order = match send(&mut connection, method, body).await {
        Err(Failure::Broken(_)) => {
            // The origin may have answered before it closed; if not, this tells it apart.
            false
        }
        Err(failure) => return Err(failure),
        Ok(is_whole) => is_whole,
    };
    let head = connection.head(method, &LIMITS).await?;
    Ok(Answer {
        head,
        connection,
        is_in_order,
    })
}

/// Sends the request. Returns whether all of it went out: an origin that refuses it before it has
/// read the body wants no more of it.
async fn send(
    connection: &mut Connection,
    method: &Method<'_>,
    body: &mut RequestBody<'_>,
) -> Result<bool, Failure> {
    if !flush(connection, method).await? {
        return Ok(false);
    }
    let is_chunked = body.framing() == BodyFraming::Chunked;
    while !body.is_done() || is_chunked {
        let piece = tokio::select! {
            biased;
            began = connection.answer_begins() => {
                began?;
                if !connection.wants_rest(method, &LIMITS).await? {
                    return Ok(false);
                }
                continue;
            }
            piece = body.chunk() => piece.map_err(Failure::Client)?,
        };
        let is_last = piece.is_none();
        match piece {
            Some(piece) if is_chunked => {
                connection.render(|out| chunk_size_line(piece.len(), out));
                connection.push(piece);
                connection.render(|out| out.extend_from_slice(CHUNK_END));
            }
            Some(piece) => connection.push(piece),
            None if is_chunked => connection.render(|out| out.extend_from_slice(LAST_CHUNK)),
            None => {}
        }
        if !flush(connection, method).await? {
            return Ok(false);
        }
        if is_last {
            break;
        }
    }
    Ok(true)
}

/// Writes what is rendered. Returns whether all of it went out, as [`send`] does.
async fn flush(connection: &mut Connection, method: &Method<'_>) -> Result<bool, Failure> {
    while !connection.flush_until_answer().await? {
        if !connection.wants_rest(method, &LIMITS).await? {
            return Ok(false);
        }
    }
    Ok(true)
}
