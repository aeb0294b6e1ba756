//! Bodies on their way to the disk. Memory holds two pieces: one that comes in and one that is hashed and written.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use s3s::dto::StreamingBlob;
use tokio::task::{JoinHandle, spawn_blocking};

use super::Store;
use super::disk::{self, Temporary};
use crate::digest::{Algorithm, Checksum, Hashers, Md5Digest};
use crate::failure::Failure;

/// Bytes that are hashed and written at a time; with thousands of bodies at once they add up.
const PIECE: usize = 128 << 10;
/// Chunks of a piece, so that tiny ones do not pile up.
const PIECE_CHUNKS: usize = 256;

/// A body that is on the disk, durable but for its name.
#[derive(Debug)]
pub(crate) struct Received {
    pub(super) file: Temporary,
    pub(crate) size: u64,
    pub(crate) md5: Md5Digest,
    pub(crate) checksums: Vec<Checksum>,
}

struct Writer {
    store: Arc<Store>,
    file: File,
    temporary: Temporary,
    hashers: Hashers,
    size: u64,
}

impl Writer {
    fn create(store: Arc<Store>, algorithms: &[Algorithm], expected: u64) -> Result<Self, Failure> {
        store.require_room(expected)?;
        let temporary = store.temporary();
        let file = disk::create(temporary.path())?;
        Ok(Self { store, file, temporary, hashers: Hashers::new(algorithms.iter().copied()), size: 0 })
    }

    fn write(mut self, chunks: &[Bytes]) -> Result<Self, Failure> {
        self.store.require_room(chunks.iter().map(|chunk| chunk.len() as u64).sum())?;
        for chunk in chunks {
            self.hashers.update(chunk);
            self.file.write_all(chunk).map_err(|source| Failure::disk(self.temporary.path(), source))?;
            self.size += chunk.len() as u64;
        }
        Ok(self)
    }

    fn finish(self) -> Result<Received, Failure> {
        self.file.sync_all().map_err(|source| Failure::disk(self.temporary.path(), source))?;
        let (md5, checksums) = self.hashers.finish();
        Ok(Received { file: self.temporary, size: self.size, md5, checksums })
    }
}

/// Takes a body of a known length. When it ends early or is dropped, nothing of it stays.
pub(crate) async fn receive(
    store: &Arc<Store>,
    body: Option<StreamingBlob>,
    length: u64,
    algorithms: Vec<Algorithm>,
) -> Result<Received, Failure> {
    let (made_for, expected) = (Arc::clone(store), length);
    let mut writer = spawn_blocking(move || Writer::create(made_for, &algorithms, expected));
    let (mut chunks, mut held, mut total) = (Vec::new(), 0, 0);
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| broken(&*error))?;
            total += chunk.len() as u64;
            if total > length {
                return Err(Failure::IncompleteBody);
            }
            held += chunk.len();
            chunks.push(chunk);
            if held >= PIECE || chunks.len() >= PIECE_CHUNKS {
                writer = write(writer, std::mem::take(&mut chunks)).await?;
                held = 0;
            }
        }
    }
    if total != length {
        return Err(Failure::IncompleteBody);
    }
    let writer = joined(writer).await?;
    joined(spawn_blocking(move || writer.write(&chunks).and_then(Writer::finish))).await
}

/// Waits for the piece before, then writes this one.
async fn write(writer: JoinHandle<Result<Writer, Failure>>, chunks: Vec<Bytes>) -> Result<JoinHandle<Result<Writer, Failure>>, Failure> {
    let writer = joined(writer).await?;
    Ok(spawn_blocking(move || writer.write(&chunks)))
}

/// What blocking work came to.
pub(crate) async fn joined<T>(work: JoinHandle<Result<T, Failure>>) -> Result<T, Failure> {
    work.await.unwrap_or_else(|error| Err(Failure::Disk { what: String::from("blocking work"), source: std::io::Error::other(error) }))
}

/// The library's errors are private to it: their text tells a body that is not the signed one.
fn broken(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Failure {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") || text.contains("SignatureMismatch") { Failure::WrongPayload } else { Failure::IncompleteBody }
}
