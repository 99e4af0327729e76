//! From a node of the tree to what it says.

use super::arguments::plain_words;
use super::duration;
use super::error::{DockerfileError, shown};
use super::flags::FlagSet;
use super::heredoc;
use super::instruction::{
    Add, CommandLine, Copy, HealthCheck, Heredoc, Instruction, InstructionKind, Run, Transfer,
};
use super::mount;
use super::tree::Node;

/// The names that an instruction can have, for the person who misspelt one.
const NAMES: &str = "ADD, ARG, CMD, COPY, ENTRYPOINT, ENV, EXPOSE, FROM, HEALTHCHECK, LABEL, \
                     MAINTAINER, ONBUILD, RUN, SHELL, STOPSIGNAL, USER, VOLUME, WORKDIR";

/// Reads any instruction but FROM.
pub(crate) fn read(node: &Node) -> Result<Instruction, DockerfileError> {
    let kind = kind_of(node).map_err(|message| {
        let name = node.name.to_ascii_uppercase();
        DockerfileError::at(node.number, format!("{}: {message}", shown(&name)))
    })?;
    Ok(Instruction {
        line: node.number,
        end_line: node.end_number,
        original: node.original.text.trim().to_owned(),
        kind,
    })
}

fn kind_of(node: &Node) -> Result<InstructionKind, String> {
    let mut flags = FlagSet::new(&node.flags);
    let kind = match node.name.as_str() {
        "run" => InstructionKind::Run(run(node, &mut flags)?),
        "copy" => InstructionKind::Copy(copy(node, &mut flags)?),
        "add" => InstructionKind::Add(add(node, &mut flags)?),
        "env" => InstructionKind::Env(pairs(node)?),
        "label" => InstructionKind::Label(pairs(node)?),
        "arg" => InstructionKind::Arg(arguments(node)?),
        "workdir" => InstructionKind::Workdir(one_word(node)?),
        "user" => InstructionKind::User(one_word(node)?),
        "stopsignal" => InstructionKind::StopSignal(one_word(node)?),
        "maintainer" => InstructionKind::Maintainer(one_word(node)?),
        "cmd" => InstructionKind::Cmd(command_line(node)),
        "entrypoint" => InstructionKind::Entrypoint(command_line(node)),
        "expose" => InstructionKind::Expose(some_words(node)?),
        "volume" => InstructionKind::Volume(volumes(node)?),
        "shell" => InstructionKind::Shell(shell(node)?),
        "healthcheck" => InstructionKind::HealthCheck(health_check(node, &mut flags)?),
        "onbuild" => InstructionKind::OnBuild(trigger(node)?),
        _ => return Err(format!("unknown instruction; known are {NAMES}")),
    };
    flags.finish()?;
    Ok(kind)
}

fn run(node: &Node, flags: &mut FlagSet<'_>) -> Result<Run, String> {
    let mut mounts = Vec::new();
    for (_, value) in flags.every("mount")? {
        mounts.push(mount::parse(value)?.0);
    }
    let network = flags.text("network")?;
    let security = flags.text("security")?;
    one_of("network", network.as_deref(), &["default", "none", "host"])?;
    one_of("security", security.as_deref(), &["sandbox", "insecure"])?;
    let form = command_line(node);
    if matches!(&form, CommandLine::Shell(text) if text.is_empty()) {
        return Err("a command is missing".to_owned());
    }
    Ok(Run { mounts, network, security, form, heredocs: node.heredocs.clone() })
}

fn one_of(flag: &str, value: Option<&str>, known: &[&str]) -> Result<(), String> {
    match value {
        Some(value) if !known.contains(&value) => {
            Err(format!("--{flag} is one of {}, not `{}`", known.join(", "), shown(value)))
        }
        _ => Ok(()),
    }
}

fn copy(node: &Node, flags: &mut FlagSet<'_>) -> Result<Copy, String> {
    let from = flags.text("from")?;
    if let Some(from) = from.as_deref().filter(|from| from.contains('$')) {
        return Err(format!(
            "--from={}: variables are not expanded here; name the image in a stage of its own \
             (`FROM image AS name`) and write --from=name",
            shown(from)
        ));
    }
    if from.as_deref() == Some("") {
        return Err("--from= needs a stage or an image".to_owned());
    }
    let parents = flags.switch("parents")?;
    Ok(Copy { from, parents, transfer: transfer(node, flags)? })
}

fn add(node: &Node, flags: &mut FlagSet<'_>) -> Result<Add, String> {
    let checksum = flags.text("checksum")?;
    let keep_git_dir = flags.switch("keep-git-dir")?;
    let is_given = node.flags.iter().any(|flag| flag.split().0 == "unpack");
    let unpack = flags.switch("unpack")?;
    let unpack = is_given.then_some(unpack);
    Ok(Add { checksum, keep_git_dir, unpack, transfer: transfer(node, flags)? })
}

fn transfer(node: &Node, flags: &mut FlagSet<'_>) -> Result<Transfer, String> {
    let [words @ .., dest] = node.words.as_slice() else {
        return Err("a source and a destination are needed".to_owned());
    };
    if words.is_empty() {
        return Err("a source and a destination are needed".to_owned());
    }
    let mut transfer = Transfer {
        dest: dest.clone(),
        chown: flags.text("chown")?,
        chmod: flags.text("chmod")?,
        link: flags.switch("link")?,
        exclude: flags.every("exclude")?.into_iter().map(|(_, value)| value.to_owned()).collect(),
        ..Transfer::default()
    };
    if !node.json && heredoc::from_word(dest)?.is_some() {
        return Err("a here-document cannot be the destination".to_owned());
    }
    for word in words {
        match heredoc_of(node, word)? {
            Some(heredoc) => transfer.heredocs.push(heredoc),
            None => transfer.sources.push(word.clone()),
        }
    }
    Ok(transfer)
}

fn heredoc_of(node: &Node, word: &str) -> Result<Option<Heredoc>, String> {
    if node.json {
        return Ok(None);
    }
    let opened = heredoc::from_word(word)?;
    Ok(opened.and_then(|opened| {
        // Two of the same name: BuildKit takes the later one for both.
        node.heredocs.iter().rfind(|heredoc| heredoc.name == opened.name).cloned()
    }))
}

fn pairs(node: &Node) -> Result<Vec<(String, String)>, String> {
    let pairs: Vec<(String, String)> =
        node.words.chunks_exact(3).map(|word| (word[0].clone(), word[1].clone())).collect();
    if pairs.is_empty() {
        return Err("write at least one name=value".to_owned());
    }
    if pairs.iter().any(|(name, _)| name.is_empty()) {
        return Err("a name before `=` is missing".to_owned());
    }
    Ok(pairs)
}

fn arguments(node: &Node) -> Result<Vec<(String, Option<String>)>, String> {
    let arguments: Vec<_> = some_words(node)?
        .iter()
        .map(|word| match word.split_once('=') {
            Some((name, default)) => (name.to_owned(), Some(default.to_owned())),
            None => (word.clone(), None),
        })
        .collect();
    if arguments.iter().any(|(name, _)| name.is_empty()) {
        return Err("a name before `=` is missing".to_owned());
    }
    Ok(arguments)
}

fn one_word(node: &Node) -> Result<String, String> {
    node.words.first().cloned().ok_or_else(|| "its argument is missing".to_owned())
}

fn some_words(node: &Node) -> Result<Vec<String>, String> {
    if node.words.is_empty() {
        return Err("its arguments are missing".to_owned());
    }
    Ok(node.words.clone())
}

fn volumes(node: &Node) -> Result<Vec<String>, String> {
    let volumes = some_words(node)?;
    if volumes.iter().any(|volume| volume.trim().is_empty()) {
        return Err("a volume's path is empty".to_owned());
    }
    Ok(volumes)
}

fn shell(node: &Node) -> Result<Vec<String>, String> {
    if node.json && !node.words.is_empty() {
        return Ok(node.words.clone());
    }
    Err("the shell is a JSON list, such as [\"/bin/bash\", \"-c\"]".to_owned())
}

fn command_line(node: &Node) -> CommandLine {
    if node.json {
        CommandLine::Exec(node.words.clone())
    } else {
        CommandLine::Shell(node.words.first().cloned().unwrap_or_default())
    }
}

fn health_check(node: &Node, flags: &mut FlagSet<'_>) -> Result<HealthCheck, String> {
    let (kind, command) = node.words.split_first().ok_or("write NONE or CMD and a command")?;
    if kind.eq_ignore_ascii_case("NONE") {
        return if command.is_empty() {
            Ok(HealthCheck { test: vec!["NONE".to_owned()], ..HealthCheck::default() })
        } else {
            Err("NONE takes no arguments".to_owned())
        };
    }
    if !kind.eq_ignore_ascii_case("CMD") {
        return Err(format!("`{}` is not known here; write NONE or CMD", shown(kind)));
    }
    if command.is_empty() {
        return Err("a command is missing behind CMD".to_owned());
    }
    let how = if node.json { "CMD" } else { "CMD-SHELL" };
    let mut time = |name| flags.one(name)?.map_or(Ok(std::time::Duration::ZERO), duration::parse);
    Ok(HealthCheck {
        interval: time("interval")?,
        timeout: time("timeout")?,
        start_period: time("start-period")?,
        start_interval: time("start-interval")?,
        retries: match flags.one("retries")? {
            None => 0,
            Some(text) => text
                .parse::<i32>()
                .ok()
                .and_then(|retries| u32::try_from(retries).ok())
                .ok_or_else(|| format!("--retries is a number, not `{}`", shown(text)))?,
        },
        test: std::iter::once(how.to_owned()).chain(command.iter().cloned()).collect(),
    })
}

/// The text that an image keeps for those that stand on it, here-documents included.
fn trigger(node: &Node) -> Result<String, String> {
    let child = node.child.as_deref().ok_or("an instruction is missing")?;
    if ["from", "maintainer"].contains(&child.name.as_str()) {
        return Err(format!("{} cannot be kept for later", child.name.to_ascii_uppercase()));
    }
    kind_of(child)?;
    let mut text = node.rest.clone();
    for heredoc in &node.heredocs {
        text.push('\n');
        text.push_str(&heredoc.body);
        text.push_str(&heredoc.name);
    }
    Ok(text)
}

/// The words of a FROM line: image, platform and the stage's own name in lower case.
pub(crate) fn from_line(
    node: &Node,
) -> Result<(String, Option<String>, Option<String>), DockerfileError> {
    let failed = |message: String| DockerfileError::at(node.number, format!("FROM: {message}"));
    let mut flags = FlagSet::new(&node.flags);
    let platform = flags.text("platform").map_err(failed)?;
    flags.finish().map_err(failed)?;
    let words = plain_words(&node.rest);
    let (image, name) = match words.as_slice() {
        [image] => (image.clone(), None),
        [image, keyword, name] if keyword.eq_ignore_ascii_case("as") => {
            (image.clone(), Some(name.to_lowercase()))
        }
        _ => {
            return Err(failed("expected `FROM image` or `FROM image AS name`".to_owned()));
        }
    };
    match &name {
        Some(name) if !is_stage_name(name) => Err(failed(format!(
            "`{}` cannot name a stage: begin with a letter, then letters, digits, `-`, `_`, `.`",
            shown(name)
        ))),
        _ => Ok((image, platform, name)),
    }
}

fn is_stage_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || [b'-', b'_', b'.'].contains(&b)
        })
}
