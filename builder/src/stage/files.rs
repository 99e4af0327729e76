//! COPY, ADD and WORKDIR: layers of files, without a command.

use std::sync::Arc;

use workflows::dockerfile::{Add, Copy, Instruction, Transfer};

use super::keys;
use super::remote;
use super::steps::{Around, Built, Fault, Site};
use super::transfer::{Copying, plan_workdir};
use crate::cache::{Key, Kind};
use crate::copy::{Planned, Source, SourceKind};
use crate::image::Step;
use crate::layer::MAX_LAYER_BYTES;

/// Which of the two instructions copies.
enum From<'a> {
    Copy {
        /// What `--from` names; the context when `None`.
        source: Option<&'a Source>,
        parents: bool,
    },
    Add(&'a Add),
}

impl Built {
    pub(super) fn copy(
        &mut self,
        site: &mut Site<'_>,
        copy: &Copy,
        at: &Instruction,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        let wants_key = site.cache.wants_key(Kind::Copy);
        let mut known: Vec<Key> = Vec::new();
        let source = match &copy.from {
            None => None,
            Some(name) => {
                let layers = (around.from)(site, name)?;
                if wants_key {
                    // The same layers hold the same files: nobody need look into them.
                    let key = keys::of_copy(self, site, copy).of_layers(&layers);
                    if self.take_kept(site, &key, Kind::Copy, at, around).is_some() {
                        return Ok(());
                    }
                    known.push(key);
                }
                let root = Arc::new(site.tree(&layers)?);
                Some(Source { root, kind: SourceKind::Image })
            }
        };
        if wants_key {
            let taken_from = source.as_ref().unwrap_or(site.context);
            let key = keys::of_copy(self, site, copy);
            let key = key.of_files(taken_from, &copy.transfer, copy.parents, site)?;
            if let Some(entry) = self.take_kept(site, &key, Kind::Copy, at, around) {
                known.into_iter().for_each(|key| site.cache.keep_entry(key, entry.clone()));
                return Ok(());
            }
            known.push(key);
        }
        let from = From::Copy { source: source.as_ref(), parents: copy.parents };
        let planned = self.plan(site, &copy.transfer, from)?;
        let made = self.add_planned(site, planned, &at.original, around)?;
        known.into_iter().for_each(|key| site.cache.keep(key, made.as_ref()));
        Ok(())
    }

    pub(super) fn add(
        &mut self,
        site: &mut Site<'_>,
        add: &Add,
        at: &Instruction,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        let key = match site.cache.wants_key(Kind::Copy) {
            true => keys::of_add(self, site, add)?,
            false => None,
        };
        if let Some(key) = &key
            && self.take_kept(site, key, Kind::Copy, at, around).is_some()
        {
            return Ok(());
        }
        let planned = self.plan(site, &add.transfer, From::Add(add))?;
        let made = self.add_planned(site, planned, &at.original, around)?;
        key.into_iter().for_each(|key| site.cache.keep(key, made.as_ref()));
        Ok(())
    }

    fn plan(
        &self,
        site: &mut Site<'_>,
        transfer: &Transfer,
        from: From<'_>,
    ) -> Result<Planned, Fault> {
        let tree = site.tree(&self.layers)?;
        let (source, parents, unpack, dir, remotes) = match from {
            From::Copy { source, parents } => (source, parents, None, None, Vec::new()),
            From::Add(add) => {
                let dir = site.step_dir()?;
                let remotes = remote::fetch_all(add, site, &dir)?;
                (None, false, add.unpack, Some(dir), remotes)
            }
        };
        let copying = Copying {
            transfer,
            source: source.unwrap_or(site.context),
            tree: &tree,
            workdir: &self.config.workdir,
            unpack_in: dir.as_deref(),
            unpack,
            parents,
            remotes,
            latest: site.request.latest_time,
            now: site.now,
            max_bytes: site.request.limits.disk_bytes.unwrap_or(MAX_LAYER_BYTES),
            cancel: site.cancel,
        };
        copying.plan()
    }

    pub(super) fn make_workdir(
        &mut self,
        site: &mut Site<'_>,
        at: &Instruction,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        let key = site.cache.wants_key(Kind::Copy).then(|| keys::of_workdir(self, site));
        if let Some(key) = &key
            && self.take_kept(site, key, Kind::Copy, at, around).is_some()
        {
            return Ok(());
        }
        let tree = site.tree(&self.layers)?;
        let (workdir, user) = (&self.config.workdir, &self.config.user);
        let planned = plan_workdir(&tree, workdir, user, site.request.latest_time, site.now)?;
        let made = if planned.is_empty() {
            self.history.push(Step { text: at.original.clone(), has_layer: false });
            None
        } else {
            self.add_planned(site, planned, &at.original, around)?
        };
        key.into_iter().for_each(|key| site.cache.keep(key, made.as_ref()));
        Ok(())
    }
}
