//! Jobs that name no image, and the operator's images for their labels.

use super::*;

/// A push to a branch whose release has these images.
fn facts_with(images: &[(&str, &str)]) -> Facts {
    let commit = CommitId::parse(&"a".repeat(40)).unwrap();
    let images: BTreeMap<&str, &str> = images.iter().copied().collect();
    let release = serde_json::json!({
        "name": "f43", "branches": ["f43"], "registry": "r", "namespace": "n", "job_images": images
    });
    let push = Event::Push(Push {
        repository: RepositoryName::parse("containers/web").unwrap(),
        ref_name: RefName::branch("f43").unwrap(),
        before: None,
        after: commit.clone(),
        forced: false,
        actor: None,
    });
    Facts::new(&push, &commit, None, &serde_json::from_value(release).unwrap())
}

/// The jobs, as name, image and the label that it is for.
fn images(text: &str, facts: &Facts) -> Result<Vec<(String, String)>, Vec<String>> {
    let workflow = parse("ci.yaml", text).unwrap();
    let plan = drafts("ci.yaml", &workflow, facts)
        .map_err(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let image = |job: JobDraft| {
        let (image, label) = (job.image.unwrap_or_default(), job.image_label.unwrap_or_default());
        (job.name, format!("{image} {label}"))
    };
    Ok(plan.jobs.into_iter().map(image).collect())
}

#[test]
fn a_label_gives_a_job_without_container_its_image() {
    let facts = facts_with(&[("ubuntu-latest", "ci:1"), ("ubuntu-22.04", "old:1")]);
    let text = "on: push\njobs:\n  \
        script: {runs-on: [self-hosted, ubuntu-latest], steps: [{run: make}]}\n  \
        action: {runs-on: ubuntu-latest, steps: [{uses: actions/setup-go@v5}]}\n  \
        own: {runs-on: ubuntu-latest, container: own:1, steps: [{run: make}]}\n  \
        build: {runs-on: ubuntu-latest, steps: [{uses: actions/checkout@v4}, {uses: strata/layered-build}]}\n  \
        image: {runs-on: ubuntu-latest, steps: [{uses: 'docker://alpine'}]}\n  \
        each:\n    strategy: {matrix: {os: [ubuntu-latest, ubuntu-22.04]}}\n    \
        runs-on: ${{ matrix.os }}\n    steps: [{run: make}]\n";
    let expected = [
        ("script", "ci:1 ubuntu-latest"),
        ("action", "ci:1 ubuntu-latest"),
        ("own", "own:1 "),
        ("build", " "),
        ("image", " "),
        ("each (ubuntu-latest)", "ci:1 ubuntu-latest"),
        ("each (ubuntu-22.04)", "old:1 ubuntu-22.04"),
    ];
    let expected = expected.map(|(name, image)| (name.to_owned(), image.to_owned()));
    assert_eq!(images(text, &facts).unwrap(), expected);
}

#[test]
fn a_label_that_is_known_later_is_looked_at_then() {
    let facts = facts_with(&[("ubuntu-latest", "ci:1")]);
    let text = "on: push\njobs:\n  \
        find: {runs-on: ubuntu-latest, steps: [{run: make}], outputs: {os: x}}\n  \
        use: {needs: find, runs-on: '${{ needs.find.outputs.os }}', steps: [{run: make}]}\n";
    let workflow = parse("ci.yaml", text).unwrap();
    let plan = drafts("ci.yaml", &workflow, &facts).unwrap();
    assert!(plan.jobs[1].is_provisional && plan.jobs[1].image.is_none(), "{plan:?}");
    let again = |os: &str| {
        let needs = serde_json::json!({"find": {"result": "success", "outputs": {"os": os}}});
        let needs = needs.as_object().unwrap();
        drafts_of_key("ci.yaml", &workflow, &facts, "use", needs)
    };
    assert_eq!(again("ubuntu-latest").unwrap()[0].image.as_deref(), Some("ci:1"));
    let refused = again("windows").unwrap_err();
    assert!(refused[0].to_string().contains("there is no image for `windows`"), "{refused:?}");
}

#[test]
fn a_script_without_a_shell_is_read_as_elsewhere() {
    let facts = facts_with(&[("x", "ci:1")]);
    let shell = |rest: &str| {
        let workflow = parse("ci.yaml", &job(rest)).unwrap();
        let plan = drafts("ci.yaml", &workflow, &facts).unwrap();
        match &plan.jobs[0].steps[0].action {
            DraftAction::Run { shell, .. } => *shell,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(shell("steps: [{run: x}]"), Shell::BashOrSh);
    assert_eq!(shell("steps: [{run: x, shell: sh}]"), Shell::Sh);
    assert_eq!(shell("defaults: {run: {shell: bash}}\nsteps: [{run: x}]"), Shell::Bash);
    assert_eq!(shell("container: y\nsteps: [{run: x}]"), Shell::Sh);
}

#[test]
fn a_file_for_other_services_has_no_fault_where_nobody_knows_the_operators_images() {
    let workflow = parse("ci.yaml", &job("steps: [{uses: actions/checkout@v4}, {run: make}]"));
    assert_eq!(check("ci.yaml", &workflow.unwrap()), []);
}
