//! What is stored is listed, and removed when the operator says so.

use serde_json::{Value, json};
use testkit::origin::{Answer, Origin};
use testkit::peer::exchange;

use crate::lab::{Lab, PATIENCE};

fn before(origin: &Origin) -> Lab {
    Lab::start(&["--origin", &format!("http://{}", origin.address())])
}

fn ask(lab: &Lab, target: &str, fields: &str) {
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: Lab\r\n{fields}Connection: close\r\n\r\n");
    let answer = exchange(lab.address("tcp"), request.as_bytes(), PATIENCE).unwrap();
    assert_eq!(answer.status(), Some(200));
}

#[test]
fn what_is_stored_is_listed_with_why_and_for_how_long() {
    let origin = Origin::start(|asked| match asked.target().as_str() {
        "/told" => Answer::ok("Cache-Control: max-age=600\r\nVary: Accept\r\n", "told"),
        "/confirmed" => Answer::ok("ETag: \"1\"\r\n", "to be confirmed"),
        _ => Answer::ok("Cache-Control: no-store\r\n", "not stored"),
    });
    let lab = before(&origin);
    for target in ["/told", "/confirmed", "/not-stored"] {
        ask(&lab, target, "Accept: text/html\r\n");
    }
    let listed = lab.get("/cache").json();
    assert_eq!(listed["entries"], 2);
    assert_eq!(listed["bound_bytes"], 256 << 20);
    assert_eq!(listed["next"], Value::Null);
    let [confirmed, told] = &listed["responses"].as_array().unwrap()[..] else {
        panic!("{listed:#}");
    };
    assert_eq!(told["url"], "http://lab/told");
    assert_eq!(told["why"], "explicit");
    assert_eq!(told["status"], 200);
    assert_eq!(told["body_bytes"], 4);
    assert_eq!(told["selected_by"], json!({"accept": "text/html"}));
    let ttl = told["ttl_seconds"].as_i64().unwrap();
    assert!((590..=600).contains(&ttl), "{ttl}");
    assert_eq!(confirmed["url"], "http://lab/confirmed");
    assert_eq!(confirmed["why"], "validator");
    assert!(confirmed["ttl_seconds"].as_i64().unwrap() <= 0);
    assert_eq!(confirmed["selected_by"], json!({}));
}

#[test]
fn the_list_comes_in_parts_that_miss_nothing() {
    let origin = Origin::start(|_| Answer::ok("Cache-Control: max-age=600\r\n", "stored"));
    let lab = before(&origin);
    let targets: Vec<_> = (0..25).map(|number| format!("/{number:02}?a&b")).collect();
    for target in targets.iter().rev() {
        ask(&lab, target, "");
    }
    let (mut found, mut parts, mut more) = (Vec::new(), 0, String::new());
    loop {
        let part = lab.get(&format!("/cache?limit=10{more}")).json();
        let urls = part["responses"].as_array().unwrap().iter();
        found.extend(urls.map(|response| response["url"].as_str().unwrap().to_owned()));
        parts += 1;
        let Some(next) = part["next"].as_str() else {
            break;
        };
        more = format!("&after={}", next.replace('&', "%26"));
    }
    let all: Vec<_> = targets
        .iter()
        .map(|target| format!("http://lab{target}"))
        .collect();
    assert_eq!((found, parts), (all, 3));
    let some = lab.get("/cache?prefix=http://lab/1").json();
    assert_eq!(some["responses"].as_array().unwrap().len(), 10);
    assert_eq!(some["entries"], 25);
}

#[test]
fn what_the_operator_removes_is_asked_for_anew() {
    let origin = Origin::start(|_| Answer::ok("Cache-Control: max-age=600\r\n", "stored"));
    let lab = before(&origin);
    let targets = ["/a", "/b/1", "/b/2?q", "/c"];
    let ask_all = || {
        for target in targets {
            ask(&lab, target, "");
        }
    };
    ask_all();
    for (parameter, removed) in [
        ("url=http://lab/a", 1),
        ("url=http://lab/a", 0),
        // The same URL in another spelling.
        ("url=HTTP://LAB:80/c", 1),
        ("prefix=http://lab/b/", 2),
        ("prefix=http://lab/b/", 0),
    ] {
        let answer = lab.ask(&format!("DELETE /cache?{parameter}"), "");
        assert_eq!(answer.json(), json!({"removed": removed}), "{parameter}");
    }
    assert_eq!(lab.get("/cache").json()["entries"], 0);
    ask_all();
    for target in targets {
        assert_eq!(origin.count(target), 2, "{target}");
    }
    for parameter in [
        "",
        "url=lab",
        "prefix=",
        "url=http://lab/a&prefix=x",
        "path=/a",
    ] {
        let refused = lab.ask(&format!("DELETE /cache?{parameter}"), "");
        assert_eq!(refused.status, 400, "{parameter}");
        assert!(refused.text().contains("expected ?url="), "{parameter}");
    }
    assert_eq!(lab.get("/cache").json()["entries"], 4);
}
