//! What a whole file says, story by story.

mod build;
mod expanding;
mod naming;
mod pinning;
mod reading;

use std::collections::BTreeMap;

use super::{Dockerfile, parse};

fn read(text: &str) -> Dockerfile {
    parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}
