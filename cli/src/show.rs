//! `strata show`: the record of one build, for people and for other programs.

use clap::Args;
use forge_bridge::views::{Attachment, BuildChoice, BuildDetail, Promoted, times};
use workflows::evidence::{BuildEvidence, Package};
use workflows::job::{BuildSpec, JobSpec};
use workflows::record::{BuildRecord, ExportForm, image_labels};

use crate::args::Asking;
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::{Cell, Output};
use crate::runs::short_ref;

/// Which build to show, and in which form.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The build's NVR, or the number of its run.
    #[arg(value_name = "NVR|RUN")]
    build: String,
    /// The job, for a run with more than one layered build.
    #[arg(long)]
    job: Option<String>,
    /// List the packages of the image too.
    #[arg(long)]
    packages: bool,
    #[command(flatten)]
    form: FormArgs,
    #[command(flatten)]
    asking: Asking,
}

/// Other forms of a record.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct FormArgs {
    /// Print the metadata of a Koji content generator, version 0.
    #[arg(long, conflicts_with = "json")]
    koji: bool,
    /// Print the in-toto statement with SLSA provenance, as it is attached to the image.
    #[arg(long, conflicts_with = "json")]
    provenance: bool,
    /// Print the SPDX document, as it is attached to the image.
    #[arg(long, conflicts_with = "json")]
    sbom: bool,
}

impl FormArgs {
    fn chosen(&self) -> Option<ExportForm> {
        let forms = [
            (self.koji, ExportForm::Koji),
            (self.provenance, ExportForm::Provenance),
            (self.sbom, ExportForm::Sbom),
        ];
        forms.into_iter().find_map(|(chosen, form)| chosen.then_some(form))
    }
}

pub(crate) async fn run(args: ShowArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    let choice = BuildChoice { job: args.job };
    if let Some(form) = args.form.chosen() {
        let path = ["builds", &args.build, form.as_str()];
        return Ok(output.bytes(&bridge.get_document(&path, &choice).await?)?);
    }
    let detail: BuildDetail = bridge.get(&["builds", &args.build], &choice).await?;
    if output.is_json() {
        return Ok(output.json(&detail)?);
    }
    facts(&detail, &output)?;
    let record = &detail.record;
    if let Some(build) = record.build() {
        inputs(build, record.evidence.as_ref(), &output)?;
    }
    beside(&detail, &output)?;
    match &record.evidence {
        Some(evidence) if args.packages => packages(&evidence.packages, &output),
        _ => Ok(()),
    }
}

/// The first table: one line for each thing that a build has once.
fn facts(detail: &BuildDetail, output: &Output) -> Result<(), Failure> {
    let record = &detail.record;
    let source = &record.source;
    let fact = |name: &str, text: String| vec![Cell::plain(name), Cell::plain(text)];
    let mut rows = vec![vec![Cell::plain("state"), Cell::word(record.outcome.as_str())]];
    let fault = record.fault.map(|fault| format!(" ({fault})")).unwrap_or_default();
    let workflow = &record.workflow;
    rows.extend([
        fact("message", format!("{}{fault}", record.message)),
        fact("run", format!("{}, job {}, attempt {}", record.run, record.job_name, record.attempt)),
        fact("release", mode(record)),
        fact("source", format!("{} {}", source.repository, short_ref(source.ref_name.as_str()))),
        fact("commit", source.commit.to_string()),
        fact("workflow", format!("{} ({}) {}", workflow.path, workflow.origin, workflow.blob)),
        fact("cause", format!("{}, {}", record.cause, record.trust)),
        fact("times", lived(record)),
    ]);
    if let Some(runner) = &record.runner {
        rows.push(fact("runner", format!("{} {}", runner.name, runner.version)));
    }
    rows.extend(record.spec.as_ref().map(|spec| fact("limits", limits(spec))));
    if let Some(log) = &record.log {
        let size = times::size(log.bytes);
        rows.push(fact("log", format!("{} {size} sha256:{}", log.path, log.sha256)));
    }
    if let Some(image) = &record.image {
        rows.push(fact("image", image.reference.to_string()));
        rows.push(fact("digest", format!("{} {}", image.digest, times::size(image.size_bytes))));
    }
    if let Some(evidence) = &record.evidence {
        rows.push(fact("config", evidence.config.to_string()));
        rows.push(fact("content", content(evidence)));
        let tools = evidence.tools.iter().map(|tool| format!("{} {}", tool.name, tool.version));
        rows.push(fact("tools", tools.collect::<Vec<_>>().join(", ")));
    }
    let rows: Vec<_> = rows.into_iter().filter(|row| !row[1].is_empty()).collect();
    Ok(output.table(&["BUILD", &record.title()], &rows)?)
}

fn mode(record: &BuildRecord) -> String {
    let mode = record.mode().map(|mode| format!(", {mode} build")).unwrap_or_default();
    format!("{}{mode}", record.release)
}

/// When it ended, and how long it waited and worked.
fn lived(record: &BuildRecord) -> String {
    let at = &record.times;
    let began = at.started.or(at.leased);
    let waited = began.map(|began| format!(", waited {}", times::duration(began - at.planned)));
    let took = began.map(|began| format!(", took {}", times::duration(at.finished - began)));
    let finished = times::rfc3339(at.finished);
    format!("finished {finished}{}{}", waited.unwrap_or_default(), took.unwrap_or_default())
}

fn limits(spec: &JobSpec) -> String {
    let limits = &spec.limits;
    let network = match spec.network {
        workflows::job::Network::None => "no network",
        workflows::job::Network::Egress => "listed places",
        workflows::job::Network::Bridge => "network",
    };
    format!(
        "{} memory, {} m cpu, {} processes, {} s, {network}",
        times::size(limits.memory_bytes),
        limits.cpu_millis,
        limits.pids,
        limits.timeout_seconds
    )
}

fn content(evidence: &BuildEvidence) -> String {
    let unpacked = evidence.layers.iter().map(|layer| layer.unpacked_bytes);
    let unpacked = times::size(unpacked.fold(0, u64::saturating_add));
    format!(
        "{}/{}, {} layers, {unpacked} unpacked, {} packages",
        evidence.os,
        evidence.architecture,
        evidence.layers.len(),
        evidence.packages.len()
    )
}

/// The second table: what went in.
fn inputs(
    build: &BuildSpec,
    evidence: Option<&BuildEvidence>,
    output: &Output,
) -> Result<(), Failure> {
    let row = |what: &str, name: &str, value: String| {
        vec![Cell::plain(what), Cell::plain(name), Cell::plain(value)]
    };
    let pins = build.pins.iter();
    let mut rows: Vec<_> = pins
        .map(|pin| row("image", &pin.written, format!("{}", pin.reference.at(&pin.digest))))
        .collect();
    for file in evidence.into_iter().flat_map(|evidence| &evidence.sources) {
        let value =
            format!("{} {} ({})", file.algorithm, file.checksum, times::size(file.size_bytes));
        rows.push(row("source", &file.name, value));
    }
    for step in evidence.into_iter().flat_map(|evidence| &evidence.kept_steps) {
        let made = step.made.format("%Y-%m-%d %H:%M:%S UTC");
        rows.push(row(
            "kept",
            &format!("line {}", step.line),
            format!("{}, of {made}", step.instruction),
        ));
    }
    rows.extend(build.build_args.iter().map(|(name, value)| row("arg", name, value.clone())));
    let labels = image_labels(build, evidence).iter();
    rows.extend(labels.map(|(name, value)| row("label", name, value.clone())));
    if rows.is_empty() {
        return Ok(());
    }
    output.line("")?;
    Ok(output.table(&["WENT IN", "NAME", "VALUE"], &rows)?)
}

/// The third table: layers, tags, documents.
fn beside(detail: &BuildDetail, output: &Output) -> Result<(), Failure> {
    let row = |what: &str, name: &str, value: String| {
        vec![Cell::plain(what), Cell::plain(name), Cell::plain(value)]
    };
    let layers = detail.record.evidence.iter().flat_map(|evidence| &evidence.layers);
    let mut rows: Vec<_> = layers
        .map(|layer| row("layer", layer.digest.as_str(), times::size(layer.size_bytes)))
        .collect();
    rows.extend(
        detail.events.iter().filter(|event| event.kind != "attached").map(|event| {
            row(&event.kind.replace('_', " "), &event.subject, times::rfc3339(event.at))
        }),
    );
    let promotions = detail.promotions.iter();
    rows.extend(promotions.map(|one| row("promotion", one.state.as_str(), promoted(one))));
    let attachments = detail.attachments.iter();
    rows.extend(attachments.map(|one| row("document", one.form.as_str(), standing(one))));
    if rows.is_empty() {
        return Ok(());
    }
    output.line("")?;
    Ok(output.table(&["CAME OUT", "NAME", "WHAT"], &rows)?)
}

/// Who asked for a promotion, when and why.
fn promoted(one: &Promoted) -> String {
    let why = if one.reason.is_empty() { String::new() } else { format!(": {}", one.reason) };
    format!("{} by {}{why}", times::rfc3339(one.at), one.by)
}

fn standing(attachment: &Attachment) -> String {
    match (&attachment.digest, &attachment.refusal) {
        (Some(digest), _) => digest.clone(),
        (None, Some(refusal)) => format!("given up: {refusal}"),
        (None, None) if attachment.message.is_empty() => "not attached yet".to_owned(),
        (None, None) => format!("not attached yet: {}", attachment.message),
    }
}

fn packages(packages: &[Package], output: &Output) -> Result<(), Failure> {
    let row = |package: &Package| {
        let epoch = package.epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
        let dash = if package.release.is_empty() { "" } else { "-" };
        vec![
            Cell::plain(&package.name),
            Cell::plain(format!("{epoch}{}{dash}{}", package.version, package.release)),
            Cell::plain(&package.architecture),
            Cell::plain(package.license.as_deref().unwrap_or_default()),
        ]
    };
    let rows: Vec<_> = packages.iter().map(row).collect();
    output.line("")?;
    Ok(output.table(&["PACKAGE", "VERSION", "ARCH", "LICENCE"], &rows)?)
}
