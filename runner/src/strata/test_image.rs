//! The image that was just built, in the engine that runs its test.

use bollard::query_parameters::ImportImageOptionsBuilder;
use builder::Output;
use futures_util::StreamExt as _;
use tokio_util::io::ReaderStream;
use workflows::image::{ParentPin, Reference};

use super::{Site, stop_of};
use crate::delivery::Delivered;
use crate::engine::{pinned_name, words_of};
use crate::execute::Execution;
use crate::stop::Stop;

/// The archive's name in the attempt's directory of layers.
const ARCHIVE: &str = "image.tar";

/// Makes sure that the engine has the image: by its digest from the registry where it was pushed,
/// else from the builder's store. The engine built it itself where Docker builds.
pub(crate) async fn bring_to_engine(
    execution: &Execution<'_>,
    image: &Delivered,
) -> Result<(), Stop> {
    let (Some(strata), Some(built)) = (execution.strata, &image.built) else { return Ok(()) };
    if execution.engine.inspect_image(&image.id).await.is_ok() {
        return Ok(());
    }
    if let Some(pushed) = &image.pushed {
        let pin = ParentPin {
            written: image.reference.clone(),
            reference: Reference { tag: None, ..pushed.image.reference.clone() },
            digest: pushed.image.digest.clone(),
            kind: None,
            form: None,
        };
        execution.workspace.note_image(&pinned_name(&pin))?;
        return execution.registries.pull(execution, &pin, None).await;
    }
    execution.workspace.note_image(&image.reference)?;
    let site = strata.site(execution)?;
    load(execution, &site, built, &image.reference).await
}

async fn load(
    execution: &Execution<'_>,
    site: &Site,
    built: &builder::BuiltImage,
    reference: &str,
) -> Result<(), Stop> {
    let path = execution.workspace.layers().await?.join(ARCHIVE);
    let tag = Reference::parse(reference, "").map_err(Stop::bug)?;
    let output = Output::DockerArchive(path.clone());
    built
        .write(&output, std::slice::from_ref(&tag), &site.store, &site.registries)
        .await
        .map_err(stop_of)?;
    let failed = |why: String| Stop::sandbox(format!("cannot load {reference}: {why}"));
    let file = tokio::fs::File::open(&path).await.map_err(|error| failed(error.to_string()))?;
    let options = ImportImageOptionsBuilder::default().quiet(true).build();
    let body = bollard::body_try_stream(ReaderStream::new(file));
    let mut answers = execution.engine.import_image(options, body, None).boxed();
    while let Some(answer) = answers.next().await {
        let answer = answer.map_err(|error| failed(words_of(&error)))?;
        if let Some(error) = answer.error_detail {
            return Err(failed(error.message.unwrap_or_default()));
        }
    }
    std::fs::remove_file(&path).map_err(|error| failed(error.to_string()))
}
