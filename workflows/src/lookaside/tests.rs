use super::*;

#[test]
fn both_forms_are_read() {
    let (md5, sha) = ("0".repeat(32), "A".repeat(128));
    let text = format!(
        "{md5}  old+1.tar.gz\r\n\nSHA512 (new.tar.xz) = {sha}\nSHA512 (new.tar.xz) = {sha}\n"
    );
    let sources = Sources::parse(&text).unwrap();
    let read: Vec<_> = sources
        .entries
        .iter()
        .map(|source| (source.file_name.as_str(), source.hash_type, source.hash.clone()))
        .collect();
    let expected = [
        ("old+1.tar.gz", HashType::Md5, md5.clone()),
        ("new.tar.xz", HashType::Sha512, "a".repeat(128)),
    ];
    assert_eq!(read, expected);

    let repository = RepositoryName::parse("containers/httpd").unwrap();
    let url = |namespaced, layout| {
        sources.entries[0].url("https://l.example/pkgs/", &repository, namespaced, layout)
    };
    assert_eq!(
        url(true, Layout::WithHashType),
        format!("https://l.example/pkgs/containers/httpd/old%2B1.tar.gz/md5/{md5}/old%2B1.tar.gz")
    );
    assert_eq!(
        url(false, Layout::HashOnly),
        format!("https://l.example/pkgs/httpd/old%2B1.tar.gz/{md5}/old%2B1.tar.gz")
    );
}

#[test]
fn every_other_line_is_refused() {
    let (md5, sha) = ("0".repeat(32), "0".repeat(128));
    for line in [
        md5.clone(),
        format!("{md5}  "),
        format!("{md5} file"),
        format!("{md5}   file"),
        format!("{md5}  file more"),
        format!("{sha}  file"),
        format!("SHA512 (file) = {sha} more"),
        format!("SHA512 (file) = {sha} "),
        format!("SHA512 (file) = {md5}"),
        format!("SHA512 MD5 (file) = {sha}"),
        format!("SHA512 (fi le) = {sha}"),
        format!("SHA512(file) = {sha}"),
        format!("CRC (file) = {sha}"),
        format!("{md5}  ../file"),
        format!("{md5}  /etc/passwd"),
        format!("{md5}  .."),
        format!("{md5}  .gitmodules"),
        format!("{md5}  -rf"),
        format!("{md5}  Dockerfile"),
        format!("{md5}  help.md"),
        format!("{md5}  .osbs-repo-config"),
        format!("{md5}  fetch-artifacts-url.yaml"),
        format!("{md5}  .dockerignore"),
        format!("{md5}  Dockerfile.dockerignore"),
        format!("{md5}  a\u{7}b"),
        format!("{md5}  {}", "a".repeat(256)),
        format!("{md5}  a\n{}  a", "1".repeat(32)),
    ] {
        assert!(Sources::parse(&line).is_err(), "{line:?}");
    }
    let many: String = (0..=MAX_SOURCES).map(|n| format!("{md5}  f{n}\n")).collect();
    assert_eq!(Sources::parse(&many).unwrap_err().line, MAX_SOURCES + 1);
}

#[test]
fn what_is_written_is_read_again() {
    let text = format!("{}  old.zip\nSHA512 (new.tar.xz) = {}\n", "1".repeat(32), "a".repeat(128));
    let sources = Sources::parse(&text).unwrap();
    assert_eq!(sources.to_string(), text);
    assert!(Source::new("../up", HashType::Md5, &"1".repeat(32)).is_err());
}
