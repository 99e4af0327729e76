//! The filters of an event: activity types, and patterns of branches, tags and paths.

use super::raw::Node;
use super::reader::{Fields, Reader};
use super::text::Located;
use crate::diagnostic::{nearest, quoted};
use crate::matching::{Filter, FilterKind, MAX_PATTERNS, Pattern};

/// Activity types, each of which must be one of `known` when these are known.
pub(super) fn read_types(
    reader: &mut Reader,
    fields: &Fields<'_>,
    known: Option<&[&str]>,
) -> Option<Vec<Located<String>>> {
    let path = fields.path_of("types");
    let items = reader.list(fields.get("types")?, &path)?;
    let mut types = Vec::new();
    for item in items {
        let Some(name) = reader.plain_text(item, &path) else { continue };
        match known {
            Some(known) if !known.contains(&name.value.as_str()) => {
                let message = format!("unknown activity type {} in `{path}`", quoted(&name.value));
                let hint = match (nearest(&name.value, known.iter().copied()), known) {
                    (Some(meant), _) => format!("did you mean `{meant}`?"),
                    (None, []) => "this event has no types".to_owned(),
                    (None, known) => format!("known types are {}", known.join(", ")),
                };
                reader.report.error_with_hint(name.at, message, hint);
            }
            _ => types.push(name),
        }
    }
    Some(types)
}

/// The filter of a pair of keys that exclude each other.
pub(super) fn read_filter(
    reader: &mut Reader,
    fields: &Fields<'_>,
    only: &str,
    except: &str,
) -> Option<Filter> {
    if let (Some(_), Some(at)) = (fields.place_of(only), fields.place_of(except)) {
        reader.report.error_with_hint(
            at,
            format!("`{}` has both `{only}` and `{except}`", fields.path),
            format!("keep `{only}` and exclude by patterns that begin with `!`"),
        );
        return None;
    }
    let (key, kind) = match fields.get(only) {
        Some(_) => (only, FilterKind::Only),
        None => (except, FilterKind::Except),
    };
    let node = fields.get(key)?;
    let patterns = read_patterns(reader, node, &fields.path_of(key))?;
    if kind == FilterKind::Only && patterns.iter().all(Pattern::takes_back) {
        reader.report.error_with_hint(
            node.at,
            format!("`{}` has no pattern without `!` and can match nothing", fields.path_of(key)),
            format!("use `{except}`, or put a pattern such as '**' first"),
        );
        return None;
    }
    Some(Filter::new(kind, patterns))
}

pub(super) fn read_patterns(reader: &mut Reader, node: &Node, path: &str) -> Option<Vec<Pattern>> {
    let items = reader.list(node, path)?;
    if items.len() > MAX_PATTERNS {
        let message =
            format!("`{path}` has {} patterns; at most {MAX_PATTERNS} are read", items.len());
        reader.report.error(node.at, message);
        return None;
    }
    let mut patterns = Vec::with_capacity(items.len());
    for item in items {
        let Some(text) = reader.plain_text(item, path) else { continue };
        match Pattern::parse(&text.value, text.at) {
            Ok(pattern) => patterns.push(pattern),
            Err(why) => reader.report.error(text.at, format!("in `{path}`: {why}")),
        }
    }
    (patterns.len() == items.len()).then_some(patterns)
}
