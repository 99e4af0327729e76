//! Where strangers' files are read and decided about.

use tokio::sync::Semaphore;

use crate::sources::SourceError;

/// Events whose files are read, or whose patterns are tried, at once. A stranger can make either last
/// minutes and hold some hundred megabytes; the others wait, and no thread that answers forges does.
pub(super) const MAX_READERS: u32 = 4;

pub(super) static READERS: Semaphore = Semaphore::const_new(MAX_READERS as usize);

/// Works on strangers' files on a thread of its own.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SourceError> {
    // It is never closed. The permit ends with the work, not with the one who waits for it.
    let permit = READERS.acquire().await.ok();
    let work = move || {
        let _permit = permit;
        work()
    };
    Ok(tokio::task::spawn_blocking(work).await?)
}
