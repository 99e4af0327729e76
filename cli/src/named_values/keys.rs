//! `strata secret keys`: which keys seal how many secrets.

use forge_bridge::views::{KeyUse, SecretKey, SecretKeys};

use super::{Asked, SECRET};
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::{Cell, Output};

/// Prints them; the answer is no when secrets are sealed with a key that the bridge does not have.
pub(super) async fn keys(Asked { operator, asking }: Asked) -> Result<(), Failure> {
    let output = Output::new(asking.shown);
    let bridge = Bridge::at(&asking.bridge)?;
    let path = [SECRET.path, "keys"];
    let SecretKeys { keys } = bridge.get_json(&path, &operator.token_file()?).await?;
    if output.is_json() {
        output.json(&keys)?;
    } else {
        output.table(
            &["KEY", "SECRETS", "FILE", ""],
            &keys.iter().map(row).collect::<Vec<Vec<Cell>>>(),
        )?;
    }
    let is_missing = |key: &SecretKey| key.r#use == KeyUse::Missing;
    if keys.iter().any(is_missing) { Err(Failure::No) } else { Ok(()) }
}

fn row(key: &SecretKey) -> Vec<Cell> {
    let file = key.file.as_deref().unwrap_or("none");
    vec![
        Cell::plain(&key.id),
        Cell::plain(key.secrets.to_string()),
        Cell::plain(file),
        Cell::plain(advice(key)),
    ]
}

/// What the operator should know or do.
fn advice(key: &SecretKey) -> &'static str {
    match (key.r#use, key.secrets) {
        (KeyUse::Current, _) => "seals what is set",
        (KeyUse::Old, 0) => {
            "not needed any more: take it out of old_secrets_key_files, then remove it"
        }
        (KeyUse::Old, _) => "still needed: these do not open, see the bridge's log; set them again",
        (KeyUse::Missing, _) => {
            "name its file in old_secrets_key_files and restart, or set them again"
        }
    }
}
