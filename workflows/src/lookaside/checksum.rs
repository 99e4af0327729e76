//! Checksums of files that arrive bit by bit.

use md5::Md5;
use sha2::digest::Digest;
use sha2::{Sha256, Sha384, Sha512};

use super::{HashType, Source};

/// A checksum in the making.
#[derive(Debug, Clone)]
pub struct Checksum(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Md5(Md5),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Checksum {
    /// Begins a checksum; `None` for the kinds that no [`LookasideSpec`](super::LookasideSpec)
    /// admits.
    #[must_use]
    pub fn new(kind: HashType) -> Option<Self> {
        let kind = match kind {
            HashType::Md5 => Kind::Md5(Md5::new()),
            HashType::Sha256 => Kind::Sha256(Sha256::new()),
            HashType::Sha384 => Kind::Sha384(Sha384::new()),
            HashType::Sha512 => Kind::Sha512(Sha512::new()),
            HashType::Sha1 | HashType::Sha224 => return None,
        };
        Some(Self(kind))
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Kind::Md5(hash) => hash.update(bytes),
            Kind::Sha256(hash) => hash.update(bytes),
            Kind::Sha384(hash) => hash.update(bytes),
            Kind::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The checksum in lower case.
    #[must_use]
    pub fn finish(self) -> String {
        match self.0 {
            Kind::Md5(hash) => hex::encode(hash.finalize()),
            Kind::Sha256(hash) => hex::encode(hash.finalize()),
            Kind::Sha384(hash) => hex::encode(hash.finalize()),
            Kind::Sha512(hash) => hex::encode(hash.finalize()),
        }
    }

    /// Whether the bytes so far are those of a file in `sources`.
    #[must_use]
    pub fn is_of(self, source: &Source) -> bool {
        self.finish() == source.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_texts_have_their_checksums() {
        let of = |kind| {
            let mut checksum = Checksum::new(kind).unwrap();
            checksum.update(b"a");
            checksum.update(b"bc");
            checksum.finish()
        };
        assert_eq!(of(HashType::Md5), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(
            of(HashType::Sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(of(HashType::Sha384).starts_with("cb00753f45a35e8bb5a03d699ac65007"));
        assert!(of(HashType::Sha512).starts_with("ddaf35a193617abacc417349ae204131"));
        for kind in HashType::ALL {
            if let Some(checksum) = Checksum::new(kind) {
                assert_eq!(checksum.finish().len(), kind.digits());
            }
        }
    }
}
