//! What keeps a web page from using the browser of somebody who can reach the endpoint.
//!
//! A page can have its own name resolve to this machine (DNS rebinding) and is then of the same
//! origin; but the name stays in Host, and no attacker owns `localhost` or an address. And a page
//! of another origin can send some requests without reading the answers; the browser says whose it
//! is in Origin (Fetch Standard §3.2).

use std::net::IpAddr;

use netproto::http::fields::Fields;
use netproto::http::method::Method;
use netproto::http::target::Authority;

/// Lets in what no web page elsewhere can have sent. `host` is the request's, `bound_to` where the
/// endpoint listens: beyond loopback it is asked by its name too (Prometheus in a network of
/// containers), but only for what reading shows.
///
/// # Errors
/// What to tell the client.
pub(super) fn admit(
    method: &Method<'_>,
    host: &str,
    fields: &Fields<'_, '_>,
    bound_to: IpAddr,
) -> Result<(), &'static str> {
    let by_name = !host.is_empty() && !is_nobodys(host);
    if by_name && (bound_to.is_loopback() || !method.is_safe()) {
        return Err("Host names neither an address nor localhost: ask by the address");
    }
    if method.is_safe() {
        return Ok(());
    }
    let of_same_origin = |origin: &[u8]| {
        origin
            .strip_prefix(b"http://")
            .is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_bytes()))
    };
    if !fields.all("origin").all(of_same_origin) {
        return Err("Origin is a web page elsewhere: nothing here is for its use");
    }
    Ok(())
}

/// Whether nobody can have a name server say where `host` is.
fn is_nobodys(host: &str) -> bool {
    let Some(Authority { host, .. }) = Authority::parse(host) else {
        return false;
    };
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}
