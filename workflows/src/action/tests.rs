use super::*;

fn read_composite(steps: &str) -> Result<Action, String> {
    let text = format!(
        "name: x\ninputs:\n  who: {{default: world}}\n  loud: {{required: true}}\n\
         outputs:\n  said: {{value: '${{{{ steps.say.outputs.text }}}}'}}\n\
         runs:\n  using: composite\n  steps:\n{steps}"
    );
    read("action.yml", &text).map_err(|found| {
        let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
        shown.join("\n")
    })
}

fn with(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_composite_action_leaves_its_expressions_to_the_runner() {
    let action = read_composite(
        "    - id: say\n      shell: sh\n      run: echo ${{ inputs.who }}\n\
         \x20   - uses: ./other\n      if: always()\n      with: {a: '${{ steps.say.outcome }}'}\n\
         \x20   - uses: owner/name/deep@v1\n",
    )
    .unwrap();
    let ActionKind::Composite(steps) = &action.kind else { panic!("{action:?}") };
    assert_eq!(steps[0].later.len(), 1);
    assert!(steps[1].condition.is_some());
    let uses: Vec<String> = action.uses().map(ToString::to_string).collect();
    assert_eq!(uses, ["./other", "owner/name/deep@v1"]);
    assert_eq!(action.outputs["said"].text, "${{ steps.say.outputs.text }}");
}

#[test]
fn what_is_wrong_with_an_action_is_said_with_its_place() {
    for (steps, expected) in [
        ("    - run: echo\n", "needs a `shell`"),
        ("    - {run: 'echo ${{ secrets.X }}', shell: sh}\n", "`secrets` is not known yet"),
        ("    - {run: 'echo ${{ needs.x }}', shell: sh}\n", "`needs` is not known yet"),
        ("    - {run: 'echo ${{ input.x }}', shell: sh}\n", "did you mean `inputs`?"),
        ("    - {uses: strata/layered-build}\n", "cannot stand in an action"),
        ("    - {run: x, shell: fish}\n", "sh, bash or python"),
        ("    - {runs: x, shell: sh}\n", "did you mean `run`?"),
    ] {
        let said = read_composite(steps).unwrap_err();
        assert!(said.contains(expected), "{steps}: {said}");
        assert!(said.starts_with("action.yml:"), "{said}");
    }
    for (text, expected) in [
        ("[]", "an action file must be a mapping"),
        ("name: x\n", "needs `runs`"),
        ("runs: {using: compsite, steps: []}", "did you mean `composite`?"),
        ("runs: {using: node20}", "needs `main`"),
        ("runs: {using: node20, main: ../x.js}", "leads out"),
        ("runs: {using: node20, mian: x.js}", "did you mean `main`?"),
        ("runs: {using: docker}", "needs `image`"),
        ("runs: {using: docker, image: ../Dockerfile}", "leads out"),
        ("runs: {using: docker, image: /etc/Dockerfile}", "leads out"),
        ("outputs: {x: {}}\nruns: {using: composite, steps: []}", "needs a `value`"),
        ("inputs: {a: , A: }\nruns: {using: node20, main: x.js}", "in case alone"),
    ] {
        let found = read("action.yml", text).unwrap_err();
        assert!(found.iter().any(|one| one.to_string().contains(expected)), "{text}: {found:?}");
    }
}

#[test]
fn a_slip_that_changes_nothing_at_once_is_a_warning() {
    let text = "inputs:\n  who: {requird: true}\nruns:\n  using: composite\n  steps:\n    \
                - {run: 'echo ${{ inputs.woh }} ${{ github.head_ref }}', shell: sh}\n";
    let warnings: Vec<String> = parse_action("action.yml", text)
        .unwrap()
        .warnings
        .iter()
        .map(|one| one.to_string())
        .collect();
    let all = warnings.join("\n");
    for expected in ["did you mean `required`?", "did you mean `inputs.who`?", "stranger's text"] {
        assert!(all.contains(expected), "{expected}: {all}");
    }
}

#[test]
fn inputs_come_from_the_step_or_from_their_defaults() {
    let action = read_composite("    - {run: x, shell: sh}\n").unwrap();
    let evaluate = |template: &Template, _: &str| Ok(template.text.clone());
    let given = action.given(&with(&[("WHO", "me"), ("lud", "x")]), evaluate).unwrap();
    assert_eq!(given.values, with(&[("who", "me"), ("loud", ""), ("lud", "x")]));
    assert_eq!(
        given.remarks,
        [
            "input `loud` is required and not given",
            "the action has no input `lud`; did you mean `loud`?"
        ]
    );
    let given = action.given(&with(&[("loud", "yes")]), evaluate).unwrap();
    assert_eq!(given.values, with(&[("who", "world"), ("loud", "yes")]));
    assert!(given.remarks.is_empty());
    assert_eq!(input_variable("my input-x"), "INPUT_MY_INPUT-X");
}

#[test]
fn docker_and_node_actions_have_phases() {
    let text = "runs:\n  using: docker\n  image: docker://r.example/x:1\n  args: ['${{ inputs.a }}']\n\
                \x20 env: {B: c}\n  post-entrypoint: /post\n  post-if: failure()\n";
    let action = read("action.yml", text).unwrap();
    let ActionKind::Docker(docker) = &action.kind else { panic!("{action:?}") };
    assert_eq!(docker.image, ActionImage::Named("r.example/x:1".to_owned()));
    assert_eq!((docker.args.len(), docker.env.len()), (1, 1));
    let around = action.around().unwrap();
    assert_eq!(around.post.as_deref(), Some("/post"));
    assert!(around.post_if.is_some() && around.pre_if.is_none());
    let node = read("a.yml", "runs: {using: Node20, main: dist/i.js, pre: p.js}").unwrap();
    let ActionKind::Node(node) = &node.kind else { panic!("{node:?}") };
    assert_eq!((node.using.as_str(), node.main.as_str()), ("node20", "dist/i.js"));
}

#[test]
fn arguments_are_divided_as_a_shell_would() {
    for (text, expected) in [
        ("", vec![]),
        (" a  b\n c ", vec!["a", "b", "c"]),
        ("'a b' \"c d\"e", vec!["a b", "c de"]),
        (r#"a\ b "x\"y" '\' ''"#, vec!["a b", "x\"y", "\\", ""]),
        ("$HOME `id`", vec!["$HOME", "`id`"]),
    ] {
        assert_eq!(words(text).unwrap(), expected, "{text}");
    }
    assert!(words("it's").unwrap_err().contains("no end"));
}
