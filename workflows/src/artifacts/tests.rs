//! Files as packagers write them.

use super::*;

fn sha256() -> String {
    "A".repeat(64)
}

#[test]
fn entries_are_read_with_their_strongest_checksum() {
    let (md5, sha1, sha256) = ("1".repeat(32), "2".repeat(40), sha256());
    let text = format!(
        "- url: https://a.example/x/lib-1.jar\n  md5: {md5}\n  sha256: {sha256}\n\
         - url: https://a.example/get?file=2\n  target: deep/er/lib-2.jar\n  sha1: {sha1}\n  \
         sha256: {sha256}\n  source-url: https://a.example/src.zip\n  source-md5: {md5}\n"
    );
    let read = parse(&text).unwrap();
    let paths: Vec<_> = read.iter().map(|artifact| (artifact.line, artifact.path())).collect();
    assert_eq!(
        paths,
        [(1, "artifacts/lib-1.jar".to_owned()), (4, "artifacts/deep/er/lib-2.jar".to_owned())]
    );
    assert_eq!(read[0].source.hash_type, HashType::Sha256);
    assert_eq!(read[0].source.hash, "a".repeat(64));
    assert_eq!(parse("").unwrap(), []);
    assert_eq!(parse("[]").unwrap(), []);
}

#[test]
fn mistakes_have_their_line() {
    let entry = |rest: &str| format!("---\n- url: https://a.example/x\n{rest}");
    let good = format!("  sha256: {}\n", sha256());
    for (text, line, words) in [
        (entry(""), 2, "needs a sha256 or sha512"),
        (entry(&format!("  sha1: {}\n", "2".repeat(40))), 2, "md5 and sha1 can be forged"),
        (entry("  sha256: abc\n"), 2, "64 hexadecimal digits"),
        (entry(&format!("{good}  md5: z\n")), 2, "32 hexadecimal digits"),
        (entry(&format!("{good}  target: ../x\n")), 2, "no path below artifacts/"),
        (entry(&format!("{good}  target: /x\n")), 2, "no path below artifacts/"),
        (entry(&format!("{good}  target: a//x\n")), 2, "no path below artifacts/"),
        (entry(&format!("{good}  target: a/.git/x\n")), 2, "no path below artifacts/"),
        (entry(&format!("{good}  source-url: https://x/y\n")), 2, "belong together"),
        (entry(&format!("{good}  sha257: x\n")), 4, "sha257"),
        (entry(&format!("{good}- url: https://b.example/x\n{good}")), 4, "another file goes to"),
        (format!("- url: https://a.example/\n{good}"), 1, "set `target`"),
        (format!("- url: file:///etc/passwd\n{good}"), 1, "no http(s) URL"),
        ("url: x".to_owned(), 1, ""),
        ("a".repeat(MAX_ARTIFACTS_BYTES + 1), 1, "bytes"),
    ] {
        let error = parse(&text).unwrap_err();
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.message.contains(words), "{text}: {error}");
    }
    let many: String =
        (0..=MAX_ARTIFACTS).map(|n| format!("- url: https://a.example/{n}\n{good}")).collect();
    assert!(parse(&many).unwrap_err().message.contains("more than"));
}

#[test]
fn only_allowed_places_are_admitted() {
    let spec: ArtifactSpec =
        serde_json::from_str(r#"{"allowed": ["https://a.example/maven/"]}"#).unwrap();
    assert_eq!(spec.check(), Ok(()));
    let admitted = |url: &str| {
        let text = format!("- url: {url}\n  sha256: {}\n", sha256());
        spec.admit(&parse(&text).unwrap()[0])
    };
    assert_eq!(admitted("https://a.example/maven/x.jar"), Ok(()));
    let told = admitted("https://a.example/other/x.jar").unwrap_err();
    assert!(told.contains("(https://a.example/maven/)"), "{told}");
    for bad in [r#"{"allowed": []}"#, r#"{"allowed": ["a.example"]}"#] {
        let spec: ArtifactSpec = serde_json::from_str(bad).unwrap();
        assert!(spec.check().is_err(), "{bad}");
    }
}
