//! `--save` and `--compare`, as a script uses them.

use std::fs;

use crate::diamond::{Diamond, TARGET, TARGET_V6};
use crate::peer::{OURS, left_out};
use crate::{take_branch, validated};

/// Exit code, standard output, standard error.
fn run(diamond: &Diamond, args: &[&str]) -> (i32, String, String) {
    let output = diamond
        .command(&[&["-n"], args, &[TARGET]].concat())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_saved_path_is_held_against_the_one_of_now() {
    if left_out("a_saved_path_is_held_against_the_one_of_now") {
        return;
    }
    let diamond = Diamond::new(2);
    take_branch(&diamond, 1);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [trace, report] = ["trace", "report"].map(file);
    let cycles = ["--report", "-c2", "--interval=0.2"];

    let (code, _, stderr) = run(&diamond, &["--save", &trace]);
    assert_eq!((code, &*stderr), (0, ""));
    let saved = validated(&fs::read_to_string(&trace).unwrap());
    assert_eq!(saved.first().unwrap()["target"], TARGET);
    assert_eq!(saved.last().unwrap()["reached"], true);
    let (code, _, stderr) = run(&diamond, &[&cycles[..], &["--save", &report]].concat());
    assert_eq!((code, &*stderr), (0, ""));
    validated(&fs::read_to_string(&report).unwrap());

    // A trace and a report may be held against each other, and a file may be saved to anew.
    for (before, args) in [
        (&trace, &["--save", &*trace][..]),
        (&report, &cycles[..]),
        (&trace, &cycles[..]),
    ] {
        let args = [args, &["--compare", before]].concat();
        let (code, stdout, stderr) = run(&diamond, &args);
        assert_eq!((code, &*stderr), (0, ""), "{stdout}");
        let last = stdout.lines().last().unwrap();
        assert_eq!(last, format!("compared with {before}: no difference"));
    }

    take_branch(&diamond, 2);
    let changed = "hop 2: 10.1.2.2, before 10.1.1.2";
    let (code, stdout, _) = run(&diamond, &["--compare", &trace]);
    assert_eq!(code, 1, "{stdout}");
    assert!(
        stdout.ends_with(&format!("compared with {trace}:\n{changed}\n")),
        "{stdout}"
    );
    let bounds = ["--compare", &report, "--assert", "loss<1%,hops<4"];
    let (code, stdout, stderr) = run(&diamond, &[&cycles[..], &bounds].concat());
    assert_eq!(code, 1);
    assert!(stdout.contains(changed), "{stdout}");
    assert!(stderr.contains("hops<4 (it is 4)"), "{stderr}");

    let (code, stdout, _) = run(&diamond, &["--json", "--compare", &trace]);
    assert_eq!(code, 1);
    let lines = validated(&stdout);
    let [.., difference, summary] = &lines[..] else {
        panic!("{stdout}");
    };
    assert_eq!(summary["type"], "summary");
    assert_eq!(difference["text"], changed);
    assert_eq!(difference["is_of_the_path"], true);
}

/// What a user runs every hour: says whether the way to a host is that of before and good enough.
const HOURLY: &str = r#"
set -u
traceroute=$1 host=$2 kept=$3 bounds=$4
if ! test -e "$kept"; then
    "$traceroute" -n --report -c 3 --interval 0.2 --save "$kept" "$host" >/dev/null || exit
    echo "kept"
    exit
fi
now=$("$traceroute" -n --report -c 3 --interval 0.2 --compare "$kept" --assert "$bounds" "$host" 2>&1)
code=$?
case $code in
0) echo "as before" ;;
1) echo "$now" | grep -E '^hop |assertion failed' ;;
*) echo "no answer to that: $now" ;;
esac
exit $code
"#;

#[test]
fn a_shell_script_tells_a_path_as_before_another_one_and_a_bound_that_is_not_kept() {
    const NAME: &str =
        "a_shell_script_tells_a_path_as_before_another_one_and_a_bound_that_is_not_kept";
    if left_out(NAME) {
        return;
    }
    let diamond = Diamond::new(2);
    let folder = tempfile::tempdir().unwrap();
    let hourly = |target: &str, bounds: &str| -> (i32, String) {
        let kept = folder.path().join(target);
        let args = [
            "-c",
            HOURLY,
            "hourly",
            OURS,
            target,
            kept.to_str().unwrap(),
            bounds,
        ];
        let output = diamond.at_client("sh", &args).output().unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap(), said)
    };
    for (target, changed) in [
        (TARGET, "hop 2: 10.1.2.2, before 10.1.1.2\n"),
        // By IPv6 a router answers from the interface at which the probe came in.
        (
            TARGET_V6,
            "hop 2: fd00:10:1:2::2, before fd00:10:1:1::2\n\
             hop 3: fd00:10:2:2::2, before fd00:10:2:1::2\n",
        ),
    ] {
        let kept = "loss<1%,hops<=4";
        take_branch(&diamond, 1);
        assert_eq!(hourly(target, kept), (0, "kept\n".into()));
        assert_eq!(hourly(target, kept), (0, "as before\n".into()));
        take_branch(&diamond, 2);
        assert_eq!(hourly(target, kept), (1, changed.into()));
        take_branch(&diamond, 1);
        let broken = "traceroute: assertion failed: hops<4 (it is 4)\n";
        assert_eq!(hourly(target, "hops<4"), (1, broken.into()));
        let (code, said) = hourly(target, "hops<");
        assert_eq!(code, 2, "{said}");
        assert!(said.starts_with("no answer to that: "), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn csv_has_a_row_for_each_probe_or_hop_and_nothing_else() {
    if left_out("csv_has_a_row_for_each_probe_or_hop_and_nothing_else") {
        return;
    }
    let diamond = Diamond::new(2);
    take_branch(&diamond, 1);
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("saved");
    let saved = saved.to_str().unwrap();
    let (code, stdout, _) = run(&diamond, &["--csv", "-q", "2", "--save", saved]);
    assert_eq!(code, 0, "{stdout}");
    let rows: Vec<&str> = stdout.lines().collect();
    assert!(rows[0].starts_with("ttl,probe,address,name,"), "{stdout}");
    assert_eq!(rows.len(), 1 + 4 * 2, "{stdout}");
    assert!(rows[3].starts_with("2,1,10.1.1.2,,,0."), "{stdout}");
    take_branch(&diamond, 2);
    let args = [
        "--csv",
        "--report",
        "-c2",
        "--interval=0.2",
        "--compare",
        saved,
    ];
    let (code, stdout, stderr) = run(&diamond, &args);
    assert_eq!(code, 1, "{stdout}");
    let rows: Vec<&str> = stdout.lines().collect();
    assert!(
        rows[0].ends_with(",worst_ms,stdev_ms,jitter_ms"),
        "{stdout}"
    );
    assert_eq!(rows.len(), 1 + 4, "{stdout}");
    assert!(
        rows[4].starts_with("4,10.3.0.2,,,,2,2,0,0.000,0."),
        "{stdout}"
    );
    assert!(
        stderr.contains("hop 2: 10.1.2.2, before 10.1.1.2"),
        "{stderr}"
    );
}

#[test]
fn a_file_that_is_no_saved_trace_is_named_in_one_line_before_anything_is_probed() {
    if left_out("a_file_that_is_no_saved_trace_is_named_in_one_line_before_anything_is_probed") {
        return;
    }
    let diamond = Diamond::new(2);
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage");
    fs::write(&garbage, b"\x1b[2J\xff{\"type\":").unwrap();
    let garbage = garbage.to_str().unwrap();
    for (args, said) in [
        (
            ["--compare", garbage],
            "is no trace that --save wrote: line 1: ",
        ),
        (
            ["--compare", "/nowhere/at/all"],
            "/nowhere/at/all: No such file",
        ),
        (["--compare", "/dev/zero"], "/dev/zero: larger than 16 MiB"),
        (
            ["--save", "/nowhere/at/all"],
            "/nowhere/at/all: No such file",
        ),
        (["--compare", "/"], "/: Is a directory"),
    ] {
        let (code, stdout, stderr) = run(&diamond, &args);
        assert_eq!((code, &*stdout), (2, ""), "{args:?}: {stderr}");
        assert!(
            stderr.contains(said) && stderr.lines().count() == 1,
            "{stderr:?}"
        );
        assert!(!stderr.contains('\x1b'), "{stderr:?}");
    }
}
