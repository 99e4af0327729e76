//! Seals secrets, so that the database alone, or a copy of it, gives none away.
//!
//! Each is sealed with AES-256-GCM under a key that is a file outside of the database, together
//! with the place that it was set for: a row that is moved to another name or repository does not
//! open there.
//!
//! A key is replaced by another: what earlier keys sealed opens as long as their files are named,
//! and is sealed under the new one at the next start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};
use sha2::{Digest as _, Sha256};

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Most bytes of a key file: the key in hexadecimal digits and the line's end.
const MAX_FILE_BYTES: u64 = 2 * KEY_BYTES as u64 + 2;
/// Hexadecimal digits of a key's name.
const ID_DIGITS: usize = 16;

/// Why there is no key, or something does not open with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VaultError {
    /// The file is not there, and nothing may be sealed with another.
    #[error(
        "the key of the secrets, {}, is gone, and {secrets} of them are sealed with it: bring it \
         back, or name the file that has it now in `old_secrets_key_files`; where it is lost, \
         remove them from the database and set them again", path.display()
    )]
    Gone { path: PathBuf, secrets: u64 },
    #[error("the key of the secrets, {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the key of the secrets, {}: {why}", path.display())]
    Unfit { path: PathBuf, why: &'static str },
    #[error(
        "was sealed with the key {id}, which the bridge does not have: name its file in \
         `old_secrets_key_files`, or set the secret again"
    )]
    OtherKey { id: String },
    #[error("the key of the secrets, {}, is named twice, as {} too", path.display(), other.display())]
    Twice { path: PathBuf, other: PathBuf },
    #[error("does not open: its row was changed by somebody else; set it again")]
    Broken,
    #[error("the system gives no randomness")]
    NoRandomness,
}

/// A secret as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// Which key opens it.
    pub(crate) key_id: String,
    /// The nonce, and what it was sealed into.
    pub(crate) bytes: Vec<u8>,
}

/// The key that seals, and those that only open.
pub(crate) struct Vault {
    key: Key,
    old: Vec<Key>,
}

/// One key.
pub(crate) struct Key {
    key: RandomizedNonceKey,
    /// Its name, which does not tell it.
    pub(crate) id: String,
    /// Where it was read.
    pub(crate) path: PathBuf,
}

impl Vault {
    /// Reads the key, or makes one when there is none and `secrets`, which counts what is sealed
    /// already and no earlier key opens, is 0.
    pub(crate) fn open(path: &Path, secrets: u64) -> Result<Self, VaultError> {
        Ok(Self { key: Key::open(path, secrets)?, old: Vec::new() })
    }

    /// The same with keys that only open what they sealed.
    pub(crate) fn with_old(mut self, old: Vec<Key>) -> Result<Self, VaultError> {
        for key in old {
            if let Some(same) = self.keys().find(|known| known.id == key.id) {
                return Err(VaultError::Twice { path: key.path, other: same.path.clone() });
            }
            self.old.push(key);
        }
        Ok(self)
    }

    /// All keys, the one that seals first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.key).chain(&self.old)
    }

    /// Seals a secret for a place.
    pub(crate) fn seal(&self, place: &str, secret: &SecretString) -> Result<Sealed, VaultError> {
        self.key.seal(place, secret)
    }

    /// Opens what was sealed for that place.
    pub(crate) fn unseal(&self, place: &str, sealed: &Sealed) -> Result<SecretString, VaultError> {
        let key = self.keys().find(|key| key.id == sealed.key_id);
        match key {
            Some(key) => key.unseal(place, sealed),
            None => Err(VaultError::OtherKey { id: sealed.key_id.clone() }),
        }
    }
}

impl Key {
    /// A key that has to be there.
    pub(crate) fn old(path: &Path) -> Result<Self, VaultError> {
        Self::read(path, File::open(path).map_err(failed(path))?)
    }

    fn open(path: &Path, secrets: u64) -> Result<Self, VaultError> {
        match File::open(path) {
            Ok(file) => Self::read(path, file),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path)(error)),
            Err(_) if secrets > 0 => Err(VaultError::Gone { path: path.to_owned(), secrets }),
            Err(_) => Self::make(path),
        }
    }

    fn read(path: &Path, file: File) -> Result<Self, VaultError> {
        let unfit = |why| VaultError::Unfit { path: path.to_owned(), why };
        let mode = file.metadata().map_err(failed(path))?.mode();
        if mode & 0o077 != 0 {
            return Err(unfit("others can read it; take their rights away with `chmod 600`"));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(failed(path))?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        hex::decode_to_slice(text.trim_end(), key.as_mut_slice())
            .map_err(|_| unfit("it must hold 64 hexadecimal digits"))?;
        Self::of(path, &key)
    }

    /// Written aside first: a file that is cut short would be no key.
    fn make(path: &Path) -> Result<Self, VaultError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        aws_lc_rs::rand::fill(key.as_mut_slice()).map_err(|_| VaultError::NoRandomness)?;
        let text = Zeroizing::new(format!("{}\n", *Zeroizing::new(hex::encode(key.as_slice()))));
        let mut aside = path.as_os_str().to_owned();
        aside.push(".new");
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&aside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&aside, path)?;
            // The name is on disk before anything is sealed with what it names.
            match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                Some(parent) => File::open(parent)?.sync_all(),
                None => Ok(()),
            }
        };
        write().map_err(failed(path))?;
        tracing::info!("the key of the secrets was made: {}; keep a copy of it", path.display());
        Self::of(path, &key)
    }

    fn of(path: &Path, key: &[u8; KEY_BYTES]) -> Result<Self, VaultError> {
        let digest = Sha256::new().chain_update("strata key of secrets\0").chain_update(key);
        let id = hex::encode(digest.finalize())[..ID_DIGITS].to_owned();
        let key = RandomizedNonceKey::new(&AES_256_GCM, key);
        let key = key.map_err(|_| VaultError::NoRandomness)?;
        Ok(Self { key, id, path: path.to_owned() })
    }

    fn seal(&self, place: &str, secret: &SecretString) -> Result<Sealed, VaultError> {
        let mut text = secret.expose_secret().as_bytes().to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(place), &mut text)
            .map_err(|_| VaultError::NoRandomness)?;
        let bytes = [nonce.as_ref().as_slice(), &text].concat();
        Ok(Sealed { key_id: self.id.clone(), bytes })
    }

    fn unseal(&self, place: &str, sealed: &Sealed) -> Result<SecretString, VaultError> {
        let (nonce, text) =
            sealed.bytes.split_first_chunk::<NONCE_LEN>().ok_or(VaultError::Broken)?;
        let mut text = Zeroizing::new(text.to_vec());
        let opened = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place), &mut text)
            .map_err(|_| VaultError::Broken)?;
        let text = str::from_utf8(opened).map_err(|_| VaultError::Broken)?;
        Ok(SecretString::from(text))
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> VaultError {
    move |source| VaultError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_opens_where_it_was_sealed_for_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let secret = SecretString::from("hunter2");
        let sealed = Vault::open(&path, 0).unwrap().seal("httpd TOKEN", &secret).unwrap();
        assert!(!sealed.bytes.windows(7).any(|part| part == b"hunter2"));

        let again = Vault::open(&path, 1).unwrap();
        let opened = again.unseal("httpd TOKEN", &sealed).unwrap();
        assert_eq!(opened.expose_secret(), "hunter2");
        assert_ne!(again.seal("httpd TOKEN", &secret).unwrap(), sealed, "a nonce is used once");

        assert!(matches!(again.unseal("nginx TOKEN", &sealed), Err(VaultError::Broken)));
        let mut changed = sealed.clone();
        *changed.bytes.last_mut().unwrap() ^= 1;
        assert!(matches!(again.unseal("httpd TOKEN", &changed), Err(VaultError::Broken)));
        let short = Sealed { bytes: vec![1; NONCE_LEN], ..sealed.clone() };
        assert!(matches!(again.unseal("httpd TOKEN", &short), Err(VaultError::Broken)));
        let other = Vault::open(&dir.path().join("other"), 0).unwrap();
        let refused = other.unseal("httpd TOKEN", &sealed).unwrap_err();
        assert!(refused.to_string().contains(&sealed.key_id), "{refused}");
    }

    #[test]
    fn what_an_earlier_key_sealed_opens_beside_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        let secret = SecretString::from("hunter2");
        let sealed = Vault::open(&first, 0).unwrap().seal("p", &secret).unwrap();

        let old = || vec![Key::old(&first).unwrap()];
        let vault = Vault::open(&second, 0).unwrap().with_old(old()).unwrap();
        assert_eq!(vault.unseal("p", &sealed).unwrap().expose_secret(), "hunter2");
        let anew = vault.seal("p", &secret).unwrap();
        assert_ne!(anew.key_id, sealed.key_id, "the new key seals");
        let paths: Vec<&Path> = vault.keys().map(|key| key.path.as_path()).collect();
        assert_eq!(paths, [second.as_path(), first.as_path()]);

        let alone = Vault::open(&second, 1).unwrap();
        assert_eq!(alone.unseal("p", &anew).unwrap().expose_secret(), "hunter2");
        assert!(alone.unseal("p", &sealed).is_err());
        let twice = Vault::open(&first, 1).unwrap().with_old(old());
        assert!(matches!(twice, Err(VaultError::Twice { .. })));
        assert!(Key::old(&dir.path().join("none")).is_err(), "no old key is made");
    }

    #[test]
    fn a_key_is_the_bridges_alone_and_is_never_made_anew_over_what_it_opens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(matches!(Vault::open(&path, 2), Err(VaultError::Gone { secrets: 2, .. })));
        Vault::open(&path, 0).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Vault::open(&path, 0), Err(VaultError::Unfit { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bad in ["", "abc", &"g".repeat(64), &"a".repeat(66)] {
            fs::write(&path, bad).unwrap();
            assert!(matches!(Vault::open(&path, 0), Err(VaultError::Unfit { .. })), "{bad}");
        }
    }
}
