//! `RUN --mount=type=…,from=…`: a line of comma-separated values.

use std::ops::Range;

use super::error::shown;
use super::instruction::{Mount, MountKind};

/// Options that mean true when they have no value.
const SWITCHES: [&str; 5] = ["readonly", "ro", "readwrite", "rw", "required"];

/// Reads the value of one `--mount` flag; returns the range of the `from` value in it as well.
///
/// # Errors
/// A sentence that names the option and what it may be.
pub(crate) fn parse(value: &str) -> Result<(Mount, Option<Range<usize>>), String> {
    let mut mount = Mount {
        kind: MountKind::Bind,
        from: None,
        source: None,
        target: None,
        id: None,
        read_only: None,
        required: false,
        other: Vec::new(),
    };
    let mut from_at = None;
    for range in fields(value)? {
        let field = &value[range.clone()];
        let (key, option) = match field.split_once('=') {
            Some((key, option)) => (key.to_ascii_lowercase(), option),
            None if SWITCHES.contains(&field.to_ascii_lowercase().as_str()) => {
                (field.to_ascii_lowercase(), "true")
            }
            None => return Err(format!("mount option `{}` needs a value", shown(field))),
        };
        let text = || Some(option.to_owned());
        match key.as_str() {
            "type" => mount.kind = kind(option)?,
            "from" if option.contains('$') => {
                return Err(format!(
                    "from={}: variables are not expanded here; name the image in a stage of its \
                     own (`FROM image AS name`) and write from=name",
                    shown(option)
                ));
            }
            "from" => {
                from_at = Some(range.end - option.len()..range.end);
                mount.from = text();
            }
            "source" | "src" => mount.source = text(),
            "target" | "dst" | "destination" => mount.target = text(),
            "id" => mount.id = text(),
            "readonly" | "ro" => mount.read_only = Some(switch(&key, option)?),
            "readwrite" | "rw" => mount.read_only = Some(!switch(&key, option)?),
            "required" => mount.required = switch(&key, option)?,
            "sharing" | "mode" | "uid" | "gid" | "size" | "env" => {
                mount.other.push((key, option.to_owned()));
            }
            _ => return Err(format!("unknown mount option `{}`", shown(field))),
        }
    }
    if mount.from.is_some() && !matches!(mount.kind, MountKind::Bind | MountKind::Cache) {
        return Err("only bind and cache mounts take `from`".to_owned());
    }
    if mount.kind == MountKind::Ssh && mount.source.is_some() {
        return Err("ssh mounts take no `source`: name the agent with `id`".to_owned());
    }
    Ok((mount, from_at.filter(|range| !range.is_empty())))
}

fn kind(option: &str) -> Result<MountKind, String> {
    Ok(match option.to_ascii_lowercase().as_str() {
        "bind" => MountKind::Bind,
        "cache" => MountKind::Cache,
        "tmpfs" => MountKind::Tmpfs,
        "secret" => MountKind::Secret,
        "ssh" => MountKind::Ssh,
        _ => {
            return Err(format!(
                "`{}` is no mount type: use bind, cache, tmpfs, secret or ssh",
                shown(option)
            ));
        }
    })
}

fn switch(key: &str, option: &str) -> Result<bool, String> {
    match option.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(format!("{key} is true or false, not `{}`", shown(other))),
    }
}

/// The ranges of the fields; a field may stand in double quotes, which are not part of it.
fn fields(value: &str) -> Result<Vec<Range<usize>>, String> {
    let mut ranges = Vec::new();
    let mut at = 0;
    loop {
        let rest = &value[at..];
        let (start, end, next) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let closing = quoted.find('"').ok_or("a double quote is not closed")?;
                (at + 1, at + 1 + closing, at + closing + 2)
            }
            None => {
                let length = rest.find(',').unwrap_or(rest.len());
                (at, at + length, at + length)
            }
        };
        ranges.push(start..end);
        match value.as_bytes().get(next) {
            None => return Ok(ranges),
            Some(b',') => at = next + 1,
            Some(_) => return Err("a quoted mount option must end at its quote".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_by_source_id_or_target() {
        for (value, expected) in [
            ("type=secret,source=a,id=b,target=/x/c", Some("a")),
            ("type=secret,src=a", Some("a")),
            ("type=secret,id=b,target=/x/c", Some("b")),
            ("type=secret,target=/x/c", Some("c")),
            ("type=secret", None),
            ("type=secret,target=/x/", None),
        ] {
            assert_eq!(parse(value).unwrap().0.secret_id(), expected, "{value}");
        }
        assert!(parse("type=ssh,source=a").unwrap_err().contains("source"));
    }

    #[test]
    fn options_are_read_and_the_image_is_found() {
        let value = r#"type=cache,"from=r.example/a:1",dst=/x,ro,sharing=locked"#;
        let (mount, at) = parse(value).unwrap();
        assert_eq!(&value[at.unwrap()], "r.example/a:1");
        assert_eq!(mount.kind, MountKind::Cache);
        assert_eq!(mount.target.as_deref(), Some("/x"));
        assert_eq!(mount.read_only, Some(true));
        assert_eq!(mount.other, [("sharing".to_owned(), "locked".to_owned())]);
    }

    #[test]
    fn what_buildkit_would_not_take_is_refused() {
        for bad in
            ["", "from", "type=nfs", "from=$X", "x=1", "ro=maybe", "type=tmpfs,from=a", "\"from=a"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
