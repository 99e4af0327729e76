//! Secrets: files in memory that nobody but the command sees.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use secrecy::ExposeSecret;
use workflows::dockerfile::Mount;

use super::options::Options;
use super::{Mounts, give};
use crate::confine::Memory;
use crate::given::MAX_SECRET_BYTES;
use crate::stage::steps::{Fault, Site};

/// Permissions of a secret's file, as BuildKit sets them.
const SECRET_MODE: u32 = 0o400;

impl Mounts {
    pub(super) fn secret(
        &mut self,
        mount: &Mount,
        options: &Options,
        number: usize,
        site: &Site<'_>,
    ) -> Result<(), Fault> {
        let Some(id) = mount.secret_id() else {
            return Err(Fault::User("--mount=type=secret needs an id or a target".to_owned()));
        };
        let Some(secret) = site.request.given.secrets.get(id) else {
            let why = format!("the secret `{id}` is required and was not given: --secret id={id}");
            return if mount.required { Err(Fault::User(why)) } else { Ok(()) };
        };
        let secret = secret.expose_secret();
        if secret.len() > MAX_SECRET_BYTES {
            let why = format!("the secret `{id}` has more than {MAX_SECRET_BYTES} bytes");
            return Err(Fault::User(why));
        }
        if let Some(name) = &options.env {
            let text = std::str::from_utf8(secret).ok().filter(|text| !text.contains('\0'));
            let text = text.ok_or_else(|| {
                Fault::User(format!("the secret `{id}` is no text, so no variable can hold it"))
            })?;
            self.env.push((name.clone(), text.to_owned()));
            if !options.has_target() {
                return Ok(());
            }
        }
        let memory = Memory::mount(&self.dir.join(format!("secret{number}")), MAX_SECRET_BYTES)
            .map_err(Fault::Machine)?;
        let path = memory.path().join("secret");
        fs::write(&path, secret).map_err(Fault::Machine)?;
        let mode = Permissions::from_mode(options.mode.unwrap_or(SECRET_MODE));
        fs::set_permissions(&path, mode).map_err(Fault::Machine)?;
        give(&path, options.uid, options.gid)?;
        self.memory.push(memory);
        let name = id.rsplit('/').next().unwrap_or_default();
        self.bind(options.target_or(|| format!("/run/secrets/{name}")), path, true, true);
        Ok(())
    }
}
