//! What a maintainer says once: `~/.config/strata/config.toml`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::Deserialize;

use crate::failure::Failure;

/// Where a bridge is when nobody says.
const DEFAULT_BRIDGE: &str = "http://127.0.0.1:7780";
/// Longest file that is read, in bytes; it has four short lines.
const MAX_BYTES: u64 = 64 * 1024;

/// The file, read once.
static SETTINGS: LazyLock<Result<Settings, String>> = LazyLock::new(read);

/// What the file says; every key may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// URL of the bridge.
    bridge: Option<String>,
    /// File with the token of this person.
    token_file: Option<PathBuf>,
    /// The forge's name in the bridge's configuration, where it has several.
    pub(crate) forge: Option<String>,
    /// URL to clone from, with `{repository}` in it.
    pub(crate) dist_git: Option<String>,
}

/// The settings.
///
/// # Errors
/// When the file is there and is not what it must be.
pub(crate) fn get() -> Result<&'static Settings, Failure> {
    SETTINGS.as_ref().map_err(|why| Failure::Usage(why.clone()))
}

/// The bridge that is asked when neither the command line nor the environment names one. A file
/// that cannot be read is told by [`get`], before anything is asked.
pub(crate) fn default_bridge() -> &'static str {
    let settings = SETTINGS.as_ref().ok();
    settings.and_then(|settings| settings.bridge.as_deref()).unwrap_or(DEFAULT_BRIDGE)
}

impl Settings {
    /// The token's file, `~/` taken for the home directory.
    pub(crate) fn token_file(&self) -> Option<PathBuf> {
        let path = self.token_file.as_ref()?;
        Some(match (path.strip_prefix("~"), std::env::home_dir()) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path.clone(),
        })
    }
}

fn read() -> Result<Settings, String> {
    let Some(path) = place() else { return Ok(Settings::default()) };
    let mut text = String::new();
    match File::open(&path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text)) {
        Ok(_) => parse(&path, &text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Settings::default()),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

fn parse(path: &Path, text: &str) -> Result<Settings, String> {
    toml::from_str(text).map_err(|error| format!("{}: {error}", path.display()))
}

/// As the XDG base directory specification has it.
fn place() -> Option<PathBuf> {
    let of_xdg = std::env::var_os("XDG_CONFIG_HOME").filter(|path| !path.is_empty());
    let base = match of_xdg {
        Some(base) => PathBuf::from(base),
        None => std::env::home_dir()?.join(".config"),
    };
    Some(base.join("strata/config.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_may_be_left_out_and_an_unknown_one_is_told_by_line() {
        let path = Path::new("config.toml");
        assert!(parse(path, "").unwrap().bridge.is_none());
        let all = "bridge = \"https://b.example\"\ntoken_file = \"/t\"\nforge = \"f\"\n\
                   dist_git = \"https://d.example/{repository}.git\"\n";
        let read = parse(path, all).unwrap();
        assert_eq!(read.bridge.as_deref(), Some("https://b.example"));
        assert_eq!(read.token_file(), Some(PathBuf::from("/t")));
        let wrong = parse(path, "\nbrigde = \"x\"\n").unwrap_err();
        assert!(wrong.starts_with("config.toml: ") && wrong.contains("line 2"), "{wrong}");
    }

    #[test]
    fn the_tilde_is_the_home_directory() {
        let read = parse(Path::new("c"), "token_file = \"~/token\"").unwrap();
        assert_eq!(read.token_file(), std::env::home_dir().map(|home| home.join("token")));
    }
}
