//! All layers of a build as one (`--squash`).

use super::Progress;
use crate::error::BuildError;
use crate::image::Step;
use crate::layer::{LayerTar, PackedLayer, pack, squashed};
use crate::stage::{Built, Layer, Site};

/// What the image's history says of the one layer.
const STEP: &str = "the layers of this build as one";

/// Puts one layer in the place of those that the build made, and sends it where the image goes.
pub(super) fn squash(
    site: &mut Site<'_>,
    built: &mut Built,
    show: &mut dyn FnMut(Progress<'_>),
) -> Result<(), BuildError> {
    let first = built.layers.iter().position(|layer| layer.origin.is_of_build());
    let Some(first) = first else { return Ok(()) };
    let made = built.layers.split_off(first);
    let paths = site.unpacked(&made)?;
    let target = site.pushing.map(|pushing| (&pushing.pusher, site.handle));
    let latest = site.request.latest_time;
    let compression = site.request.compression;
    let fill = |tar: &mut LayerTar| squashed(&paths, latest, site.cancel, tar);
    let (packed, stream) = pack(site.store, target, compression, site.cancel, fill)?;
    let PackedLayer { digest, size, plain_size, .. } = &packed;
    show(Progress::Layer { digest, size: *size, plain_size: *plain_size });
    if let Some(pushing) = site.pushing {
        pushing.layer(site.handle, site.store, digest, stream);
    }
    built.layers.push(Layer::made(packed, compression));
    for step in &mut built.history {
        step.has_layer = false;
    }
    built.history.push(Step { text: STEP.to_owned(), has_layer: true });
    Ok(())
}
