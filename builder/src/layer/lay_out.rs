//! Planned entries as files in a directory, for what a command sees mounted.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::MAX_LAYER_BYTES;
use super::entry::Entry;
use super::tarball::TarWriter;
use super::unpack::unpack_plain;

/// Writes entries, a directory before what is in it, below a directory that is empty. They pass
/// through the archive's own form, so that there is one way from a name to a file.
pub(crate) fn lay_out<'a>(
    entries: impl Iterator<Item = &'a Entry> + Send,
    dir: &Path,
) -> io::Result<()> {
    let (mut reader, writer) = io::pipe()?;
    std::thread::scope(|scope| {
        let written = scope.spawn(move || {
            let mut tar = TarWriter::new(BufWriter::new(writer));
            for entry in entries {
                tar.append(entry)?;
            }
            tar.finish()?.flush()
        });
        let unpacked = unpack_plain(&mut reader, dir, MAX_LAYER_BYTES)
            // The archive's end, which nobody needs but the writer must be rid of.
            .and_then(|_| io::copy(&mut reader, &mut io::sink()).map(drop));
        drop(reader);
        let written = written.join().unwrap_or_else(|_| Err(io::Error::other("a thread ended")));
        // A reader that stopped is why the writer stopped, and the other way round.
        match (unpacked, written) {
            (Err(error), Err(writer)) if writer.kind() == io::ErrorKind::BrokenPipe => Err(error),
            (_, Err(error)) | (Err(error), Ok(())) => Err(error),
            (Ok(()), Ok(())) => Ok(()),
        }
    })
}
