//! Folders without an index, pages that are missing, what is hidden: over real sockets.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::time::Duration;

use serde_json::Value;

use crate::site::{NOTICED, PATIENCE, Site};

/// Names that would break a careless listing.
const HOSTILE: [&[u8]; 12] = [
    b"<script>alert(1)<",
    b"\"onmouseover=alert(1) x=\"",
    b"'single'",
    b"&amp;",
    b"new\nline",
    b"100%25",
    b"?query#part",
    b"javascript:alert(1)",
    b" space ",
    b"\xff\xfe",
    b"back\\slash",
    "\u{202e}gnp.exe".as_bytes(),
];

fn site(more: &[&str]) -> Site {
    let site = Site::start_with(&[&["--listing"], more].concat());
    let folder = site.path("names");
    fs::create_dir(&folder).unwrap();
    for (at, name) in HOSTILE.iter().enumerate() {
        fs::write(folder.join(OsStr::from_bytes(name)), "x".repeat(at)).unwrap();
    }
    fs::create_dir(folder.join("Folder")).unwrap();
    fs::write(folder.join(".hidden"), "hidden").unwrap();
    symlink("Folder", folder.join("link")).unwrap();
    symlink("../../outside.txt", folder.join("out")).unwrap();
    site
}

fn json(site: &Site, target: &str) -> Value {
    let answer = site.ask("GET", target, "Accept: application/json\r\n");
    assert_eq!(answer.status, 200, "{target}");
    assert_eq!(answer.field("Content-Type"), Some("application/json"));
    serde_json::from_slice(&answer.body).unwrap()
}

fn entry<'v>(listing: &'v Value, name: &str) -> Option<&'v Value> {
    let entries = listing["entries"].as_array().unwrap();
    entries.iter().find(|entry| entry["name"] == name)
}

#[test]
fn a_program_is_told_every_name_and_gets_every_file_by_its_address() {
    let site = site(&[]);
    let listing = json(&site, "/names/");
    assert_eq!(
        (&listing["path"], &listing["truncated"]),
        (&"/names/".into(), &false.into())
    );
    let entries = listing["entries"].as_array().unwrap();
    assert_eq!(entries.len(), HOSTILE.len() + 1, "{listing:#}");
    assert_eq!(entries[0]["name"], "Folder", "folders first");
    assert_eq!(
        (&entries[0]["type"], &entries[0]["href"]),
        (&"folder".into(), &"./Folder/".into())
    );
    assert_eq!(entries[0]["size_bytes"], Value::Null);
    for (at, name) in HOSTILE.iter().enumerate() {
        let told = String::from_utf8_lossy(name);
        let entry = entry(&listing, &told).unwrap_or_else(|| panic!("{told:?}"));
        assert_eq!(entry["size_bytes"], at);
        assert!(entry["modified"].as_str().unwrap().ends_with('Z'));
        let has_address = !matches!(*name, b"\xff\xfe" | b"back\\slash");
        match entry["href"].as_str() {
            Some(href) => {
                let path = format!("/names/{}", href.strip_prefix("./").unwrap());
                let answer = site.get(&path);
                assert_eq!((answer.status, answer.body.len()), (200, at), "{told:?}");
                assert!(has_address, "{told:?}");
            }
            None => assert!(!has_address, "{told:?}"),
        }
    }
}

#[test]
fn a_person_sees_names_and_no_name_does_anything() {
    let site = site(&[]);
    let answer = site.ask("GET", "/names/", "Accept: text/html, */*;q=0.8\r\n");
    assert_eq!(
        answer.field("Content-Type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(answer.field("X-Content-Type-Options"), Some("nosniff"));
    assert_eq!(answer.field("Vary"), Some("Accept"));
    assert_eq!(answer.field("Cache-Control"), Some("no-cache"));
    let policy = answer.field("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let page = answer.text();
    assert!(!page.contains("<script"), "{page}");
    for shown in [
        "<bdi>&lt;script&gt;alert(1)&lt;</bdi>",
        "<bdi>&quot;onmouseover=alert(1) x=&quot;</bdi>",
        "<bdi>&#39;single&#39;</bdi>",
        "<bdi>&amp;amp;</bdi>",
        "<bdi>new\\nline</bdi>",
        "<bdi>100%25</bdi>",
        "href=\"./100%2525\"",
        "href=\"./new%0Aline\"",
        "href=\"./javascript%3Aalert%281%29\"",
        "<bdi>\u{fffd}\u{fffd}</bdi>",
        "<a href=\"./Folder/\"><bdi>Folder</bdi>/</a>",
        "<a href=\"../\">root</a>",
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    // Every attribute value is one: quotes come in pairs on each line.
    for line in page.lines() {
        assert_eq!(line.matches('"').count() % 2, 0, "{line}");
    }
    for hidden in [".hidden", "out", "link"] {
        assert!(!page.contains(&format!("<bdi>{hidden}</bdi>")), "{hidden}");
    }
}

#[test]
fn listings_are_made_only_where_they_are_asked_for_and_no_index_stands() {
    assert_eq!(Site::start().get("/empty/").status, 404);
    let site = site(&[]);
    assert_eq!(site.get("/").text(), "<h1>home</h1>");
    assert_eq!(site.get("/names").status, 301);
    assert!(
        site.get("/empty/")
            .text()
            .contains("There is nothing in this folder.")
    );
    let head = site.ask("HEAD", "/names/", "");
    assert_eq!(
        head.head_without_date(),
        site.get("/names/").head_without_date()
    );
    assert!(head.body.is_empty());
    let wants = |accept: &str| {
        let answer = site.ask("GET", "/empty/", &format!("Accept: {accept}\r\n"));
        answer.field("Content-Type").map(str::to_owned).unwrap()
    };
    assert!(wants("*/*").starts_with("text/html"));
    assert!(wants("application/json, text/html;q=0.9").starts_with("application/json"));
    assert!(wants("text/html, application/json;q=0.9").starts_with("text/html"));
}

#[test]
fn a_folder_of_very_many_files_is_cut_and_says_so() {
    let site = site(&[]);
    let folder = site.path("many");
    fs::create_dir(&folder).unwrap();
    for number in 0..10_001 {
        fs::write(folder.join(format!("{number:05}")), "").unwrap();
    }
    let listing = json(&site, "/many/");
    assert_eq!(listing["truncated"], true);
    assert_eq!(listing["entries"].as_array().unwrap().len(), 10_000);
    assert!(
        site.get("/many/")
            .text()
            .contains("10000 entries are shown")
    );
}

/// What the memory of the program `id` measures, in bytes.
fn memory_of(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

#[test]
fn many_who_ask_for_a_large_folder_and_take_nothing_share_one_listing() {
    const CLIENTS: usize = 60;
    let mut site = site(&["--admin", "127.0.0.1:0"]);
    let folder = site.path("many");
    fs::create_dir(&folder).unwrap();
    // Long names: the listing is longer than what sockets hold.
    for number in 0..10_000 {
        fs::write(folder.join(format!("{number:0>150}")), "").unwrap();
    }
    let before = memory_of(site.program.id());
    let mut clients: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| TcpStream::connect(site.address).unwrap())
        .collect();
    for client in &mut clients {
        client.set_read_timeout(Some(PATIENCE * 6)).unwrap();
        let request = b"GET /many/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        client.write_all(request).unwrap();
    }
    // Each has its answer begun.
    for client in &clients {
        assert_eq!(client.peek(&mut [0]).unwrap(), 1);
    }
    let grown = memory_of(site.program.id()).saturating_sub(before);
    let mut bodies = clients.into_iter().map(|mut client| {
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        answer.split_off(end.unwrap() + 4)
    });
    let first = bodies.next().unwrap();
    assert!(first.len() > 3_000_000, "{}", first.len());
    assert!(bodies.all(|body| body == first));
    let most = (CLIENTS * first.len() / 4) as u64;
    assert!(grown < most, "{grown} bytes for {CLIENTS} clients");
    let metrics = site.admin("/metrics");
    let made = metrics
        .lines()
        .find_map(|line| line.strip_prefix("webserverd_listings_made_total "));
    let made: usize = made.unwrap().parse().unwrap();
    assert!((1..=CLIENTS / 4).contains(&made), "{made}");
}

#[test]
fn a_listing_shows_within_a_second_what_changed_in_the_folder_or_in_a_file_of_it() {
    let site = site(&[]);
    let size =
        |name: &str| entry(&json(&site, "/names/"), name).map(|entry| entry["size_bytes"].clone());
    assert_eq!(size("100%25"), Some(5.into()));
    // The folder itself is not changed by what is written to a file in it.
    fs::write(site.path("names/100%25"), "grown to 17 bytes").unwrap();
    std::thread::sleep(NOTICED);
    assert_eq!(size("100%25"), Some(17.into()));
    fs::write(site.path("names/another"), "").unwrap();
    std::thread::sleep(NOTICED);
    assert_eq!(size("another"), Some(0.into()));
}

#[test]
fn hidden_files_and_symlinks_are_shown_when_the_operator_says_so_and_never_lead_out() {
    let site = site(&["--dotfiles", "--follow-symlinks"]);
    symlink(site.path("ten.txt"), site.path("absolute")).unwrap();
    symlink("ten.txt", site.path("inside")).unwrap();
    symlink("..", site.path("up")).unwrap();
    for (target, status) in [
        ("/.secret", 200),
        ("/names/.hidden", 200),
        ("/inside", 200),
        ("/names/link/", 200),
        ("/link.txt", 403),
        ("/names/out", 403),
        ("/absolute", 403),
        ("/up/outside.txt", 403),
        ("/up/root/ten.txt", 403),
    ] {
        assert_eq!(site.get(target).status, status, "{target}");
    }
    let listing = json(&site, "/names/");
    assert!(entry(&listing, ".hidden").is_some());
    assert_eq!(entry(&listing, "link").unwrap()["type"], "folder");
    assert!(entry(&listing, "out").is_none());
}

#[test]
fn an_application_of_one_page_has_all_addresses_but_those_of_files() {
    let site = Site::start_with(&["--spa", "index.html"]);
    fs::create_dir(site.path("assets")).unwrap();
    for (target, status) in [
        ("/", 200),
        ("/users/7", 200),
        ("/users/john.doe", 200),
        ("/assets/", 200),
        ("/v1.2/notes", 200),
        ("/ten.txt", 200),
        // A page in the place of a script would only be a riddle.
        ("/assets/app.js", 404),
        ("/missing.png", 404),
    ] {
        let answer = site.get(target);
        assert_eq!(answer.status, status, "{target}");
        if status == 200 && target != "/ten.txt" {
            assert_eq!(answer.text(), "<h1>home</h1>", "{target}");
            assert!(answer.field("ETag").is_some());
        }
    }
}

#[test]
fn the_sites_own_pages_stand_for_what_is_missing_and_for_what_fails() {
    let site = Site::start();
    let answer = site.get("/absent");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (404, "<h1>not here</h1>")
    );
    fs::write(site.path("50x.html"), "<h1>later</h1>").unwrap();
    drop(site);

    // A server that has no descriptor left but the one of a large file it remembers.
    let site = Site::start_under(&["prlimit", "--nofile=40:40"], &["--workers", "1"]);
    fs::write(site.path("50x.html"), "<h1>later</h1>").unwrap();
    let mut client = TcpStream::connect(site.address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut ask = |target: &str, connection: &str| {
        let request =
            format!("HEAD {target} HTTP/1.1\r\nHost: lab\r\nConnection: {connection}\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        let mut head = [0; 1024];
        let length = client.read(&mut head).unwrap();
        String::from_utf8_lossy(&head[..length]).into_owned()
    };
    assert!(ask("/big.bin", "keep-alive").starts_with("HTTP/1.1 200"));
    let _crowd: Vec<_> = (0..60)
        .map(|_| TcpStream::connect(site.address).unwrap())
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let answer = ask("/ten.txt", "close");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let length = format!("Content-Length: {}\r\n", "<h1>later</h1>".len());
    assert!(answer.contains(&length), "{answer}");
}
