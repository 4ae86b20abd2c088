//! `GET` and `PUT /impair`: what the flags `--impair` and `--impair-http` say, as JSON. Names and
//! values are those of the flags.

use std::sync::Arc;

use netio::admin::{Answer, Panel};
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::impair::Impairment;
use crate::impair::grammar::Terms;
use crate::impair::http::HttpFaults;
use crate::impair::live::Live;

/// Adds the routes, and the member `impairment` of /status.json.
pub(super) fn add(panel: &mut Panel, live: &Arc<Live>) {
    let of_status = Arc::clone(live);
    panel.section("impairment", move || Ordered::now(&of_status));
    let of_get = Arc::clone(live);
    panel.route(Method::Get, "/impair", move |_| {
        Answer::json(StatusCode::OK, &Ordered::now(&of_get))
    });
    let live = Arc::clone(live);
    panel.route(Method::Put, "/impair", move |asked| {
        match order(&live, asked.body) {
            Ok(()) => Answer::json(StatusCode::OK, &Ordered::now(&live)),
            Err(mistake) => Answer::text(StatusCode::BAD_REQUEST, mistake),
        }
    });
}

/// What is in force.
#[derive(Debug, Serialize)]
struct Ordered {
    seed: u64,
    udp: Directions,
    http: Map<String, Value>,
}

#[derive(Debug, Serialize)]
struct Directions {
    to_target: Map<String, Value>,
    to_client: Map<String, Value>,
}

impl Ordered {
    fn now(live: &Live) -> Ordered {
        let orders = live.orders();
        Ordered {
            seed: orders.seed,
            udp: Directions {
                to_target: written(orders.impairment.to_target.terms()),
                to_client: written(orders.impairment.to_client.terms()),
            },
            http: written(orders.http.terms()),
        }
    }
}

fn written(terms: Vec<(&'static str, String)>) -> Map<String, Value> {
    let member = |(name, value): (&str, String)| {
        // Counts have no unit, and are numbers.
        let value = value.parse::<u64>().map_or(Value::from(value), Value::from);
        (name.to_owned(), value)
    };
    terms.into_iter().map(member).collect()
}

/// Puts in force what `body` says: what it does not name is not impaired, and the seed stays. The
/// error is one line.
fn order(live: &Live, body: &[u8]) -> Result<(), String> {
    const CURE: &str = r#"expected such as {"udp":{"both":{"delay":"40ms","loss":"1%"}}}"#;
    let body: Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| format!("{error}; {CURE}"))?;
    let mut seed = live.orders().seed;
    let [mut both, mut to_target, mut to_client, mut http] = [const { Terms::new() }; 4];
    for (name, value) in body {
        match (name.as_str(), value) {
            ("seed", value) => {
                let number = value.as_u64();
                seed = number.ok_or_else(|| format!("seed: {value}: expected a number from 0"))?;
            }
            ("udp", Value::Object(directions)) => {
                for (direction, faults) in directions {
                    let section = match direction.as_str() {
                        "both" => &mut both,
                        "to_target" => &mut to_target,
                        "to_client" => &mut to_client,
                        _ => {
                            let there_are = "there are both, to_target and to_client";
                            return Err(format!("udp: there is no '{direction}'; {there_are}"));
                        }
                    };
                    let Value::Object(faults) = faults else {
                        return Err(format!("udp: {direction} is no object; {CURE}"));
                    };
                    *section = terms(faults)?;
                }
            }
            ("http", Value::Object(faults)) => http = terms(faults)?,
            ("http", _) => return Err(format!("http is no object; {CURE}")),
            ("udp", _) => return Err(format!("udp is no object; {CURE}")),
            _ => {
                return Err(format!(
                    "there is no '{name}'; there are seed, udp and http"
                ));
            }
        }
    }
    let impairment = Impairment::of_terms(&both, to_target, to_client)?;
    let http = HttpFaults::of_terms(&http)?;
    live.replace(impairment, http, seed);
    Ok(())
}

fn terms(members: Map<String, Value>) -> Result<Terms, String> {
    let term = |(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Number(number) => Ok((name, number.to_string())),
        other => Err(format!(
            r#"{name}: {other}: expected a value such as "40ms" or "1%""#
        )),
    };
    members.into_iter().map(term).collect()
}
