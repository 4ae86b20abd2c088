use super::*;

/// Who answers at each hop (0: nobody), as a trace of 30 hops at most writes it: an end at
/// hop 99, silence to the 30th hop otherwise.
fn path(routers: &[u8]) -> Path {
    let reached = routers.last() == Some(&99);
    let silence = if reached { 0 } else { 30 - routers.len() };
    let routers = routers.iter().copied().chain(vec![0; silence]);
    let hops = routers.zip(1..).map(|(router, ttl)| Hop {
        ttl,
        addresses: (router != 0)
            .then(|| IpAddr::from([10, 0, 0, router]))
            .into_iter()
            .collect(),
        mark: None,
        sent: 3,
        answered: if router == 0 { 0 } else { 3 },
        rtt_ms: (router != 0).then_some((1.0, Some(0.1))),
        silence: None,
    });
    Path {
        target: [10, 0, 0, 99].into(),
        method: "udp".to_owned(),
        max_ttl: 30,
        reached,
        is_complete: true,
        hops: hops.collect(),
    }
}

fn told(before: &Path, now: &Path) -> (Vec<String>, bool) {
    let comparison = Comparison::of(before, now);
    let told = comparison.differences.iter().map(ToString::to_string);
    (told.collect(), comparison.is_another_path())
}

/// The path before and now, whether it is another, what is told.
type Case = (&'static [u8], &'static [u8], bool, &'static [&'static str]);

#[test]
fn hops_that_changed_came_and_went_are_told_where_they_are() {
    let cases: [Case; 11] = [
        (&[1, 2, 99], &[1, 2, 99], false, &[]),
        (
            &[1, 2, 99],
            &[1, 5, 99],
            true,
            &["hop 2: 10.0.0.5, before 10.0.0.2"],
        ),
        (
            &[1, 2, 3, 99],
            &[1, 2, 7, 3, 99],
            true,
            &[
                "hop 3: 10.0.0.7, which was not on the way before",
                "the way ends at the target, hop 5; before at the target, hop 4",
            ],
        ),
        (
            &[1, 2, 3, 99],
            &[1, 3, 99],
            true,
            &[
                "hop 2 before: 10.0.0.2, no longer on the way",
                "the way ends at the target, hop 3; before at the target, hop 4",
            ],
        ),
        // A silent router may be the one that answered.
        (
            &[1, 2, 99],
            &[1, 0, 99],
            false,
            &["hop 2: silent to 3 probes, before 10.0.0.2"],
        ),
        (
            &[1, 0, 99],
            &[1, 2, 99],
            false,
            &["hop 2: 10.0.0.2, before silent"],
        ),
        (
            &[1, 2, 99],
            &[1, 2, 0, 99],
            true,
            &[
                "hop 3: a silent router, which was not on the way before",
                "the way ends at the target, hop 4; before at the target, hop 3",
            ],
        ),
        // The target does not answer any more.
        (
            &[1, 2, 99],
            &[1, 2],
            true,
            &[
                "hop 3: silent to 0 probes, before 10.0.0.99",
                "the way ends in silence behind hop 2; before at the target, hop 3",
            ],
        ),
        (
            &[1],
            &[1, 2, 99],
            true,
            &[
                "hop 2: 10.0.0.2, before silent",
                "hop 3: 10.0.0.99, before silent",
                "the way ends at the target, hop 3; before in silence behind hop 1",
            ],
        ),
        // Neither ever reached it: who is silent at the end may still be there.
        (
            &[1, 2, 3],
            &[1, 2],
            false,
            &["hop 3: silent to 0 probes, before 10.0.0.3"],
        ),
        (&[], &[], false, &[]),
    ];
    for (before, now, is_another, expected) in cases {
        let (told, another) = told(&path(before), &path(now));
        assert_eq!(told, expected, "{before:?} {now:?}");
        assert_eq!(another, is_another, "{before:?} {now:?}");
    }
}

#[test]
fn what_only_one_of_them_probed_is_no_difference() {
    let whole = path(&[1, 2, 3, 99]);
    let mut short = path(&[1, 2]);
    short.max_ttl = 2;
    short.hops.truncate(2);
    let mut interrupted = path(&[1, 2, 3]);
    interrupted.is_complete = false;
    interrupted.hops.truncate(3);
    let mut late = path(&[1, 2, 3, 99]);
    late.hops.drain(..2);
    for one in [&short, &interrupted, &late] {
        assert_eq!(told(&whole, one), (Vec::new(), false), "{one:?}");
        assert_eq!(told(one, &whole), (Vec::new(), false), "{one:?}");
    }
}

#[test]
fn a_refusal_is_an_end_and_one_of_several_addresses_is_enough() {
    let mut before = path(&[1, 2, 99]);
    before.hops[1].addresses.push([10, 0, 0, 5].into());
    assert_eq!(told(&before, &path(&[1, 5, 99])), (Vec::new(), false));

    let mut refused = path(&[1, 2]);
    refused.hops.truncate(2);
    refused.hops[1].mark = Some("!H".to_owned());
    let (told, is_another) = told(&path(&[1, 2, 99]), &refused);
    let expected = [
        "hop 3 before: 10.0.0.99, no longer on the way",
        "the way ends with !H at hop 2; before at the target, hop 3",
    ];
    assert_eq!(told, expected);
    assert!(is_another);
}

#[test]
fn figures_are_told_with_what_the_samples_allow_and_make_no_other_path() {
    let report = |mean: f64, answered: u64| {
        let mut path = path(&[1, 99]);
        path.hops[1].sent = 20;
        path.hops[1].answered = answered;
        path.hops[1].rtt_ms = Some((mean, Some(0.5)));
        path
    };
    let (told, is_another) = told(&report(1.0, 20), &report(13.0, 10));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("hop 2: 13.000 ms mean of 10, before 1.000 ms of 20: +12.000 ± 0.")
    );
    // 0 of 20 allow up to 1/6 or so, and 10 of 20 no less than a quarter.
    assert!(
        told[1].starts_with("hop 2: 10 of 20 lost, before 0 of 20: +"),
        "{told:?}"
    );
    assert!(!is_another);
    // One probe of twenty is lost by chance.
    let (told, _) = super::tests::told(&report(1.0, 20), &report(1.2, 19));
    assert_eq!(told, Vec::<String>::new());
}

#[test]
fn another_method_or_target_is_noted() {
    let before = path(&[1, 99]);
    let mut now = before.clone();
    now.method = "icmp".to_owned();
    now.target = [10, 0, 0, 98].into();
    let expected = [
        "probed by icmp, before by udp",
        "to 10.0.0.98, before to 10.0.0.99",
    ];
    assert_eq!(told(&before, &now).0, expected);
}

#[test]
fn another_explanation_of_silence_is_told_and_makes_no_other_path() {
    let explained = |silence| {
        let mut path = path(&[1, 2, 99]);
        path.hops[1].silence = silence;
        path
    };
    let limited = explained(Some(Hypothesis::RateLimit));
    let lossy = explained(Some(Hypothesis::Loss));
    let line = "hop 2: its silence is loss, before rate limit".to_owned();
    assert_eq!(told(&limited, &lossy), (vec![line], false));
    // Where one of them was not confirmed, nothing is known of a difference.
    for (before, now) in [(&limited, &limited), (&limited, &explained(None))] {
        assert_eq!(told(before, now), (vec![], false));
    }
}
