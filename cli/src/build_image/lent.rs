//! Secrets and agents that commands are lent.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use builder::MAX_SECRET_BYTES;
use secrecy::SecretSlice;

/// Where OpenSSH's programs find their agent.
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

/// `--secret`: where one comes from. It holds no secret yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretFrom {
    pub(super) id: String,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    Variable(String),
}

impl SecretFrom {
    /// Reads `id=NAME[,src=FILE][,env=VARIABLE]`; the file or variable is NAME itself when none
    /// is named.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut id, mut file, mut variable) = (None, None, None);
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("id", value)) if !value.is_empty() => id = Some(value.to_owned()),
                Some(("src" | "source", value)) => file = Some(PathBuf::from(value)),
                Some(("env", value)) => variable = Some(value.to_owned()),
                Some(("type", "file" | "env")) => {}
                _ => return Err(format!("`{field}`: write id=NAME,src=FILE or id=NAME,env=NAME")),
            }
        }
        let id = id.ok_or("a secret needs an id: id=NAME,src=FILE")?;
        let place = match (file, variable) {
            (Some(_), Some(_)) => return Err("a secret has one source: src or env".to_owned()),
            (Some(file), None) => Place::File(file),
            (None, Some(name)) => Place::Variable(name),
            (None, None) if std::env::var_os(&id).is_some() => Place::Variable(id.clone()),
            (None, None) => Place::File(PathBuf::from(&id)),
        };
        Ok(Self { id, place })
    }

    /// The secret itself; the error is a sentence without it.
    pub(super) fn read(&self) -> Result<Arc<SecretSlice<u8>>, String> {
        let mut bytes = Vec::new();
        match &self.place {
            Place::File(path) => {
                let unreadable = |e| format!("secret {}: {}: {e}", self.id, path.display());
                let file = File::open(path).map_err(unreadable)?;
                let bound = MAX_SECRET_BYTES as u64 + 1;
                file.take(bound).read_to_end(&mut bytes).map_err(unreadable)?;
            }
            Place::Variable(name) => {
                let value = std::env::var(name);
                let absent = |_| format!("secret {}: the variable {name} is not set", self.id);
                bytes.extend_from_slice(value.map_err(absent)?.as_bytes());
            }
        }
        if bytes.len() > MAX_SECRET_BYTES {
            return Err(format!("secret {}: more than {MAX_SECRET_BYTES} bytes", self.id));
        }
        Ok(Arc::new(bytes.into()))
    }
}

/// `--ssh`: `ID` or `ID=SOCKET`; the caller's own agent when no socket is named.
pub(super) fn agent(text: &str) -> Result<(String, PathBuf), String> {
    let (id, socket) = match text.split_once('=') {
        Some((id, socket)) => (id, PathBuf::from(socket)),
        None => {
            let own = std::env::var_os(AGENT_VARIABLE);
            (text, own.ok_or("no agent runs: SSH_AUTH_SOCK is not set")?.into())
        }
    };
    if id.is_empty() || socket.as_os_str().is_empty() {
        return Err("write ID or ID=SOCKET".to_owned());
    }
    Ok((id.to_owned(), socket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn secrets_come_from_files_and_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        std::fs::write(&path, "hush").unwrap();
        let secret = SecretFrom::parse(&format!("id=a,src={}", path.display())).unwrap();
        assert_eq!(secret.id, "a");
        assert_eq!(secret.read().unwrap().expose_secret(), b"hush");
        std::fs::write(&path, vec![b'x'; MAX_SECRET_BYTES + 1]).unwrap();
        assert!(secret.read().is_err());
        for bad in ["", "src=x", "id=a,src=x,env=y", "id=a,other=x", "id="] {
            assert!(SecretFrom::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn agents_have_an_id_and_a_socket() {
        assert_eq!(agent("default=/run/a"), Ok(("default".to_owned(), "/run/a".into())));
        assert!(agent("=/run/a").is_err());
        assert!(agent("a=").is_err());
    }
}
