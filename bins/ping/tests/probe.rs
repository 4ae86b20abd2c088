//! `--probe` against the real kernel, which answers when it is told to. Takes root and a
//! namespaced network.

use jsonschema::JSONSchema;
use serde_json::Value;
use testkit::netns::{Chain, left_out};

const PING: &str = env!("CARGO_BIN_EXE_ping");
const SCHEMA: &str = include_str!("../schema/ping-v1.schema.json");

#[test]
fn a_host_says_how_its_interfaces_are() {
    if left_out("a_host_says_how_its_interfaces_are", &[]) {
        return;
    }
    let chain = Chain::new(0).unwrap();
    let server = chain.server();
    let prepare = "echo 1 >/proc/sys/net/ipv4/icmp_echo_enable_probe && \
                   ip link add spare up type veth peer name loose && \
                   ip address add 10.9.9.9/24 dev spare && ip link set spare down";
    chain.run(server, "sh", &["-c", prepare]).unwrap();
    let shown = chain.run(server, "cat", &["/sys/class/net/left/ifindex"]);
    let index = String::from_utf8_lossy(&shown.unwrap().stdout)
        .trim()
        .to_owned();
    let schema = JSONSchema::compile(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    for (asked, state, code) in [
        ("left", "active with IPv4 and IPv6", 0),
        (&*index, "active with IPv4 and IPv6", 0),
        (&*chain.server_v4(), "active with IPv4 and IPv6", 0),
        (&*chain.server_v6(), "active with IPv4 and IPv6", 0),
        ("spare", "inactive with IPv4", 1),
        ("nonesuch", "no such interface", 1),
        ("4000000000", "no such interface", 1),
        ("192.0.2.77", "no such interface", 1),
    ] {
        for host in [chain.server_v4(), chain.server_v6()] {
            for range in ["1 0", "0 2147483647"] {
                let script = format!("echo {range} >/proc/sys/net/ipv4/ping_group_range");
                chain.run(0, "sh", &["-c", &script]).unwrap();
                let args = ["--json", "-c", "2", "-i", "0.01", "--probe", asked, &host];
                let output = chain.command(0, PING, &args).output().unwrap();
                assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let objects: Vec<Value> = text
                    .lines()
                    .map(|line| serde_json::from_str(line).unwrap())
                    .collect();
                assert!(
                    objects.iter().all(|object| schema.is_valid(object)),
                    "{text}"
                );
                assert_eq!(objects.len(), 3, "two replies and a summary: {text}");
                assert_eq!(objects[0]["interface"]["state"], state, "{args:?}");
            }
        }
    }
    // More than 256, so that the eight bits of their numbers go round.
    let args = [
        "-q",
        "-c",
        "300",
        "-i",
        "0.01",
        "--probe",
        "left",
        &chain.server_v4(),
    ];
    let output = chain.command(0, PING, &args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("300 packets transmitted, 300 received, 0%"),
        "{text}"
    );
}
