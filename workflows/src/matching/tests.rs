//! GitHub's documented examples, and the sentences for the person who asks why nothing ran.

use super::*;
use crate::workflow::{Position, parse};

fn filter(kind: FilterKind, patterns: &[&str]) -> Filter {
    let read = |text: &&str| Pattern::parse(text, Position::default()).unwrap();
    Filter::new(kind, patterns.iter().map(read).collect())
}

#[track_caller]
fn check(patterns: &[&str], yes: &[&str], no: &[&str]) {
    let filter = filter(FilterKind::Only, patterns);
    for name in yes {
        assert!(filter.accepts(name), "{patterns:?} should match {name}");
    }
    for name in no {
        assert!(!filter.accepts(name), "{patterns:?} should not match {name}");
    }
}

#[test]
fn documented_patterns_of_branches_and_tags() {
    check(
        &["feature/*"],
        &["feature/my-branch", "feature/your-branch"],
        &["feature/a/b", "feature"],
    );
    check(
        &["feature/**"],
        &["feature/beta-a/my-branch", "feature/your-branch", "feature/mona/the/octocat"],
        &["feature"],
    );
    check(
        &["main", "releases/mona-the-octocat"],
        &["main", "releases/mona-the-octocat"],
        &["main2"],
    );
    check(&["*"], &["main", "releases"], &["all/the/branches"]);
    check(&["**"], &["all/the/branches", "every/tag", "main"], &[]);
    check(&["*feature"], &["mona-feature", "feature", "ver-10-feature"], &["a/feature"]);
    check(&["v2*"], &["v2", "v2.0", "v2.9"], &["v1", "v2/x"]);
    check(&["v[12].[0-9]+.[0-9]+"], &["v1.10.1", "v2.0.0"], &["v3.0.0", "v1.0", "v1.a.0"]);
}

#[test]
fn documented_patterns_of_paths() {
    check(&["*"], &["README.md", "server.rb"], &["docs/README.md"]);
    check(&["*.jsx?"], &["page.js", "page.jsx"], &["page.jsxx", "a/page.js"]);
    check(&["**"], &["all/the/files.md"], &[]);
    check(&["*.js"], &["app.js", "index.js"], &["js/app.js"]);
    check(&["**.js"], &["index.js", "js/index.js", "src/js/app.js"], &["index.jsx"]);
    check(&["docs/*"], &["docs/README.md", "docs/file.txt"], &["docs/a/b.md"]);
    check(&["docs/**"], &["docs/README.md", "docs/mona/octocat.txt"], &["doc", "docs"]);
    check(
        &["docs/**/*.md"],
        &["docs/README.md", "docs/mona/hello-world.md", "docs/a/markdown/file.md"],
        &["docs.md", "docs/a.txt"],
    );
    check(
        &["**/docs/**"],
        &["docs/hello.md", "dir/docs/my-file.txt", "space/docs/plan/space.doc"],
        &["adocs/x"],
    );
    check(&["**/README.md"], &["README.md", "js/README.md"], &["js/XREADME.md"]);
    check(&["**/*src/**"], &["a/src/app.js", "my-src/code/js/app.js"], &["src.js"]);
    check(&["**/*-post.md"], &["my-post.md", "path/their-post.md"], &["my-post.md.txt"]);
    check(
        &["**/migrate-*.sql"],
        &["migrate-10909.sql", "db/migrate-v1.0.sql", "db/sept/migrate-v1.sql"],
        &["db/migrate.sql"],
    );
    check(&["*.md", "!README.md"], &["hello.md"], &["README.md", "docs/hello.md"]);
    check(&["*.md", "!README.md", "README*"], &["hello.md", "README.md", "README.doc"], &[]);
}

#[test]
fn special_characters_can_be_escaped_and_the_rest_is_literal() {
    check(&[r"a\*b"], &["a*b"], &["axb"]);
    check(&[r"\!x"], &["!x"], &["x"]);
    check(&["a.b"], &["a.b"], &["axb"]);
    check(&["{a,b}(c|d)$"], &["{a,b}(c|d)$"], &["a"]);
    check(&["a?+"], &["", "a", "aaa"], &["b"]);
    check(&["[a-c]?x"], &["x", "bx"], &["abx", "dx"]);
    check(&["*"], &["line\nbreak"], &[]);
    check(&["é+x?"], &["é", "éééx"], &["x", "ex"]);
}

#[test]
fn patterns_that_cannot_be_understood_say_why() {
    for (text, why) in [
        ("?a", "pattern `?a` begins with `?`, which repeats the character before it"),
        ("!", "pattern `!` matches nothing"),
        ("", "pattern `` matches nothing"),
        ("[", "pattern `[`: `[` is not closed by `]`"),
        ("[]", "pattern `[]`: `[]` matches nothing"),
        ("[^a]", "pattern `[^a]`: only letters, digits and ranges of them can stand in `[…]`"),
        ("[z-a]", "pattern `[z-a]`: a range goes from a to z, from A to Z or from 0 to 9"),
        ("a\\", "pattern `a\\` ends with `\\`"),
    ] {
        assert_eq!(Pattern::parse(text, Position::default()).unwrap_err(), why);
    }
    assert!(Pattern::parse(&"a".repeat(256), Position::default()).is_err());
    assert!(Pattern::parse(&format!("a{}", "+".repeat(254)), Position::default()).is_err());
}

fn on(text: &str) -> On {
    parse("x", &format!("on: {text}\njobs: {{a: {{runs-on: x}}}}")).unwrap().on
}

fn push(branch: &str, paths: &[&str]) -> Occasion {
    let paths = paths.iter().map(|&path| path.to_owned()).collect();
    Occasion::Push { branch: branch.to_owned(), paths: ChangedPaths::Known(paths) }
}

#[track_caller]
fn why_not(on_text: &str, occasion: &Occasion) -> String {
    fires(&on(on_text), occasion).unwrap_err()
}

#[test]
fn a_push_passes_branches_and_paths() {
    let all = "{push: {branches: [rawhide, 'f*'], paths: ['**', '!*.md']}}";
    assert_eq!(fires(&on(all), &push("f43", &["README.md", "Dockerfile"])), Ok(()));
    assert_eq!(
        why_not(all, &push("main", &["Dockerfile"])),
        "branch `main` does not match `branches`: `rawhide`, `f*`"
    );
    assert_eq!(
        why_not(all, &push("f43", &["README.md"])),
        "the only changed file `README.md` does not match `paths`: `**`, `!*.md`"
    );
    assert_eq!(why_not(all, &push("f43", &[])), "`paths` is set and no file changed");
    let unknown = Occasion::Push {
        branch: "f43".to_owned(),
        paths: ChangedPaths::Everything { reason: "new branch".to_owned() },
    };
    assert_eq!(fires(&on(all), &unknown), Ok(()));
    let ignore = "{push: {paths-ignore: ['*.md', docs/**]}}";
    assert_eq!(fires(&on(ignore), &push("x", &["a.md", "b.c"])), Ok(()));
    assert_eq!(
        why_not(ignore, &push("x", &["a.md", "docs/b"])),
        "each of 2 changed files, such as `a.md`, matches `paths-ignore`: `*.md`, `docs/**`"
    );
}

#[test]
fn naming_only_tags_or_only_branches_leaves_the_other_out() {
    let tag = Occasion::Tag { tag: "v1".to_owned() };
    assert_eq!(fires(&on("push"), &tag), Ok(()));
    assert_eq!(fires(&on("{push: {paths: ['*.c']}}"), &tag), Ok(()));
    assert_eq!(fires(&on("{push: {tags: 'v*'}}"), &tag), Ok(()));
    assert_eq!(
        why_not("{push: {tags: 'v*'}}", &push("main", &[])),
        "`push` names tags only, and this is a branch"
    );
    assert_eq!(
        why_not("{push: {branches: main}}", &tag),
        "`push` names branches only, and this is a tag"
    );
    assert_eq!(fires(&on("{push: {tags-ignore: 'x', branches: main}}"), &tag), Ok(()));
}

#[test]
fn pull_requests_fire_on_three_types_unless_told_otherwise() {
    let opened = Occasion::PullRequest {
        action: PullRequestAction::Opened,
        base_branch: "main".to_owned(),
        paths: ChangedPaths::Known(vec!["a".to_owned()]),
    };
    assert_eq!(fires(&on("pull_request"), &opened), Ok(()));
    assert_eq!(
        why_not("{pull_request: {types: [synchronize]}}", &opened),
        "`types` of `pull_request` has no `opened`"
    );
    assert_eq!(
        why_not("{pull_request: {branches: 'f*'}}", &opened),
        "base branch `main` does not match `branches`: `f*`"
    );
    assert_eq!(why_not("push", &opened), "the workflow has no `pull_request` under `on`");
    let labeled = Occasion::PullRequest {
        action: PullRequestAction::Labeled,
        base_branch: "main".to_owned(),
        paths: ChangedPaths::Known(vec!["a".to_owned()]),
    };
    assert_eq!(fires(&on("{pull_request: {types: [opened, labeled]}}"), &labeled), Ok(()));
    assert_eq!(
        why_not("pull_request", &labeled),
        "`labeled` fires only what names it in `types` of `pull_request`"
    );
}

#[test]
fn other_occasions_are_asked_for_by_name() {
    let due = Occasion::Schedule { cron: "0 4 * * *".to_owned() };
    assert_eq!(fires(&on("{schedule: [{cron: '0 4 * * *'}]}"), &due), Ok(()));
    assert_eq!(
        why_not("{schedule: [{cron: '0 5 * * *'}]}", &due),
        "the workflow has no schedule `0 4 * * *` under `on`"
    );
    assert_eq!(fires(&on("workflow_dispatch"), &Occasion::Dispatch), Ok(()));
    assert_eq!(
        why_not("push", &Occasion::Dispatch),
        "the workflow has no `workflow_dispatch` under `on`"
    );
    let parent = Occasion::ParentImage { image: "registry.example/f43/base:latest".to_owned() };
    assert_eq!(fires(&on("parent-image"), &parent), Ok(()));
    assert!(fires(&on("{parent-image: {images: '**/base:*'}}"), &parent).is_ok());
    assert!(fires(&on("{parent-image: {images: '**/other:*'}}"), &parent).is_err());
}

#[test]
fn paths_are_looked_up_only_when_they_matter() {
    assert!(needs_paths(&on("{push: {paths: x}}")));
    assert!(needs_paths(&on("{pull_request: {paths-ignore: x}}")));
    assert!(!needs_paths(&on("{push: {branches: x}}")));
}

#[test]
fn skip_markers_are_found_in_any_case() {
    assert_eq!(skip_marker("Fix é\n\n[Skip CI] please"), Some("[Skip CI]"));
    assert_eq!(skip_marker("[no ci] and [skip ci]"), Some("[no ci]"));
    assert_eq!(skip_marker("skip ci"), None);
    assert_eq!(skip_marker("Fix\n\n\nskip-checks: true\n"), Some("skip-checks: true"));
    assert_eq!(skip_marker("Fix\n\nskip-checks: false"), None);
    assert_eq!(skip_marker("skip-checks:true\nis old"), None);
}
