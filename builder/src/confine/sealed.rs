//! A runtime's program in memory, where nobody can change it.
//!
//! A container could write to the program that started it (CVE-2019-5736). Therefore crun copies
//! itself into sealed memory and starts from there, for each command anew, unless that is where it
//! was started from.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, Mode, SealFlags};
use rustix::io::Errno;

/// Largest program that is copied, in bytes; crun has half a megabyte.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// What a program begins with that needs no interpreter to be found by its path.
const ELF: &[u8] = b"\x7fELF";

/// A program that can be started and not be written to.
#[derive(Debug)]
pub(super) struct Sealed(OwnedFd);

impl Sealed {
    /// Copies a program; `None` where the system keeps memory from being executed, or the file is
    /// something else.
    pub(super) fn copy(program: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        let file = File::open(program).ok()?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).ok()?;
        if !bytes.starts_with(ELF) || bytes.len() as u64 > MAX_BYTES {
            return None;
        }
        Self::of(&bytes)
            .inspect_err(|error| tracing::debug!(%error, "no copy of {}", program.display()))
            .ok()
    }

    fn of(bytes: &[u8]) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let made = rustix::fs::memfd_create("strata-runtime", flags | MemfdFlags::EXEC);
        let memory = match made {
            // Linux before 6.3 does not know the flag, and lets all of them be executed.
            Err(Errno::INVAL) => rustix::fs::memfd_create("strata-runtime", flags)?,
            made => made?,
        };
        let mut file = File::from(memory);
        file.write_all(bytes)?;
        let memory = OwnedFd::from(file);
        rustix::fs::fchmod(&memory, Mode::RUSR | Mode::XUSR)?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        rustix::fs::fcntl_add_seals(&memory, seals)?;
        Ok(Self(memory))
    }

    /// Its path for a process that this one starts.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_copy_does_what_the_program_does_and_nobody_writes_to_it() {
        let copy = Sealed::copy(Path::new("/bin/sh")).unwrap();
        let said = Command::new(copy.path()).args(["-c", "echo hi"]).output().unwrap();
        assert_eq!(said.stdout, b"hi\n");
        let written = std::fs::OpenOptions::new().write(true).open(copy.path());
        let written = written.and_then(|mut file| file.write_all(b"x"));
        assert!(written.is_err(), "it was written to");
    }

    #[test]
    fn scripts_are_started_where_they_stand() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("crun");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        assert!(Sealed::copy(&script).is_none() && Sealed::copy(dir.path()).is_none());
    }
}
