//! What the fuzzer has found, and its seeds, replayed.

use std::path::Path;

use jsonschema::JSONSchema;
use serde_json::Value;

use crate::capture_inputs::{analyzed, capture};

#[test]
fn the_corpus_of_captures_holds_and_what_is_printed_of_it_fits_the_schema() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = std::fs::read(here.join("schema/events-v1.schema.json")).unwrap();
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    let schema = JSONSchema::compile(&schema).unwrap();
    let folder = here.join("../../fuzz/corpus/capture");
    let mut captures = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        // On a failure, the harness shows the last line.
        println!("{}", path.display());
        capture(&bytes);
        let Some((_, json)) = analyzed(&*bytes) else {
            continue;
        };
        captures += 1;
        for event in serde_json::Deserializer::from_slice(&json).into_iter() {
            let event: Value = event.unwrap();
            assert!(schema.is_valid(&event), "{event}");
        }
    }
    assert!(captures >= 20, "only {captures} in {}", folder.display());
}
