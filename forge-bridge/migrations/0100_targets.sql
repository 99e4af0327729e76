-- Where a build that keeps an NVR puts its image: registry and repository in one. Whoever had the
-- place first is the only one that gets it, also while the first image is still being built.
ALTER TABLE nvrs ADD COLUMN target TEXT NOT NULL DEFAULT '';

UPDATE nvrs SET target = COALESCE(
    (SELECT registry || '/' || repository FROM images WHERE images.job_id = nvrs.job_id), '');

CREATE INDEX nvrs_by_target ON nvrs (target, job_id) WHERE state <> 'free' AND target <> '';
