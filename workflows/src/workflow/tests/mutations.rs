//! What a fuzzer does, to a bound and with any compiler: files and expressions that somebody might
//! have broken on purpose make nothing panic, hang or grow.
//!
//! The targets in `fuzz/` go on for as long as they are let; this runs with every test.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::expression::{Context, Functions, Status, Value, evaluate, interpolate, uses};
use crate::facts::Facts;
use crate::{action, plan, summary};

use super::parse;

/// Broken files that are read.
const FILES: usize = 1_500;
/// Broken expressions that are evaluated.
const EXPRESSIONS: usize = 20_000;
/// Longest time for one of them on a busy machine without optimisation.
const LONGEST: Duration = Duration::from_secs(10);
/// What stands for something in a workflow or an expression.
const WORDS: [&str; 40] = [
    "${{",
    "}}",
    "'",
    "''",
    "(",
    ")",
    "[",
    "]",
    ".*",
    "[*]",
    "&&",
    "||",
    "!",
    "==",
    "<=",
    ", ",
    "github",
    "matrix.x",
    "needs.a.outputs.b",
    "fromJSON('[1,{\"a\":2}]')",
    "toJSON(github)",
    "format('{0}{1}', 1, 'x')",
    "contains(github, 'x')",
    "join(github.*, ',')",
    "0x7f",
    "1e308",
    "-0",
    "null",
    "NaN",
    "\n",
    "\n  ",
    ": ",
    "- ",
    "&a ",
    "*a ",
    "<<: *a\n",
    "|\n",
    "\t",
    "\u{202e}",
    "\0",
];
const WORKFLOW: &str = "on: {push: {branches: [a, '!b**']}}\nenv: {A: '${{ github.ref }}'}\njobs:\n  \
    a:\n    runs-on: x\n    strategy: {matrix: {x: [1, 2], include: [{x: 3, y: 4}]}}\n    \
    outputs: {o: '${{ steps.s.outputs.v }}'}\n    steps:\n      - id: s\n        run: |\n          \
    echo ${{ matrix.x }}\n        if: always() && matrix.x != 1\n      - uses: ./a@v1\n  b:\n    \
    needs: [a]\n    runs-on: x\n    steps: [{run: 'echo ${{ needs.a.outputs.o }}'}]\n";
const ACTION: &str = "name: x\ninputs: {a: {default: '${{ github.ref }}'}}\noutputs: {o: {value: \
    '${{ steps.s.outputs.v }}'}}\nruns:\n  using: composite\n  steps:\n    - {id: s, run: 'x ${{ \
    inputs.a }}', shell: sh, if: 'failure()'}\n    - uses: o/n/p@v1\n";
const EXPRESSION: &str =
    "(github.a[0] == 'x' && contains(fromJSON('[1]'), 1)) || github.c.d.* != 2";

/// The same numbers in every run, so that what fails can be looked at.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (bound.max(1) as u64)).unwrap()
    }

    /// A place between two characters.
    fn place(&mut self, text: &str) -> usize {
        let mut place = self.below(text.len() + 1);
        while !text.is_char_boundary(place) {
            place -= 1;
        }
        place
    }

    /// The text with a few things taken out, put in, repeated or taken from another one.
    fn broken(&mut self, text: &str, other: &str) -> String {
        let mut text = text.to_owned();
        for _ in 0..=self.below(6) {
            let (a, b) = (self.place(&text), self.place(&text));
            let (from, to) = (a.min(b), a.max(b));
            match self.below(5) {
                0 => {
                    let ends = (from..=to).skip(20).find(|end| text.is_char_boundary(*end));
                    text.replace_range(from..ends.unwrap_or(to), "");
                }
                1 => text.insert_str(from, WORDS[self.below(WORDS.len())]),
                2 => {
                    let repeated = text[from..to].repeat(1 + self.below(3));
                    text.insert_str(to, &repeated);
                }
                3 => {
                    let (c, d) = (self.place(other), self.place(other));
                    text.insert_str(from, &other[c.min(d)..c.max(d)]);
                }
                _ => text.truncate(to),
            }
            const MAX_BYTES: usize = 100_000;
            if text.len() > MAX_BYTES {
                let place = self.place(&text[..MAX_BYTES]);
                text.truncate(place);
            }
        }
        text
    }
}

/// Whole files to begin with: ours, and those of the shared test data where there are some.
fn seeds() -> Vec<String> {
    let mut seeds = vec![WORKFLOW.to_owned(), ACTION.to_owned()];
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/workflows");
    let folders = [super::corpus::shared("accept"), super::corpus::shared("reject")];
    for folder in folders.into_iter().flatten().chain([examples]) {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        seeds.extend(files.filter_map(|file| std::fs::read_to_string(file.path()).ok()));
    }
    seeds.sort();
    seeds
}

fn in_time(text: &str, work: impl FnOnce()) {
    let begun = Instant::now();
    work();
    assert!(begun.elapsed() < LONGEST, "{text} took {:?}", begun.elapsed());
}

#[test]
fn broken_files_do_no_harm() {
    let (seeds, mut numbers) = (seeds(), Numbers(0x5eed));
    let facts = Facts::example();
    let mut read = 0;
    for _ in 0..FILES {
        let seed = numbers.below(seeds.len());
        let other = numbers.below(seeds.len());
        let text = numbers.broken(&seeds[seed], &seeds[other]);
        in_time(&text, || {
            match parse("x.yml", &text) {
                Ok(workflow) => {
                    read += 1;
                    let _ = plan::outline("x.yml", &workflow, &facts);
                    let _ = plan::check("x.yml", &workflow);
                }
                Err(found) => assert!(!found.is_empty(), "{text}"),
            }
            let _ = action::read("action.yml", &text);
            assert!(summary::html(&text).len() < 100 * (text.len() + 100), "{text}");
        });
    }
    println!("{FILES} broken files, {read} of them still workflows");
    assert!(read > 0);
}

#[test]
fn broken_expressions_do_no_harm() {
    let mut numbers = Numbers(0xfeed);
    let json = r#"{"a": [1, {"b": "é"}, null, true], "c": {"d": [[], {}]}, "e": 1e300}"#;
    let github: Value = serde_json::from_str(json).unwrap();
    let context = Context::from_iter([("github".to_owned(), github)]);
    let functions = Functions { status: Some(Status::Failure), ..Functions::default() };
    let mut given = 0;
    for _ in 0..EXPRESSIONS {
        let text = numbers.broken(EXPRESSION, WORKFLOW);
        in_time(&text, || {
            let _ = uses(&text);
            let _ = interpolate(&text, &context, &functions);
            match evaluate(&text, &context, &functions) {
                Ok(_) => given += 1,
                Err(error) => assert!(error.offset <= text.chars().count(), "{text}"),
            }
        });
    }
    println!("{EXPRESSIONS} broken expressions, {given} of them still give something");
    assert!(given > 0);
}
