//! What a log is once nothing more of it comes: its size and its hash, for the build record.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use workflows::ids::JobId;
use workflows::record::RecordedLog;

use super::{LogError, Logs, at, blocking};
use crate::store::{Store, StoreError};

/// Bytes that are hashed at once.
const CHUNK_BYTES: usize = 64 << 10;

impl Logs {
    /// Reads an attempt's log to its end; `None` when the attempt wrote none.
    ///
    /// # Errors
    /// [`LogError::Io`] when the disk fails.
    pub async fn seal(&self, job: JobId, attempt: u32) -> Result<Option<RecordedLog>, LogError> {
        let path = self.inner.path(job, attempt);
        let hashed = blocking(path, |path| hash(path).map_err(at(path))).await?;
        Ok(hashed.map(|(bytes, sha256)| RecordedLog {
            path: format!("logs/{job}/{attempt}.log"),
            bytes,
            sha256,
        }))
    }
}

impl Logs {
    /// Seals an attempt's log and keeps it for the record. A disk that fails costs the record its
    /// log and nothing else.
    pub(crate) async fn seal_into(
        &self,
        store: &Store,
        job: JobId,
        attempt: u32,
    ) -> Result<(), StoreError> {
        match self.seal(job, attempt).await {
            Ok(Some(log)) => store.note_log(job, attempt, &log).await,
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::error!(job.id = %job, %error, "job {job}: recorded without log: {error}");
                Ok(())
            }
        }
    }
}

fn hash(path: &Path) -> io::Result<Option<(u64, String)>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut hash = Sha256::new();
    let mut bytes = 0_u64;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(Some((bytes, hex::encode(hash.finalize())))),
            read => {
                hash.update(&chunk[..read]);
                bytes += read as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[tokio::test]
    async fn a_sealed_log_is_found_by_its_path_and_known_by_its_hash() {
        let directory = tempfile::tempdir().unwrap();
        let logs = Logs::open(directory.path()).unwrap();
        assert_eq!(logs.seal(JobId(7), 1).await.unwrap(), None);
        logs.append(JobId(7), 1, 0, Bytes::from_static(b"abc")).await.unwrap();
        let sealed = logs.seal(JobId(7), 1).await.unwrap().unwrap();
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((sealed.bytes, sealed.sha256.as_str()), (3, of_abc));
        assert_eq!(std::fs::read(directory.path().join(sealed.path)).unwrap(), b"abc");
    }
}
