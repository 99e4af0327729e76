use super::*;

mod schema;

fn read(text: &str) -> ContainerYaml {
    ContainerYaml::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn an_empty_file_asks_for_nothing() {
    for text in ["", "---\n", "# nothing\n", "{}", "null"] {
        assert_eq!(read(text), ContainerYaml::default(), "{text:?}");
    }
}

#[test]
fn every_wish_is_read() {
    let file = read(
        "platforms:\n  only: [x86_64, aarch64]\n  not: aarch64\ntags: [latest, '1.0', demo]\n\
         set_release_env: RELEASE\nbuildtime_limit: 15000\nautorebuild:\n  from_latest: true\n\
         remote_sources_version: 2\nremote_sources:\n- name: a_b\n  remote_source:\n    repo: \
         https://git.example.com/a.git\n    ref: b55c00f45ec3dfee0c766cea3d395d6e21cc2e5a\n    \
         pkg_managers: [gomod, git-submodule]\n    packages:\n      npm: [{path: client}]\n\
         operator_manifests:\n  manifests_dir: manifests\n  repo_replacements:\n  - registry: r\n    \
         package_mappings: {a: b/c}\n",
    );
    let offered = ["aarch64", "s390x", "x86_64"].map(str::to_owned);
    assert_eq!(file.platforms.unwrap().select(&offered), ["x86_64"]);
    let tags: Vec<String> = file.tags.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(tags, ["latest", "1.0", "demo"]);
    assert_eq!(file.set_release_env.as_ref().map(EnvName::as_str), Some("RELEASE"));
    assert_eq!(file.buildtime_limit, Some(15_000));
    assert_eq!(file.autorebuild.and_then(|rebuild| rebuild.from_latest), Some(true));
    assert_eq!(file.remote_sources_version, Some(RemoteSourcesVersion::Two));
    let source = file.remote_sources.unwrap().remove(0).remote_source.unwrap();
    assert_eq!(source.pkg_managers.unwrap()[1], PackageManager::GitSubmodule);
    assert!(file.operator_manifests.is_some_and(|operator| operator.enable_digest_pinning));
}

#[test]
fn keys_of_the_past_are_accepted_and_told() {
    let file = read(
        "compose:\n  packages: [httpd]\nflatpak: null\nimage_build_method: imagebuilder\n\
         version: 1\ngo: {modules: [{module: m}]}\ntags: []\n",
    );
    assert_eq!(
        file.without_effect(),
        ["compose", "flatpak", "image_build_method", "go", "version"]
    );
    assert_eq!(file.tags, Some(Vec::new()));
}

#[test]
fn errors_point_at_the_place() {
    for (text, line, words) in [
        ("tags: [a]\nplatform: x\n", 2, "platform"),
        ("platforms:\n  onyl: x\n", 2, "onyl"),
        ("tags:\n- good\n- 'a b'\n", 3, "not a tag"),
        ("tags:\n", 1, "missing"),
        ("tags: latest\n", 1, ""),
        ("\nbuildtime_limit: -1\n", 2, ""),
        ("buildtime_limit: soon\n", 1, ""),
        ("set_release_env: 1A\n", 1, "variable"),
        ("autorebuild:\n  from_latest: yes\n", 2, ""),
        ("remote_source:\n  repo: r\n  ref: abc\n", 3, "40"),
        ("remote_source:\n  repo: r\n", 2, "ref"),
        ("remote_sources: []\n", 1, "empty"),
        ("remote_sources:\n- name: ../a\n  remote_source: null\n", 2, "letters"),
        ("remote_sources_version: 3\n", 1, "1 or 2"),
        ("operator_manifests:\n  manifests_dir: /etc\n", 2, "relative"),
        ("operator_manifests:\n  manifests_dir: a/../../b\n", 2, "relative"),
        ("tags: [a]\ntags: [b]\n", 2, "tags"),
        ("tags: [a\n", 1, "bracket"),
        ("- a\n", 1, ""),
        ("a: 1\n---\nb: 2\n", 1, ""),
        ("go: {}\nremote_sources:\n- {name: a, remote_source: null}\n", 1, "keep one"),
    ] {
        let error = ContainerYaml::parse(text).unwrap_err();
        assert_eq!(error.line, line, "{text:?}: {error}");
        assert!(error.to_string().contains(words), "{text:?}: {error}");
    }
}

#[test]
fn hostile_files_are_refused() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
        + "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
        + "compose: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n";
    for text in
        [bomb, format!("compose: {}", "[".repeat(10_000)), "#".repeat(MAX_CONTAINER_YAML_BYTES + 1)]
    {
        assert!(ContainerYaml::parse(&text).is_err());
    }
}
