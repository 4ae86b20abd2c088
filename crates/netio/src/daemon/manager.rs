//! What the service manager is told (sd_notify(3)): nothing, unless it asks for it by NOTIFY_SOCKET.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use sd_notify::NotifyState;
use tracing::warn;

const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// Whether a service manager wants to be told.
pub(super) fn is_there() -> bool {
    std::env::var_os(NOTIFY_SOCKET).is_some()
}

/// It serves; `status` is for people.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// It has begun to stop.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// It reads its files again, until [`ready`] is told.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => warn!("the service manager cannot be told the time: {error}"),
    }
}

fn tell(states: &[NotifyState<'_>]) {
    let Some(name) = std::env::var_os(NOTIFY_SOCKET) else {
        return;
    };
    let mut message = String::new();
    for state in states {
        // Writing to a String cannot fail.
        let _ = writeln!(message, "{state}");
    }
    if let Err(error) = send(&name, &message) {
        warn!("the service manager cannot be told {states:?}: {error}");
    }
}

/// A name that begins with `@` is in no file system (unix(7), abstract sockets); sd_notify 0.5 takes
/// it for a path.
fn send(name: &OsStr, message: &str) -> io::Result<()> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address)?;
    Ok(())
}
