//! The rules against every spelling known to us.

use super::*;

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn only_clients_of_this_machine_are_served_unless_others_are_allowed() {
    let plain = Access::default();
    let open = Access {
        clients: nets(&["192.168.1.0/24", "fd00::/8"]),
        ..Access::default()
    };
    let cases = [
        ("127.0.0.1", true, true),
        ("127.8.9.10", true, true),
        ("::1", true, true),
        ("::ffff:127.0.0.1", true, true),
        ("192.168.1.7", false, true),
        ("::ffff:192.168.1.7", false, true),
        ("192.168.2.7", false, false),
        ("fd12::1", false, true),
        ("8.8.8.8", false, false),
        ("fe80::1", false, false),
    ];
    for (client, by_plain, by_open) in cases {
        let client = client.parse().unwrap();
        assert_eq!(plain.of_client(client).is_ok(), by_plain, "{client}");
        assert_eq!(open.of_client(client).is_ok(), by_open, "{client}");
    }
}

#[test]
fn tunnels_go_to_https_unless_other_ports_are_allowed() {
    let plain = Access::default();
    let open = Access {
        connect_ports: vec!["8443".parse().unwrap(), "9000-9002".parse().unwrap()],
        ..Access::default()
    };
    let cases = [
        (443, true, true),
        (80, false, false),
        (25, false, false),
        (22, false, false),
        (8443, false, true),
        (8999, false, false),
        (9000, false, true),
        (9002, false, true),
        (9003, false, false),
    ];
    for (port, by_plain, by_open) in cases {
        assert_eq!(plain.of_port(port).is_ok(), by_plain, "{port}");
        assert_eq!(open.of_port(port).is_ok(), by_open, "{port}");
    }
    for wrong in ["", "0", "9-8", "70000", "a", "1-", "-1", "1-2-3"] {
        assert!(wrong.parse::<Ports>().is_err(), "{wrong}");
    }
}

/// From the IANA IPv4 and IPv6 special-purpose address registries, first and last addresses
/// and their neighbours; and every way known to us of hiding one in another.
#[test]
fn addresses_that_are_not_of_the_public_internet_are_no_targets() {
    let denied = [
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.0.0",
        "169.254.169.254",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::2",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::8.8.8.8",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:2::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2002:c0a8:101::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fdff::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
    ];
    let allowed = [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "2001:4860:4860::8888",
        "2606:4700::1111",
    ];
    let access = Access::default();
    let judge =
        |text: &str| access.of_target(SocketAddr::new(text.parse().unwrap(), 80), |_| false);
    for text in denied {
        assert!(judge(text).is_err(), "{text}");
    }
    for text in allowed {
        assert_eq!(judge(text), Ok(()), "{text}");
    }
}

#[test]
fn a_target_that_is_allowed_is_allowed_in_its_mapped_spelling_and_no_other_is() {
    let access = Access {
        targets: nets(&["127.0.0.0/8", "fd00::/64"]),
        ..Access::default()
    };
    let cases = [
        ("127.0.0.1", true),
        ("::ffff:127.0.0.1", true),
        ("64:ff9b::127.0.0.1", false),
        ("2002:7f00:1::", false),
        ("::1", false),
        ("10.0.0.1", false),
        ("fd00::1", true),
        ("fd00:0:0:1::1", false),
    ];
    for (text, expected) in cases {
        let target = SocketAddr::new(text.parse().unwrap(), 80);
        let verdict = access.of_target(target, |_| false);
        assert_eq!(verdict.is_ok(), expected, "{text}");
    }
}

#[test]
fn its_own_listeners_are_no_targets_whatever_is_allowed() {
    let access = |own: &[&str]| Access {
        targets: nets(&["0.0.0.0/0", "::/0"]),
        own: own.iter().map(|own| own.parse().unwrap()).collect(),
        ..Access::default()
    };
    let one = access(&["127.0.0.1:8080", "[::1]:8081"]);
    let all = access(&["0.0.0.0:8080", "[::]:8081"]);
    // Addresses of this machine: loopback, and 203.0.113.5.
    let cases = [
        ("127.0.0.1:8080", false, false),
        ("[::ffff:127.0.0.1]:8080", false, false),
        ("[64:ff9b::7f00:1]:8080", false, false),
        ("0.0.0.0:8080", false, false),
        ("[::]:8080", false, false),
        ("[::1]:8081", false, false),
        ("127.0.0.2:8080", true, false),
        ("203.0.113.5:8080", true, false),
        ("203.0.113.5:8081", true, false),
        ("203.0.113.6:8080", true, true),
        ("127.0.0.1:8000", true, true),
        ("[::1]:8000", true, true),
    ];
    let is_local = |address: IpAddr| address.to_string() == "203.0.113.5";
    for (target, by_one, by_all) in cases {
        let target = target.parse().unwrap();
        assert_eq!(one.of_target(target, is_local).is_ok(), by_one, "{target}");
        assert_eq!(all.of_target(target, is_local).is_ok(), by_all, "{target}");
    }
}

#[test]
fn a_denial_says_which_rule_and_which_flag() {
    let cases = [
        (
            Denial::Client("10.1.2.3".parse().unwrap()),
            "--allow 10.1.2.3 ",
        ),
        (Denial::Port(25), "--connect-port 25 "),
        (
            Denial::Target {
                address: "10.0.0.1".parse().unwrap(),
                kind: "private",
            },
            "--allow-target 10.0.0.1 ",
        ),
    ];
    for (denial, flag) in cases {
        assert!(denial.to_string().contains(flag), "{denial}");
    }
}
