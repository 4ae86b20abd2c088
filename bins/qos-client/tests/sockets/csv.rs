//! The file of results when things go wrong: many writers at once, some killed in mid-run, and a
//! disk that fills up. No row is broken and none that was there is lost.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use qos_client::report::row::COLUMNS;
use testkit::netns;

use crate::client;
use crate::echo::{Echo, after_ms};

/// The rows behind the header, every one of them whole.
fn rows(text: &[u8]) -> Vec<csv::StringRecord> {
    let mut reader = csv::Reader::from_reader(text);
    assert_eq!(
        reader.headers().unwrap().iter().collect::<Vec<_>>(),
        COLUMNS
    );
    // The reader refuses a row with more or fewer fields than the header has.
    reader.records().map(Result::unwrap).collect()
}

#[test]
fn writers_of_which_some_are_killed_in_mid_run_leave_whole_rows() {
    const WRITERS: u64 = 24;
    let echo = Echo::start(|_| after_ms(0));
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    let start = || {
        let arguments = format!("udp --udp-port {port} --packets 4 --interval 5 --csv shared.csv");
        client::command(folder.path(), &arguments)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut finished = 0;
    let mut children: Vec<_> = (0..WRITERS).map(|_| start()).collect();
    for (number, child) in children.iter_mut().enumerate() {
        // From before their first packet until after their row.
        if number % 2 == 0 {
            std::thread::sleep(Duration::from_millis(number as u64));
            child.kill().unwrap();
        }
    }
    for child in &mut children {
        finished += usize::from(child.wait().unwrap().success());
    }
    assert!(finished >= WRITERS as usize / 2);
    let text = std::fs::read(folder.path().join("shared.csv")).unwrap();
    let rows = rows(&text);
    // One that was killed after its row and before its end has left a row too.
    assert!(
        (finished..=WRITERS as usize).contains(&rows.len()),
        "{}",
        rows.len()
    );
}

#[test]
fn a_disk_that_fills_up_loses_the_new_row_and_no_other() {
    const NAME: &str = "a_disk_that_fills_up_loses_the_new_row_and_no_other";
    if netns::left_out(NAME, &["unshare", "mount"]) {
        return;
    }
    let echo = Echo::start(|_| after_ms(0));
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    // A file system of two pages, in a mount namespace that ends with the script.
    let script = "mount -t tmpfs -o size=8k none \"$1\" || exit 9
        saved=0; status=0
        while [ $status -eq 0 ] && [ $saved -lt 40 ]; do
          \"$0\" udp --udp-port $2 --packets 3 --interval 1 --csv \"$1/a.csv\" >/dev/null 2>\"$3\"
          status=$?; [ $status -ne 0 ] || saved=$((saved + 1))
        done
        cat \"$1/a.csv\"; echo $saved >\"$4\"; exit $status";
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("disk")).unwrap();
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_qos-client")])
        .arg(path("disk"))
        .arg(port.to_string())
        .args([path("said"), path("saved")])
        .output()
        .unwrap();
    let read = |name: &str| read_text(&path(name));
    assert_eq!(output.status.code(), Some(4), "{output:?} {}", read("said"));
    let said = read("said");
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains("the result was not saved"), "{said}");
    let saved: usize = read("saved").trim().parse().unwrap();
    assert!(saved >= 2, "{saved}");
    assert_eq!(rows(&output.stdout).len(), saved);
}

fn read_text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
