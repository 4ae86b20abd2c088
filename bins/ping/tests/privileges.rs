//! Installed set-user-ID root, ping opens its sockets as root and does all else as its user. Takes
//! root and a namespaced network.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use testkit::netns::{Chain, left_out};

const PING: &str = env!("CARGO_BIN_EXE_ping");

#[test]
fn set_user_id_root_opens_sockets_and_reads_no_files() {
    if left_out(
        "set_user_id_root_opens_sockets_and_reads_no_files",
        &["setpriv"],
    ) {
        return;
    }
    let chain = Chain::new(0).unwrap();
    let closed = "echo 1 0 >/proc/sys/net/ipv4/ping_group_range";
    chain.run(0, "sh", &["-c", closed]).unwrap();
    // Where everybody reaches it: the folder of the build may be root's own.
    let folder = std::env::temp_dir().join(format!("wirelab-suid-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    mode(&folder, 0o755);
    let ping = folder.join("ping");
    fs::copy(PING, &ping).unwrap();
    let secret = folder.join("secret");
    fs::write(&secret, "10.0.0.2\n").unwrap();
    mode(&secret, 0o600);
    let as_nobody = |args: &[&str]| -> Output {
        let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        let args = [&nobody[..], &[ping.to_str().unwrap()], args].concat();
        chain.command(0, "setpriv", &args).output().unwrap()
    };
    let host = chain.server_v4();
    mode(&ping, 0o755);
    let without = as_nobody(&["-c", "1", &host]);
    mode(&ping, 0o4755);
    let with = as_nobody(&["-c", "1", &host]);
    let reading = as_nobody(&["--targets-file", secret.to_str().unwrap()]);
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(without.status.code(), Some(2), "{without:?}");
    let mounted_nosuid = String::from_utf8_lossy(&with.stderr).contains("may not open");
    if mounted_nosuid {
        eprintln!(
            "left out: set_user_id_root_opens_sockets_and_reads_no_files: nosuid on {}",
            folder.display()
        );
        return;
    }
    assert_eq!(with.status.code(), Some(0), "{with:?}");
    assert_eq!(reading.status.code(), Some(2), "{reading:?}");
    let said = String::from_utf8_lossy(&reading.stderr).into_owned();
    assert!(said.contains("Permission denied"), "{said}");
}
