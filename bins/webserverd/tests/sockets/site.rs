//! A running server over a folder of its own, and what it answers.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use testkit::peer::{Exchange, exchange};
use testkit::program::Program;

/// After so long the server has noticed an edit: it has a second for it, the rest is for a machine
/// that is busy.
pub(crate) const NOTICED: Duration = Duration::from_millis(1500);
/// How long an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A server over a folder of its own.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
}

impl Site {
    pub(crate) fn start() -> Site {
        Site::start_with(&[])
    }

    pub(crate) fn start_with(more: &[&str]) -> Site {
        Site::start_under(&[], more)
    }

    /// Started by another program, the words of `starter`.
    pub(crate) fn start_under(starter: &[&str], more: &[&str]) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("sub folder")).unwrap();
        fs::write(root.join("index.html"), "<h1>home</h1>").unwrap();
        fs::write(root.join("ten.txt"), "0123456789").unwrap();
        fs::write(root.join("sub folder/index.html"), "<h1>sub</h1>").unwrap();
        fs::create_dir(root.join("empty")).unwrap();
        fs::write(root.join("404.html"), "<h1>not here</h1>").unwrap();
        fs::write(root.join(".secret"), "hidden").unwrap();
        fs::write(root.join("big.bin"), vec![7; 3_000_000]).unwrap();
        fs::write(folder.path().join("outside.txt"), "outside").unwrap();
        symlink("../outside.txt", root.join("link.txt")).unwrap();
        let own = env!("CARGO_BIN_EXE_webserverd");
        let mut words = [starter, &[own, "--root", root.to_str().unwrap()]].concat();
        words.extend(["--port", "0", "--udp-port", "0"]);
        for (flag, value) in [("--admin", "off"), ("--workers", "2")] {
            if !more.contains(&flag) {
                words.extend([flag, value]);
            }
        }
        words.extend(more);
        let mut program = Program::start(words[0], &words[1..]).unwrap();
        let address = program.listening("tcp").unwrap();
        Site {
            folder,
            program,
            address,
        }
    }

    /// What the admin endpoint says; for sites that were started with one.
    pub(crate) fn admin(&mut self, target: &str) -> String {
        let address = self.program.listening("admin").unwrap();
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        Answer::of(&exchange(address, request.as_bytes(), PATIENCE).unwrap()).text()
    }

    /// Where the file `name` of the root is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    /// The file `name` of the root, open for writing.
    pub(crate) fn edit(&self, name: &str) -> File {
        File::options().write(true).open(self.path(name)).unwrap()
    }

    pub(crate) fn send(&self, bytes: impl AsRef<[u8]>) -> Exchange {
        exchange(self.address, bytes.as_ref(), PATIENCE).unwrap()
    }

    /// One request on a connection that ends with it.
    pub(crate) fn ask(&self, method: &str, target: &str, fields: &str) -> Answer {
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n{fields}\r\n");
        Answer::of(&self.send(request))
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, "")
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn of(exchange: &Exchange) -> Answer {
        let end = exchange
            .received
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head in {:?}", exchange.text()));
        Answer {
            status: exchange.status().unwrap(),
            head: String::from_utf8(exchange.received[..end].to_vec()).unwrap(),
            body: exchange.received[end + 4..].to_vec(),
        }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The head, but for the one field that time changes.
    pub(crate) fn head_without_date(&self) -> String {
        let lines = self.head.lines().filter(|line| !line.starts_with("Date: "));
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
