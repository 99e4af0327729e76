//! Keeps secrets out of logs, also one that comes in two pieces.

/// What stands in the place of a secret.
const MASK: &[u8] = b"***";
/// Shorter texts are too common to be told from ordinary output.
const MIN_SECRET_BYTES: usize = 4;

/// Replaces known secrets in a stream of bytes.
#[derive(Default)]
pub(crate) struct Masker {
    /// Longest first, so that a secret that begins with another is masked whole.
    secrets: Vec<Vec<u8>>,
    /// The end of the stream so far that may be the beginning of a secret.
    held: Vec<u8>,
}

impl Masker {
    /// A masker for these secrets; the lines of a longer one are secrets each.
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<Vec<u8>> = secrets
            .into_iter()
            .flat_map(|secret| {
                secret.lines().map(|line| line.trim().as_bytes().to_vec()).collect::<Vec<_>>()
            })
            .filter(|secret| secret.len() >= MIN_SECRET_BYTES)
            .collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self { secrets, held: Vec::new() }
    }

    /// Takes the next bytes and gives those that can be shown.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.secrets.is_empty() {
            return bytes.to_vec();
        }
        self.held.extend_from_slice(bytes);
        let mut shown = Vec::with_capacity(self.held.len());
        let mut at = 0;
        while at < self.held.len() {
            let rest = &self.held[at..];
            if let Some(secret) = self.secrets.iter().find(|secret| rest.starts_with(secret)) {
                shown.extend_from_slice(MASK);
                at += secret.len();
            } else if self.secrets.iter().any(|secret| secret.starts_with(rest)) {
                break;
            } else {
                shown.push(rest[0]);
                at += 1;
            }
        }
        self.held.drain(..at);
        shown
    }

    /// Lets out what was held; the stream is at an end.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(secrets: &[&str], pieces: &[&str]) -> String {
        let mut masker = Masker::new(secrets.iter().map(|&secret| secret.to_owned()));
        let mut out = Vec::new();
        for piece in pieces {
            out.extend(masker.push(piece.as_bytes()));
        }
        out.extend(masker.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_cut_of_a_secret_is_masked() {
        let text = "a sekret! b sekret!";
        for cut in 0..text.len() {
            let (left, right) = text.split_at(cut);
            assert_eq!(masked(&["sekret!"], &[left, right]), "a *** b ***", "cut at {cut}");
        }
    }

    #[test]
    fn the_longer_of_two_secrets_wins() {
        assert_eq!(masked(&["abcd", "abcdef"], &["abcdef abcd abcde"]), "*** *** ***e");
    }

    #[test]
    fn a_false_start_is_shown() {
        assert_eq!(masked(&["sekret!"], &["sek", "sekre", "t? sekret"]), "seksekret? sekret");
    }

    #[test]
    fn short_secrets_and_lines_of_a_key() {
        assert_eq!(masked(&["abc"], &["abc"]), "abc");
        assert_eq!(masked(&["line one\nline two\n"], &["x line two y"]), "x *** y");
    }
}
