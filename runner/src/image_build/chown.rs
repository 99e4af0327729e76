//! Who owns what COPY brings: numbers as they are, names as the image knows them.

use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use futures_util::StreamExt as _;

use super::Build;
use crate::engine::{sandbox_fault, status_of};
use crate::stop::Stop;

/// Largest `/etc/passwd` or `/etc/group` that is read, in bytes.
const MAX_ACCOUNTS_BYTES: usize = 4 * 1024 * 1024;

/// Owner and group as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Owner {
    /// Owner.
    pub(crate) uid: u64,
    /// Group.
    pub(crate) gid: u64,
}

impl Build<'_> {
    /// Reads `--chown`; names are looked up in the container's own accounts.
    pub(super) async fn owner(
        &self,
        container: &str,
        chown: Option<&str>,
        line: usize,
    ) -> Result<Owner, Stop> {
        let Some(chown) = chown else { return Ok(Owner::default()) };
        let (user, group) = match chown.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (chown, None),
        };
        let unknown = |kind: &str, name: &str| {
            self.recipe.failure(line, format!("--chown: the image has no {kind} `{name}`"))
        };
        let (uid, own_gid) = match user.parse() {
            Ok(uid) => (uid, uid),
            Err(_) => {
                let passwd = self.accounts(container, "/etc/passwd").await?;
                user_in(&passwd, user).ok_or_else(|| unknown("user", user))?
            }
        };
        let gid = match group.map(str::parse) {
            None => own_gid,
            Some(Ok(gid)) => gid,
            Some(Err(_)) => {
                let group = group.unwrap_or_default();
                let groups = self.accounts(container, "/etc/group").await?;
                group_in(&groups, group).ok_or_else(|| unknown("group", group))?
            }
        };
        Ok(Owner { uid, gid })
    }

    /// A file of accounts; empty when the image has none.
    async fn accounts(&self, container: &str, path: &str) -> Result<String, Stop> {
        let fault = sandbox_fault("read the image's accounts");
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let mut stream =
            self.execution.engine.download_from_container(container, Some(options)).boxed();
        let mut archive = Vec::new();
        while let Some(piece) = stream.next().await {
            match piece {
                Ok(piece) if archive.len() + piece.len() <= MAX_ACCOUNTS_BYTES => {
                    archive.extend_from_slice(&piece);
                }
                Ok(_) => return Err(Stop::failure(format!("{path} of the image is too large"))),
                Err(error) if status_of(&error) == Some(404) => return Ok(String::new()),
                Err(error) => return Err(fault(error)),
            }
        }
        Ok(first_file(&archive).unwrap_or_default())
    }
}

/// The text of the only file of an archive; `None` when it is a link or no text.
fn first_file(archive: &[u8]) -> Option<String> {
    let mut archive = tar::Archive::new(archive);
    let mut entry = archive.entries().ok()?.next()?.ok()?;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut entry, &mut text).ok()?;
    Some(text)
}

fn user_in(passwd: &str, name: &str) -> Option<(u64, u64)> {
    let fields = fields_of(passwd, name)?;
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}

fn group_in(groups: &str, name: &str) -> Option<u64> {
    fields_of(groups, name)?.get(2)?.parse().ok()
}

fn fields_of<'a>(file: &'a str, name: &str) -> Option<Vec<&'a str>> {
    file.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_their_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nweb2:x:9:9::/:\nweb:x:48:49:w:/:/bin/sh\n";
        assert_eq!(user_in(passwd, "web"), Some((48, 49)));
        assert_eq!(user_in(passwd, "nobody"), None);
        assert_eq!(group_in("root:x:0:\nwww:x:33:web\n", "www"), Some(33));
        assert_eq!(group_in("broken", "broken"), None);
    }
}
