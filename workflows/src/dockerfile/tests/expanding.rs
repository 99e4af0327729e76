use crate::dockerfile::expand::{Lexer, MAX_EXPANDED_BYTES};

fn expand(word: &str) -> Result<String, String> {
    let lookup = |name: &str| match name {
        "v" => Some("a/b.tar.gz".to_owned()),
        "e" => Some(String::new()),
        "long" => Some("x".repeat(MAX_EXPANDED_BYTES)),
        _ => None,
    };
    Lexer::new('\\', &lookup).expand(word).map(|expanded| expanded.text)
}

#[test]
fn patterns_cut_and_replace() {
    for (word, expected) in [
        ("${v#*/}", "b.tar.gz"),
        ("${v%.*}", "a/b.tar"),
        ("${v%%.*}", "a/b"),
        ("${v##*.}", "gz"),
        ("${v#x}", "a/b.tar.gz"),
        ("${v/./-}", "a/b-tar.gz"),
        ("${v//./-}", "a/b-tar-gz"),
        ("${v/\\//-}", "a-b.tar.gz"),
        ("${v/a?b/x}", "x.tar.gz"),
        ("${e#x}", ""),
        ("${n%x}", ""),
    ] {
        assert_eq!(expand(word).as_deref(), Ok(expected), "{word}");
    }
}

#[test]
fn hostile_words_are_refused() {
    assert!(expand("$long$v").is_err());
    assert!(expand("\"$long$v\"").is_err());
    assert!(expand("${long//x/yyyyyyyy}").is_err());
    assert!(expand(&format!("{}{}", "${x:-".repeat(1000), "}".repeat(1000))).is_err());
    assert!(expand("${v/a}").is_err());
    assert!(expand("${v^^}").is_err());
}
