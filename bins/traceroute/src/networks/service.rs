//! A DNS service that answers which systems announce an address: a TXT record such as
//! "64496 | 192.0.2.0/24 | ZZ | rir | 2001-01-01" under the reversed address.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, TYPE};

use super::written;

const RESOLVER_FILE: &str = "/etc/resolv.conf";
const DNS_PORT: u16 = 53;
/// What resolv.conf(5) allows.
const MOST_SERVERS: usize = 3;
/// How long one server is waited for.
const SERVER_PATIENCE: Duration = Duration::from_secs(1);
/// The largest answer without EDNS (RFC 1035 §2.3.4).
const LONGEST_ANSWER: usize = 512;

/// The service, and the name servers through which it is asked.
#[derive(Debug)]
pub(super) struct Service {
    servers: Vec<SocketAddr>,
    zone_v4: String,
    zone_v6: String,
}

impl Service {
    /// Asked through the name servers of this host.
    pub(super) fn of_this_host(zone_v4: &str, zone_v6: &str) -> io::Result<Service> {
        let text = fs::read_to_string(RESOLVER_FILE)
            .map_err(|error| io::Error::new(error.kind(), format!("{RESOLVER_FILE}: {error}")))?;
        Ok(Service {
            servers: servers(&text),
            zone_v4: zone_v4.to_owned(),
            zone_v6: zone_v6.to_owned(),
        })
    }

    /// The systems that announce an address.
    pub(super) fn origins(&self, address: IpAddr) -> Option<String> {
        let name = match address {
            IpAddr::V4(address) => format!("{}.{}", reversed_v4(address), self.zone_v4),
            IpAddr::V6(address) => format!("{}.{}", reversed_v6(address), self.zone_v6),
        };
        self.servers
            .iter()
            .find_map(|server| ask(*server, &name).ok()?)
    }
}

/// The `nameserver` lines of resolv.conf(5).
fn servers(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok())
        .map(|address: IpAddr| SocketAddr::new(address, DNS_PORT))
        .take(MOST_SERVERS)
        .collect()
}

/// RFC 1035 §3.5: the octets, last first.
fn reversed_v4(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("{d}.{c}.{b}.{a}")
}

/// RFC 3596 §2.5: the nibbles, last first.
fn reversed_v6(address: Ipv6Addr) -> String {
    let bits = address.to_bits();
    let nibbles: Vec<String> = (0..32)
        .map(|at| format!("{:x}", bits >> (4 * at) & 0xf))
        .collect();
    nibbles.join(".")
}

/// Nothing in the answer is `None`; no answer is an error.
fn ask(server: SocketAddr, name: &str) -> io::Result<Option<String>> {
    let socket = match server {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?,
    };
    let id: u16 = rand::random();
    // Connected, the kernel lets it hear only this server's address and port.
    socket.connect(server)?;
    socket.send(&query(id, name)?)?;
    let deadline = Instant::now() + SERVER_PATIENCE;
    let mut buffer = [0; LONGEST_ANSWER];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let len = socket.recv(&mut buffer)?;
        // What answers another question was forged or comes late: the true answer may follow.
        if let Ok(answer) = Packet::parse(&buffer[..len])
            && is_answer(&answer, id, name)
        {
            return Ok(origins_in(&answer));
        }
    }
}

fn query(id: u16, name: &str) -> io::Result<Vec<u8>> {
    let invalid = |error: simple_dns::SimpleDnsError| io::Error::other(error.to_string());
    let mut query = Packet::new_query(id);
    query.set_flags(PacketFlag::RECURSION_DESIRED);
    query.questions.push(Question::new(
        Name::new(name).map_err(invalid)?.into_owned(),
        QTYPE::TYPE(TYPE::TXT),
        QCLASS::CLASS(CLASS::IN),
        false,
    ));
    query.build_bytes_vec().map_err(invalid)
}

/// Whether it answers this question: the same identifier and, repeated, the same name, type and
/// class (RFC 5452 §9.1).
fn is_answer(answer: &Packet<'_>, id: u16, name: &str) -> bool {
    let [question] = &answer.questions[..] else {
        return false;
    };
    answer.id() == id
        && answer.has_flags(PacketFlag::RESPONSE)
        && question.qtype == QTYPE::TYPE(TYPE::TXT)
        && question.qclass == QCLASS::CLASS(CLASS::IN)
        // RFC 4343: letters of either case are the same.
        && question.qname.to_string().eq_ignore_ascii_case(name)
}

fn origins_in(answer: &Packet<'_>) -> Option<String> {
    answer
        .answers
        .iter()
        .find_map(|record| match &record.rdata {
            RData::TXT(text) => systems(&String::try_from(text.clone()).ok()?),
            _ => None,
        })
}

/// The first column, which may name several.
fn systems(text: &str) -> Option<String> {
    written(text.split('|').next()?.split_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_asked_for_as_the_rfcs_reverse_them() {
        assert_eq!(reversed_v4([192, 0, 2, 5].into()), "5.2.0.192");
        // The example of RFC 3596 §2.5.
        assert_eq!(
            reversed_v6("4321:0:1:2:3:4:567:89ab".parse().unwrap()),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4"
        );
    }

    #[test]
    fn the_first_column_of_the_answer_counts() {
        for (text, expected) in [
            (
                "64496 | 192.0.2.0/24 | ZZ | rir | 2001-01-01",
                Some("AS64496"),
            ),
            ("64496 64497 | 192.0.2.0/24", Some("AS64496/AS64497")),
            ("", None),
            ("none | x", None),
        ] {
            assert_eq!(systems(text).as_deref(), expected, "{text:?}");
        }
    }

    /// By RFC 1035 §4: the identifier 0xbeef, a response with one question and one answer, about
    /// 5.as (TXT, IN): "64496 | x".
    fn answer() -> Vec<u8> {
        let header = b"\xbe\xef\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00";
        let question = b"\x015\x02as\x00\x00\x10\x00\x01";
        // The name by a pointer to the question's; five minutes to live.
        let record = b"\xc0\x0c\x00\x10\x00\x01\x00\x00\x01\x2c\x00\x0a\x0964496 | x";
        [&header[..], question, record].concat()
    }

    #[test]
    fn only_an_answer_to_the_question_counts() {
        let of = |answer: &[u8]| {
            let answer = Packet::parse(answer).ok()?;
            is_answer(&answer, 0xbeef, "5.as").then(|| origins_in(&answer))
        };
        let system = || Some(Some("AS64496".to_owned()));
        assert_eq!(of(&answer()), system());
        for (what, at, octet) in [
            ("another identifier", 1, 0xee),
            ("a query", 2, 0x01),
            ("two questions", 5, 2),
            ("no question", 5, 0),
            ("another name", 13, b'6'),
            ("another type", 19, 1),
            ("another class", 21, 3),
        ] {
            let mut answer = answer();
            answer[at] = octet;
            assert_eq!(of(&answer), None, "{what}");
        }
        let mut capital = answer();
        capital[15] = b'A';
        assert_eq!(of(&capital), system());
        // RFC 1035 §4.1.1: 3 is "no such name", and that is an answer.
        let mut no_such_name = answer()[..22].to_vec();
        (no_such_name[3], no_such_name[7]) = (0x83, 0);
        assert_eq!(of(&no_such_name), Some(None));
        for len in 0..answer().len() {
            assert_ne!(of(&answer()[..len]), system(), "{len}");
        }
    }

    #[test]
    fn forged_answers_do_not_keep_the_true_one_out() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = server.local_addr().unwrap();
        let asking = std::thread::spawn(move || ask(address, "5.as"));
        let mut query = [0; LONGEST_ANSWER];
        let (_, client) = server.recv_from(&mut query).unwrap();
        let mut forged = answer();
        forged[35..40].copy_from_slice(b"64666");
        forged[..2].copy_from_slice(&query[..2]);
        // From another port, all of it right; from the server's, about another name.
        stranger.send_to(&forged, client).unwrap();
        forged[13] = b'6';
        server.send_to(&forged, client).unwrap();
        let mut answer = answer();
        answer[..2].copy_from_slice(&query[..2]);
        server.send_to(&answer, client).unwrap();
        assert_eq!(asking.join().unwrap().unwrap().as_deref(), Some("AS64496"));
    }

    #[test]
    fn name_servers_are_read_as_resolv_conf_5_says() {
        let text =
            "# nameserver 192.0.2.9\nnameserver 192.0.2.1\nsearch x\nnameserver 2001:db8::1\n";
        let expected = ["192.0.2.1:53", "[2001:db8::1]:53"].map(|it| it.parse().unwrap());
        assert_eq!(servers(text), expected);
    }
}
