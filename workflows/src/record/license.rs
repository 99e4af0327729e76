//! What a package says of its licence, as far as SPDX understands it.

/// What SPDX writes where nothing is claimed.
pub(super) const NO_ASSERTION: &str = "NOASSERTION";

/// A declared licence, in the words of SPDX.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Declared<'a> {
    /// A valid expression, or [`NO_ASSERTION`].
    pub(super) expression: &'a str,
    /// What the package says where that is no valid expression, such as `GPLv2+ and MIT`.
    pub(super) comment: Option<String>,
}

/// Nothing is guessed: an expression that SPDX does not know is told as a comment.
pub(super) fn declared(license: Option<&str>) -> Declared<'_> {
    match license.map(str::trim).filter(|text| !text.is_empty()) {
        None => Declared { expression: NO_ASSERTION, comment: None },
        Some(text) if spdx::Expression::parse(text).is_ok() => {
            Declared { expression: text, comment: None }
        }
        Some(text) => Declared {
            expression: NO_ASSERTION,
            comment: Some(format!("The package says: {text}")),
        },
    }
}
