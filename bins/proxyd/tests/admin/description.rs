//! What the endpoint answers is what `api/openapi.json` says.

use std::collections::BTreeSet;

use jsonschema::{Draft, JSONSchema};
use serde_json::{Value, json};
use testkit::origin::{Answer, Origin};
use testkit::peer::exchange;

use crate::lab::{Lab, PATIENCE};

const DESCRIPTION: &str = include_str!("../../api/openapi.json");

/// Holds a value against a schema of the description.
fn assert_valid(description: &Value, schema: &Value, value: &Value, what: &str) {
    // The schemas refer to each other from the root of the document.
    let mut whole = schema.clone();
    whole["components"] = description["components"].clone();
    let compiled = JSONSchema::options()
        .with_draft(Draft::Draft202012)
        .compile(&whole)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let errors: Vec<String> = match compiled.validate(value) {
        Ok(()) => Vec::new(),
        Err(errors) => errors
            .map(|error| format!("{} {error}", error.instance_path))
            .collect(),
    };
    assert!(errors.is_empty(), "{what}: {errors:#?}\n{value:#}");
}

#[test]
fn every_answer_is_as_the_description_says() {
    let description: Value = serde_json::from_str(DESCRIPTION).unwrap();
    let origin = Origin::start(|asked| match asked.target().as_str() {
        "/varied" => Answer::ok(
            "Cache-Control: max-age=60\r\nVary: Accept, X-Lab\r\n",
            "varied",
        ),
        "/validated" => Answer::ok("ETag: \"1\"\r\n", "validated"),
        _ => Answer::ok("Cache-Control: max-age=60\r\n", "fresh"),
    });
    let url = format!("http://{}", origin.address());
    let lab = Lab::start(&[
        "--origin",
        &url,
        "--impair",
        "delay=1ms gemodel=1%,25% rate=1gbit",
    ]);
    for target in ["/varied", "/validated", "/fresh"] {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: lab\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        exchange(lab.address("tcp"), request.as_bytes(), PATIENCE).unwrap();
    }
    let order = json!({
        "seed": u64::MAX,
        "udp": {
            "both": {
                "delay": "20ms", "jitter": "1ms", "distribution": "normal", "duplicate": "1%",
                "corrupt": "1e-3%", "reorder": "5%", "gap": 3,
            },
            "to_client": {"loss": "1%", "rate": "2mbit", "queue": "9KiB", "queue-datagrams": 9},
        },
        "http": {
            "latency": "1ms", "jitter": "1ms", "distribution": "pareto", "bandwidth": "1gbit",
            "slicer": "1KiB", "slicer_delay": "1ms", "slow_close": "1ms", "limit_data": "1GiB",
            "timeout": "1s", "fail": "503:1%",
        },
    });
    let order_schema = json!({"$ref": "#/components/schemas/Order"});
    assert_valid(&description, &order_schema, &order, "the order");

    let mut asked = BTreeSet::new();
    for (request, body, status) in [
        ("GET /healthz", "", 200),
        ("GET /metrics", "", 200),
        ("GET /status.json", "", 200),
        ("GET /impair", "", 200),
        ("PUT /impair", order.to_string().as_str(), 200),
        ("GET /impair", "", 200),
        ("PUT /impair", "?", 400),
        ("GET /status.json", "", 200),
        ("GET /cache", "", 200),
        ("GET /cache?limit=2", "", 200),
        ("GET /cache?limit=0", "", 400),
        ("DELETE /cache?url=http://lab/fresh", "", 200),
        ("DELETE /cache?prefix=http://lab/v", "", 200),
        ("DELETE /cache", "", 400),
    ] {
        let answer = lab.ask(request, body);
        assert_eq!(answer.status, status, "{request}");
        let (method, target) = request.split_once(' ').unwrap();
        let path = target.split('?').next().unwrap();
        let operation = &description["paths"][path][method.to_ascii_lowercase()];
        let content = &operation["responses"][status.to_string()]["content"];
        let sent = answer.field("content-type").unwrap();
        let media = sent.split(';').next().unwrap();
        let schema = &content[media]["schema"];
        assert!(
            schema.is_object(),
            "{request} answers {status} with {media}"
        );
        if media == "application/json" {
            assert_valid(&description, schema, &answer.json(), request);
        }
        asked.insert((method.to_owned(), path.to_owned(), status.to_string()));
    }
    let told: BTreeSet<_> = description["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, operations)| {
            let operations = operations.as_object().unwrap().iter();
            operations.flat_map(move |(method, operation)| {
                let statuses = operation["responses"].as_object().unwrap().keys();
                let method = method.to_ascii_uppercase();
                statuses.map(move |status| (method.clone(), path.clone(), status.clone()))
            })
        })
        .collect();
    assert_eq!(
        asked, told,
        "what was asked, and what the description tells of"
    );
    // And nothing is there that it does not tell of.
    let routes: BTreeSet<_> = lab
        .get("/")
        .text()
        .lines()
        .skip(1)
        .map(str::to_owned)
        .collect();
    let told = told
        .iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    assert_eq!(routes, told);
}

#[test]
fn a_description_that_does_not_fit_is_noticed() {
    let description: Value = serde_json::from_str(DESCRIPTION).unwrap();
    let valid = |value: Value| {
        let mut whole = json!({"$ref": "#/components/schemas/Impairment"});
        whole["components"] = description["components"].clone();
        let compiled = JSONSchema::options()
            .with_draft(Draft::Draft202012)
            .compile(&whole);
        compiled.unwrap().is_valid(&value)
    };
    assert!(valid(
        json!({"seed": 1, "udp": {"to_target": {}, "to_client": {}}, "http": {}})
    ));
    for wrong in [
        json!({"seed": -1, "udp": {"to_target": {}, "to_client": {}}, "http": {}}),
        json!({"seed": 1, "udp": {"to_target": {}}, "http": {}}),
        json!({"seed": 1, "udp": {"to_target": {"los": "1%"}, "to_client": {}}, "http": {}}),
        json!({"seed": 1, "udp": {"to_target": {"gap": "1"}, "to_client": {}}, "http": {}}),
    ] {
        assert!(!valid(wrong.clone()), "{wrong}");
    }
}
