//! Compression on the fly: on threads beside the workers, once for each state of a file, kept for
//! all workers under one bound.

use std::io::{self, Write};
use std::time::SystemTime;

use bytes::Bytes;
use flate2::write::GzEncoder;
use netio::telemetry::Counter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use thiserror::Error;

use crate::coding::Coding;
use crate::files::Identity;
use crate::representation::Content;
use crate::slow_work::SlowWork;

/// A shorter file is not worth it: its answer is one packet either way.
pub const SHORTEST: u64 = 1024;
/// A longer file is sent as it is, unless there is a coded one beside it.
pub const LONGEST: u64 = 8 * 1024 * 1024;
/// What is kept for all workers, in bytes.
const CAPACITY: u64 = 64 * 1024 * 1024;
/// What keeping one costs beside its bytes.
const OVERHEAD: u64 = 256;
/// How many requests wait for a thread to compress for them; more get the file as it is.
const WAITING: usize = 64;
/// What is not at least so much shorter (a sixteenth) is sent as it is.
const LEAST_GAIN: usize = 16;

/// How hard each coding tries. The result is kept, so it may take a few times longer than what is
/// compressed for each request anew; some tens of megabytes a second still.
const BROTLI_QUALITY: u32 = 6;
/// 2^22 bytes, brotli's usual window.
const BROTLI_WINDOW: u32 = 22;
const ZSTD_LEVEL: i32 = 9;
const GZIP_LEVEL: u32 = 6;

/// Compresses for all workers.
#[derive(Debug)]
pub struct Compressor {
    kept: Cache<(Identity, Coding), Compressed, Weight>,
    threads: SlowWork,
    /// What it counts.
    pub counters: CompressCounters,
}

/// What became of compressing a file.
#[derive(Clone, Debug)]
pub enum Compressed {
    /// These bytes.
    Shorter(Bytes),
    /// It is hardly shorter, and sent as it is.
    Useless,
}

/// What compression counts.
#[derive(Debug, Default)]
pub struct CompressCounters {
    /// Files compressed.
    pub files: Counter,
    /// What they held, in bytes.
    pub bytes_in: Counter,
    /// What became of it, in bytes.
    pub bytes_out: Counter,
    /// Requests answered without, as too many waited for it.
    pub busy: Counter,
}

/// Why there is no compressed form of a file now.
#[derive(Debug, Error)]
pub enum CompressError {
    /// Too many requests wait for one.
    #[error("too many files wait to be compressed")]
    Busy,
    /// The file is being changed.
    #[error("the file changes while it is read")]
    Changed,
    /// It cannot be read.
    #[error("cannot compress: {0}")]
    Io(#[from] io::Error),
}

#[derive(Clone, Copy, Debug)]
struct Weight;

impl Weighter<(Identity, Coding), Compressed> for Weight {
    fn weight(&self, _: &(Identity, Coding), compressed: &Compressed) -> u64 {
        OVERHEAD + compressed.len()
    }
}

impl Compressed {
    fn len(&self) -> u64 {
        match self {
            Compressed::Shorter(bytes) => bytes.len() as u64,
            Compressed::Useless => 0,
        }
    }
}

impl Default for Compressor {
    fn default() -> Compressor {
        // One shard: a share of the capacity could not hold one long file.
        let options = OptionsBuilder::new()
            .shards(1)
            .estimated_items_capacity((CAPACITY / SHORTEST) as usize)
            .weight_capacity(CAPACITY)
            .build();
        Compressor {
            kept: Cache::with_options(
                options.unwrap_or_else(|_| unreachable!("every option is given")),
                Weight,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            threads: SlowWork::new(WAITING),
            counters: CompressCounters::default(),
        }
    }
}

impl Compressor {
    /// `content`, which was read of a file in the state `identity`, coded so. Who asks for the same
    /// meanwhile waits for the same thread, unless it changed a moment ago: then nothing is kept.
    pub async fn compress(
        &self,
        content: &Content,
        identity: &Identity,
        coding: Coding,
    ) -> Result<Compressed, CompressError> {
        let compress = self.compress_anew(content.clone(), *identity, coding);
        if !identity.is_settled(SystemTime::now()) {
            // Another content may have the same identity.
            return compress.await;
        }
        let key = (*identity, coding);
        self.kept.get_or_insert_async(&key, compress).await
    }

    async fn compress_anew(
        &self,
        content: Content,
        identity: Identity,
        coding: Coding,
    ) -> Result<Compressed, CompressError> {
        let work = move || {
            let bytes = content
                .read_whole(&identity)?
                .ok_or(CompressError::Changed)?;
            let coded = encode(&bytes, coding)?;
            let is_shorter = coded.len() < bytes.len() - bytes.len() / LEAST_GAIN;
            Ok::<_, CompressError>(if is_shorter {
                Compressed::Shorter(coded.into())
            } else {
                Compressed::Useless
            })
        };
        let Some(compressed) = self.threads.run(work).await else {
            self.counters.busy.add(1);
            return Err(CompressError::Busy);
        };
        let compressed = compressed?;
        self.counters.files.add(1);
        self.counters.bytes_in.add(identity.length);
        self.counters.bytes_out.add(compressed.len());
        Ok(compressed)
    }
}

fn encode(bytes: &[u8], coding: Coding) -> io::Result<Vec<u8>> {
    let room = Vec::with_capacity(bytes.len() / 2);
    let mut coded = match coding {
        Coding::Brotli => {
            let mut writer = brotli::CompressorWriter::new(room, 0, BROTLI_QUALITY, BROTLI_WINDOW);
            writer.write_all(bytes)?;
            writer.into_inner()
        }
        Coding::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL)?,
        Coding::Gzip => {
            let mut writer = GzEncoder::new(room, flate2::Compression::new(GZIP_LEVEL));
            writer.write_all(bytes)?;
            writer.finish()?
        }
    };
    coded.shrink_to_fit();
    Ok(coded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_a_moment_ago_is_compressed_anew_and_what_has_stood_is_kept() {
        let file = tempfile::tempfile().unwrap();
        let fresh = Identity::now(&file).unwrap();
        let stood = Identity::now(std::fs::File::open(env!("CARGO_MANIFEST_DIR")).unwrap());
        for (identity, is_kept) in [(fresh, false), (stood.unwrap(), true)] {
            let compressor = Compressor::default();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            let coded = |letter: &str| {
                let content = Content::Held(letter.repeat(5000).into());
                let coded = compressor.compress(&content, &identity, Coding::Gzip);
                match runtime.block_on(coded).unwrap() {
                    Compressed::Shorter(bytes) => bytes,
                    Compressed::Useless => panic!("5000 times the same is shortened"),
                }
            };
            assert_eq!(coded("a") == coded("b"), is_kept, "{identity:?}");
        }
    }
}
