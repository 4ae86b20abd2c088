//! Where on its way a round trip spends its time, by the stamps of the nodes.
//!
//! Only times of one and the same clock are subtracted: how long a node was without the probe, less
//! how long the next node was, is what the link between the two took, there and back. No two clocks
//! have to agree, and none has to be right about anything but how long a moment is.

use std::time::Duration;

use netproto::probe::{Node, Stamp};
use netstats::summary::Summary;

/// An answer with its stamps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// From sending it to receiving it, by the client's clock.
    pub rtt: Duration,
    /// In the order of its way.
    pub stamps: Vec<Stamp>,
}

/// The delays of the nodes and links of one path.
#[derive(Debug, Clone, Default)]
pub struct Hops {
    /// Answers that every node had stamped, and by which all of this was computed.
    pub n: usize,
    /// Answers that were stamped otherwise: by nobody, by half of a pair, or along another path.
    pub left_out: usize,
    /// The links, the client's own first: there and back together.
    pub links: Vec<Summary>,
    /// The nodes behind each link: a relay's time in both directions together, the echo's last.
    pub residences: Vec<Summary>,
}

/// One answer taken apart.
struct Parts {
    links: Vec<Duration>,
    residences: Vec<Duration>,
}

impl Hops {
    /// Takes every answer apart. The path is that of the first answer that is stamped as it should
    /// be; `None` when there is none.
    pub fn of(answers: &[Stamped]) -> Option<Hops> {
        let parts: Vec<Parts> = answers.iter().filter_map(take_apart).collect();
        let nodes = parts.first()?.residences.len();
        let alike: Vec<&Parts> = parts
            .iter()
            .filter(|parts| parts.residences.len() == nodes)
            .collect();
        let column = |of: fn(&Parts) -> &Vec<Duration>, place: usize| {
            Summary::of(
                alike
                    .iter()
                    .filter_map(|parts| of(parts).get(place).copied()),
            )
        };
        Some(Hops {
            n: alike.len(),
            left_out: answers.len() - alike.len(),
            links: (0..nodes).map(|i| column(|p| &p.links, i)).collect(),
            residences: (0..nodes).map(|i| column(|p| &p.residences, i)).collect(),
        })
    }

    /// How many relays stood on the way.
    pub fn relays(&self) -> usize {
        self.residences.len().saturating_sub(1)
    }
}

/// The stamps of a path are those of its relays, of its echo, and of the relays again in reverse.
fn take_apart(answer: &Stamped) -> Option<Parts> {
    let nodes = answer.stamps.len().div_ceil(2);
    let (there, back) = answer.stamps.split_at_checked(nodes)?;
    let (echo, relays) = there.split_last()?;
    let in_their_places = echo.node == Node::Echo
        && relays.len() == back.len()
        && relays
            .iter()
            .chain(back)
            .all(|stamp| stamp.node == Node::Relay);
    if !in_their_places {
        return None;
    }
    let mut parts = Parts {
        links: Vec::with_capacity(nodes),
        residences: Vec::with_capacity(nodes),
    };
    // How long the node before the link was without the probe.
    let mut away = answer.rtt;
    for (out, home) in relays.iter().zip(back.iter().rev()) {
        let outside = home.departed.checked_sub(out.arrived)?;
        let inside = home.arrived.checked_sub(out.departed)?;
        parts.links.push(away.checked_sub(outside)?);
        parts.residences.push(outside.checked_sub(inside)?);
        away = inside;
    }
    let residence = echo.departed.checked_sub(echo.arrived)?;
    parts.links.push(away.checked_sub(residence)?);
    parts.residences.push(residence);
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    fn stamp(node: Node, arrived: u64, departed: u64) -> Stamp {
        Stamp {
            node,
            arrived: ms(arrived),
            departed: ms(departed),
        }
    }

    fn mean(delays: &[Summary]) -> Vec<Duration> {
        delays.iter().map(|delays| delays.mean().unwrap()).collect()
    }

    #[test]
    fn links_and_residences_add_up_to_the_round_trip_whatever_the_clocks_say() {
        // By hand: the relay has it from 1000 to 1003, then from 1050 to 1055 of its clock; the
        // echo from 7 to 9 of its own. Round trip 80: client↔relay 80 − 55 = 25; in the relay
        // 3 + 5 = 8; relay↔echo 47 − 2 = 45; in the echo 2.
        let answer = Stamped {
            rtt: ms(80),
            stamps: vec![
                stamp(Node::Relay, 1000, 1003),
                stamp(Node::Echo, 7, 9),
                stamp(Node::Relay, 1050, 1055),
            ],
        };
        let hops = Hops::of(&[answer]).unwrap();
        assert_eq!((hops.n, hops.left_out, hops.relays()), (1, 0, 1));
        assert_eq!(mean(&hops.links), [ms(25), ms(45)]);
        assert_eq!(mean(&hops.residences), [ms(8), ms(2)]);
    }

    #[test]
    fn an_echo_alone_and_two_relays_are_paths_too() {
        let alone = Stamped {
            rtt: ms(10),
            stamps: vec![stamp(Node::Echo, 100, 104)],
        };
        let hops = Hops::of(&[alone]).unwrap();
        assert_eq!(mean(&hops.links), [ms(6)]);
        let two = Stamped {
            rtt: ms(100),
            stamps: vec![
                stamp(Node::Relay, 0, 10),
                stamp(Node::Relay, 500, 501),
                stamp(Node::Echo, 40, 42),
                stamp(Node::Relay, 521, 522),
                stamp(Node::Relay, 60, 70),
            ],
        };
        // Away from the client 100, of the first relay 50 (it is held 20), of the second 20 (held 2).
        let hops = Hops::of(&[two]).unwrap();
        assert_eq!(mean(&hops.links), [ms(30), ms(28), ms(18)]);
        assert_eq!(mean(&hops.residences), [ms(20), ms(2), ms(2)]);
    }

    #[test]
    fn what_is_stamped_by_half_of_a_pair_or_impossibly_is_left_out() {
        let good = vec![stamp(Node::Echo, 100, 104)];
        for stamps in [
            vec![],
            vec![stamp(Node::Relay, 0, 1)],
            vec![stamp(Node::Relay, 0, 1), stamp(Node::Echo, 0, 1)],
            vec![stamp(Node::Echo, 5, 4)],
            vec![stamp(Node::Echo, 0, 11)],
        ] {
            let answers = [good.clone(), stamps.clone()].map(|stamps| Stamped {
                rtt: ms(10),
                stamps,
            });
            let hops = Hops::of(&answers).unwrap();
            assert_eq!((hops.n, hops.left_out), (1, 1), "{stamps:?}");
            assert!(Hops::of(&answers[1..]).is_none());
        }
    }
}
