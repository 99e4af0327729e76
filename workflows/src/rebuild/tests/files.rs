use super::*;

const EXAMPLE: &str = include_str!("../../../../examples/rebuild/graph.yaml");

fn refused(text: &str) -> String {
    GraphFile::parse("graph.yaml", text).unwrap_err().to_string()
}

#[test]
fn the_example_is_read_and_planned() {
    let file = GraphFile::parse("graph.yaml", EXAMPLE).unwrap();
    assert_eq!(check(&file.graph, &file.policy), []);
    let plan = plan(&file.graph, &file.observed, &file.policy, now());
    assert_eq!(
        waves(&plan),
        [
            vec!["containers/base@f43"],
            vec!["containers/httpd@f43", "containers/php@f43"],
            vec!["containers/wiki@f43"]
        ]
    );
    assert_eq!(plan.blocked.len(), 1);
    assert_eq!(plan.unseen.len(), 1);
}

#[test]
fn faults_are_told_with_their_places() {
    let image = "images:\n  - id: a@f43\n    release: f43\n";
    assert!(GraphFile::parse("graph.yaml", image).is_ok());
    let again = format!("{image}  - id: a@f43\n    release: f44\n");
    assert_eq!(refused(&again), "graph.yaml:4:9: image `a@f43` is there twice");
    for (text, place, word) in [
        (format!("{image}    parentz: []\n"), "4:5", "parentz"),
        ("images:\n  - id: a b\n    release: f43\n".to_owned(), "2:9", "not an image's id"),
        (format!("{image}    parents: [{{ reference: 'A b' }}]\n"), "4:", "image reference"),
        (format!("{image}    mode: hotfix\n"), "4:11", "hotfix"),
        (format!("{image}observed:\n  r.example/a: {{ index: abc }}\n"), "5:", "digest"),
        (format!("{image}releases:\n  f43: {{ check: x y z }}\n"), "5:", "release `f43`: check"),
        (format!("{image}releases:\n  f43: {{ budget: {{ at_once: 0 }} }}\n"), "5:", "zero"),
        ("images: [".to_owned(), "1:", ""),
        ("{}".to_owned(), "1:", "images"),
        (String::new(), "1:", ""),
        (format!("{image}{image}"), "4:", "images"),
    ] {
        let message = refused(&text);
        assert!(message.starts_with(&format!("graph.yaml:{place}")), "{message}");
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn json_is_read_as_well() {
    let text = r#"{"images": [{"id": "a", "release": "f43", "parents": [
        {"reference": "fedora:43", "pin": {"manifest": "sha256:D"}}]}],
        "observed": {"fedora:43": "missing", "debian": {"failed": "timeout"}}}"#;
    let file = GraphFile::parse("graph.json", &text.replace('D', &"a".repeat(64))).unwrap();
    assert_eq!(file.graph.images().len(), 1);
    assert_eq!(file.observed.len(), 2);
    assert!(matches!(file.graph.images()[0].parents[0].pin, Some(Target::Manifest(_))));
}
