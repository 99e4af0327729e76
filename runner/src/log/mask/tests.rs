//! Secrets in streams that are cut anywhere.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::*;

fn masker(secrets: &[&str]) -> Masker {
    Masker::new(secrets.iter().map(|&secret| secret.to_owned()))
}

/// What can be shown of a stream once these bytes have come.
fn shown(masker: &Masker, held: &mut Held, bytes: &[u8]) -> Vec<u8> {
    held.extend(bytes);
    masker.certain(held)
}

fn masked(secrets: &[&str], pieces: &[&str]) -> String {
    let (masker, mut held) = (masker(secrets), Held::default());
    let mut out = Vec::new();
    for piece in pieces {
        out.extend(shown(&masker, &mut held, piece.as_bytes()));
    }
    out.extend(masker.rest(&mut held));
    String::from_utf8(out).unwrap()
}

#[test]
fn every_cut_of_a_secret_is_masked() {
    let text = "a sekret! b sekret!";
    for cut in 0..text.len() {
        let (left, right) = text.split_at(cut);
        assert_eq!(masked(&["sekret!"], &[left, right]), "a *** b ***", "cut at {cut}");
    }
    let bytes: Vec<String> = text.chars().map(String::from).collect();
    let bytes: Vec<&str> = bytes.iter().map(String::as_str).collect();
    assert_eq!(masked(&["sekret!"], &bytes), "a *** b ***");
}

#[test]
fn the_longer_of_two_secrets_wins() {
    assert_eq!(masked(&["abcd", "abcdef"], &["abcdef abcd abcde"]), "*** *** ***e");
}

#[test]
fn secrets_that_overlap_are_masked_together_wherever_they_are_cut() {
    let text = "x abcXYZ123 y";
    for cut in 0..text.len() {
        let (left, right) = text.split_at(cut);
        let shown = masked(&["abcXYZ", "XYZ123", "YZ12345"], &[left, right]);
        assert_eq!(shown, "x *** y", "cut at {cut}");
    }
}

#[test]
fn a_false_start_is_shown() {
    assert_eq!(masked(&["sekret!"], &["sek", "sekre", "t? sekret"]), "seksekret? sekret");
}

#[test]
fn a_line_that_cannot_be_a_secret_is_not_held_back() {
    let (masker, mut held) = (masker(&["sekret!"]), Held::default());
    assert_eq!(shown(&masker, &mut held, b"sek\nab."), b"sek\nab.");
    assert_eq!(shown(&masker, &mut held, b"x se"), b"x ");
    assert_eq!(shown(&masker, &mut held, b"e."), b"see.");
    held.extend(b"se\nkret");
    assert_eq!(masker.whole_lines(&mut held), b"se\n");
    assert_eq!(held.len(), 4);
}

#[test]
fn short_secrets_and_lines_of_a_key() {
    assert_eq!(masked(&["abc"], &["abc"]), "abc");
    assert_eq!(masked(&["line one\nline two\n"], &["x line two y"]), "x *** y");
}

#[test]
fn other_forms_of_a_secret_are_masked() {
    let secret = "p&ss \"w0rd\"/ü+";
    let json = serde_json::to_string(secret).unwrap();
    let url: String = form_of_url(secret);
    for text in [secret, &json, &url] {
        let shown = masked(&[secret], &[text]);
        assert!(!shown.contains("w0rd"), "{text}: {shown}");
    }
    for before in ["", "a", "ab", "abc"] {
        for after in ["", "z", "zz"] {
            let whole = format!("{before}{secret}{after}");
            for encoded in [STANDARD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
                let shown = masked(&[secret], &[&encoded]);
                assert!(shown.contains("***") && shown.len() < 20, "{whole}: {shown}");
            }
        }
    }
}

#[test]
fn what_other_languages_make_of_a_secret_is_masked() {
    // As written by Python's `quote` and `json.dumps`, by JavaScript's `encodeURIComponent` and
    // `encodeURI`, by Go's `encoding/json` and by PHP's `json_encode`.
    let secret = "it's/<a>&\u{fc} (b)*";
    for text in [
        "it%27s/%3Ca%3E%26%C3%BC%20%28b%29%2A",
        "it's/<a>&\\u00fc (b)*",
        "it's%2F%3Ca%3E%26%C3%BC%20(b)*",
        "it's/%3Ca%3E&%C3%BC%20(b)*",
        "it's/\\u003ca\\u003e\\u0026\u{fc} (b)*",
        "it's\\/<a>&\u{fc} (b)*",
    ] {
        assert_eq!(masked(&[secret], &["x", text, "y"]), "x***y", "{text}");
    }
}

fn form_of_url(text: &str) -> String {
    text.bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect::<String>()
        .replace("%77", "w")
        .replace("%30", "0")
        .replace("%72", "r")
        .replace("%64", "d")
        .replace("%70", "p")
        .replace("%73", "s")
}

#[test]
fn a_secret_can_be_added_while_the_log_is_written() {
    let (mut masker, mut held) = (masker(&[]), Held::default());
    assert_eq!(shown(&masker, &mut held, b"token one, "), b"token one, ");
    masker.add("token two").unwrap();
    let mut out = shown(&masker, &mut held, b"token t");
    out.extend(shown(&masker, &mut held, b"wo, token one"));
    out.extend(masker.rest(&mut held));
    assert_eq!(out, b"***, token one");
    assert!(masker.finds_in("a token two") && !masker.finds_in("token"));
    assert_eq!(masker.masked("x token two"), "x ***");
}

#[test]
fn the_number_of_added_secrets_is_bounded() {
    let mut masker = Masker::default();
    for number in 0..MAX_ADDED {
        masker.add(&format!("secret-{number}")).unwrap();
    }
    assert_eq!(masker.add("one more"), Err(TooManySecrets));
    assert_eq!(masker.add("secret-7"), Ok(()));
    assert_eq!(Masker::default().add(&"x".repeat(MAX_PATTERN_BYTES)), Err(TooManySecrets));
}
