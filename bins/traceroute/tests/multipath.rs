//! Every path through networks of namespaces whose first router shares the load. Takes root.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod diamond;
mod peer;

use std::collections::BTreeSet;

use diamond::{Diamond, TARGET};
use peer::{left_out, written};

/// What ours writes at the client, its times masked.
fn traced(diamond: &Diamond, args: &[&str]) -> String {
    written(diamond.command(args))
}

/// Every edge that there is.
fn all_edges(width: usize) -> BTreeSet<String> {
    let mut edges = BTreeSet::from(["\"3 10.2.1.2\" -> \"4 10.3.0.2\"".to_owned()]);
    for branch in 1..=width {
        edges.insert(format!("\"1 10.0.0.2\" -> \"2 10.1.{branch}.2\""));
        edges.insert(format!("\"2 10.1.{branch}.2\" -> \"3 10.2.1.2\""));
    }
    edges
}

#[test]
fn diamonds_of_two_four_and_eight_are_found_whole() {
    if left_out("diamonds_of_two_four_and_eight_are_found_whole") {
        return;
    }
    for width in [2, 4, 8] {
        let diamond = Diamond::new(width);
        // So sure that the test does not fail by chance.
        for method in ["-M default", "-T"] {
            let method: Vec<&str> = method.split(' ').collect();
            let args = [
                &["--mda", "--confidence", "99.99", "--dot", "-w", "2"],
                &method[..],
                &[TARGET],
            ];
            let dot = traced(&diamond, &args.concat());
            let edges: BTreeSet<String> = dot
                .lines()
                .filter(|line| line.contains("->"))
                .map(|line| line.trim().trim_end_matches(';').to_owned())
                .collect();
            assert_eq!(edges, all_edges(width), "{method:?}, {width} wide: {dot}");
        }
        let text = traced(&diamond, &["--mda", "-w", "2", TARGET]);
        assert!(text.contains("10.0.0.2"), "{text}");
        assert!(text.contains("0% of"), "{text}");
    }
}

#[test]
fn an_ordinary_trace_stays_on_one_branch() {
    if left_out("an_ordinary_trace_stays_on_one_branch") {
        return;
    }
    let diamond = Diamond::new(8);
    for method in ["-q3", "-I", "-T"] {
        let told = traced(&diamond, &["-n", method, "-q", "10", TARGET]);
        assert_eq!(told.matches("10.1.").count(), 1, "{method}: {told}");
    }
    // The old way is spread: ten probes on one of eight branches have a chance of 8^-9.
    let told = traced(&diamond, &["-n", "--classic", "-q", "10", TARGET]);
    assert!(told.matches("10.1.").count() > 1, "{told}");
}
