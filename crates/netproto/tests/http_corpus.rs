//! What the fuzzers have found, and their seeds, replayed.

pub mod inputs;

use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        let bytes = std::fs::read(&path)?;
        // On a failure, the harness shows the last line.
        println!("{}", path.display());
        run(&bytes);
        count += 1;
    }
    assert!(count >= 20, "only {count} inputs in {}", folder.display());
    Ok(())
}

#[test]
fn the_corpus_of_requests_holds() -> std::io::Result<()> {
    replay("http_request", inputs::request)
}

#[test]
fn the_corpus_of_responses_holds() -> std::io::Result<()> {
    replay("http_response", inputs::response)
}

#[test]
fn the_corpus_of_chunked_bodies_holds() -> std::io::Result<()> {
    replay("http_chunked", inputs::chunked)
}

#[test]
fn the_corpus_of_fields_holds() -> std::io::Result<()> {
    replay("http_fields", inputs::fields)
}
