//! Connecting to the first of several addresses that answers.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// How long an address is tried alone (RFC 8305 §8, Connection Attempt Delay).
const ALONE: Duration = Duration::from_millis(250);

/// Connects to the first of `addresses` that answers. The next is tried when one fails, and beside
/// one that has said nothing for a quarter of a second (RFC 8305 §5). The deadline is the caller's.
///
/// # Errors
/// None took the connection: the error of the last that failed.
pub async fn dial(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let stream = match addresses {
        [only] => TcpStream::connect(only).await?,
        _ => first_of(addresses).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn first_of(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut untried = addresses.iter();
    let mut attempts: Vec<Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>> = Vec::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "there is no address");
    let mut pause = pin!(sleep(Duration::ZERO));
    std::future::poll_fn(|context| {
        loop {
            if attempts.is_empty() || pause.as_mut().poll(context).is_ready() {
                match untried.next() {
                    Some(address) => {
                        attempts.push(Box::pin(TcpStream::connect(*address)));
                        pause.as_mut().reset(Instant::now() + ALONE);
                        // Polled once, to be woken.
                        let _ = pause.as_mut().poll(context);
                    }
                    None if attempts.is_empty() => {
                        let last = std::mem::replace(&mut last, io::ErrorKind::Other.into());
                        return Poll::Ready(Err(last));
                    }
                    None => {}
                }
            }
            let before = attempts.len();
            let mut at = 0;
            while at < attempts.len() {
                match attempts[at].as_mut().poll(context) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(cause)) => {
                        last = cause;
                        drop(attempts.swap_remove(at));
                    }
                    Poll::Pending => at += 1,
                }
            }
            if attempts.len() == before {
                return Poll::Pending;
            }
            // One failed: the next need not wait.
            pause.as_mut().reset(Instant::now());
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// An address that refuses.
    fn closed() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    }

    #[tokio::test]
    async fn the_first_address_that_answers_is_taken_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let began = Instant::now();
        for addresses in [
            vec![open],
            vec![open, closed()],
            vec![closed(), closed(), closed(), open],
        ] {
            let stream = dial(&addresses).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), open);
        }
        assert!(began.elapsed() < 2 * ALONE, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn an_address_that_says_nothing_does_not_hold_up_the_next() {
        // A queue of one that is full: the kernel drops further handshakes.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let full = TcpListener::from(socket);
        let silent = full.local_addr().unwrap();
        let _filled: Vec<_> = (0..4)
            .map(|_| {
                let stream =
                    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
                let stream = stream.unwrap();
                stream.set_nonblocking(true).unwrap();
                let _ = stream.connect(&silent.into());
                stream
            })
            .collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let began = Instant::now();
        let stream = dial(&[silent, open]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        assert!(began.elapsed() >= ALONE, "{:?}", began.elapsed());
        assert!(began.elapsed() < 20 * ALONE, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn when_none_answers_the_error_is_that_of_an_address() {
        let refused = dial(&[closed(), closed()]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(dial(&[]).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
