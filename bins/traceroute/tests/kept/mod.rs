//! `--save` and `--compare`, as a script uses them.

use std::fs;

use crate::diamond::{Diamond, TARGET};
use crate::peer::left_out;
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
