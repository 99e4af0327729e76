//! Repositories as operators write them and as package managers read them.

use super::*;

const KEY: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n";

fn repository(json: serde_json::Value) -> PackageRepository {
    let mut whole = serde_json::json!({ "name": "updates", "url": "https://r.example/$basearch/" });
    for (key, value) in json.as_object().unwrap() {
        whole[key] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

fn with_key(json: serde_json::Value) -> PackageRepository {
    PackageRepository { gpg_key: Some(KEY.to_owned()), ..repository(json) }
}

/// What the builds of `containers/httpd` find.
fn files(repositories: &[PackageRepository]) -> Vec<RepositoryFile> {
    super::files(repositories, &RepositoryName::parse("containers/httpd").unwrap())
}

#[test]
fn a_repository_is_for_those_that_only_names() {
    let found = |only: &[&str]| {
        let json = serde_json::json!({ "kind": "yum", "unsigned": true, "only": only });
        let repositories = [repository(json)];
        assert_eq!(check(&repositories), Ok(()));
        files(&repositories).len()
    };
    for (only, expected) in [
        (&[][..], 1),
        (&["containers/httpd"], 1),
        (&["modules/**", "containers/h*"], 1),
        (&["containers/nginx"], 0),
        (&["*"], 0),
    ] {
        assert_eq!(found(only), expected, "{only:?}");
    }
    let many = vec!["a"; MAX_PATTERNS + 1];
    let json = serde_json::json!({ "kind": "yum", "unsigned": true, "only": many });
    assert!(check(&[repository(json)]).unwrap_err().contains("patterns in `only`"));
}

#[test]
fn dnf_checks_signatures_with_the_operators_key() {
    let files = files(&[with_key(serde_json::json!({ "kind": "yum", "gpg_key_file": "/k" }))]);
    let [list, key] = files.as_slice() else { panic!("{files:?}") };
    assert_eq!(list.path, "/etc/yum.repos.d/strata-updates.repo");
    assert_eq!(
        list.content,
        "[strata-updates]\nname=strata-updates\nbaseurl=https://r.example/$basearch/\nenabled=1\n\
         skip_if_unavailable=0\ngpgcheck=1\ngpgkey=file:///etc/pki/rpm-gpg/strata-updates.asc\n"
    );
    assert_eq!(
        (key.path.as_str(), key.content.as_str()),
        ("/etc/pki/rpm-gpg/strata-updates.asc", KEY)
    );
}

#[test]
fn apt_checks_them_with_that_key_alone() {
    let json = serde_json::json!({
        "kind": "apt", "gpg_key_file": "/k", "suites": ["bookworm"], "components": ["main", "x"],
    });
    let files = files(&[with_key(json)]);
    let [list, key] = files.as_slice() else { panic!("{files:?}") };
    assert_eq!(list.path, "/etc/apt/sources.list.d/strata-updates.sources");
    assert_eq!(
        list.content,
        "Types: deb\nURIs: https://r.example/$basearch/\nSuites: bookworm\nComponents: main x\n\
         Signed-By: /etc/apt/keyrings/strata-updates.asc\n"
    );
    assert_eq!(key.path, "/etc/apt/keyrings/strata-updates.asc");
}

#[test]
fn what_is_unsigned_says_so_and_has_no_key() {
    let yum = repository(serde_json::json!({ "kind": "yum", "unsigned": true }));
    let apt = repository(serde_json::json!({ "kind": "apt", "unsigned": true, "suites": ["./"] }));
    assert_eq!(check(&[yum.clone(), apt.clone()]), Ok(()));
    let files = files(&[yum, apt]);
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(files[0].content.ends_with("gpgcheck=0\n"));
    assert!(files[1].content.ends_with("Suites: ./\nTrusted: yes\n"));
}

#[test]
fn a_repository_whose_key_was_never_read_is_not_used() {
    let json = serde_json::json!({ "kind": "yum", "gpg_key_file": "/k" });
    assert_eq!(files(&[repository(json)]), []);
}

#[test]
fn mistakes_are_named() {
    let key = "/k";
    for (json, words) in [
        (serde_json::json!({ "kind": "yum" }), "needs gpg_key_file, or `unsigned = true`"),
        (serde_json::json!({ "kind": "yum", "unsigned": true, "gpg_key_file": key }), "and is"),
        (
            serde_json::json!({ "kind": "yum", "unsigned": true, "url": "http://r.example" }),
            "https://",
        ),
        (serde_json::json!({ "kind": "yum", "gpg_key_file": key, "suites": ["x"] }), "no suites"),
        (serde_json::json!({ "kind": "apt", "gpg_key_file": key }), "needs suites"),
        (serde_json::json!({ "kind": "apt", "gpg_key_file": key, "suites": ["x"] }), "components"),
        (
            serde_json::json!({
                "kind": "apt", "gpg_key_file": key, "suites": ["x"], "components": ["a b"],
            }),
            "`a b`",
        ),
        (serde_json::json!({ "kind": "yum", "gpg_key_file": key, "name": "a/b" }), "needs a name"),
        (serde_json::json!({ "kind": "yum", "gpg_key_file": key, "url": "ftp://x" }), "http(s)"),
        (
            serde_json::json!({ "kind": "yum", "gpg_key_file": key, "url": "https://x/\ngpgcheck=0" }),
            "without blanks",
        ),
    ] {
        let told = check(&[repository(json.clone())]).unwrap_err();
        assert!(told.contains(words), "{json}: {told}");
    }
    let url = "https://user:secret@r.example";
    let json = serde_json::json!({ "kind": "yum", "gpg_key_file": key, "url": url });
    let told = check(&[repository(json)]).unwrap_err();
    assert!(told.contains("password") && !told.contains("secret"), "{told}");
    let good = repository(serde_json::json!({ "kind": "yum", "gpg_key_file": key }));
    assert!(check(&[good.clone(), good.clone()]).unwrap_err().contains("twice"));
    assert!(check(&vec![good; MAX_REPOSITORIES + 1]).is_err());
}

#[test]
fn a_key_is_text() {
    assert_eq!(check_key(KEY), Ok(()));
    assert!(check_key("\u{99}binary").unwrap_err().contains("--armor"));
    assert!(check_key(&format!("{KEY}{}", "a".repeat(MAX_KEY_BYTES))).is_err());
}
