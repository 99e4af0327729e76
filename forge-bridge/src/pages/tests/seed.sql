-- Run 1: a finished release build. Run 2: a failure. Run 3: running. Run 4: an untrusted change
-- with hostile names. Delivery 5 was skipped.
INSERT INTO deliveries (id, forge, delivery, event_name, headers, body, received_at) VALUES
  (1, 'forge', '6f1c2a1e-1', 'push', '{"x-forgejo-event":"push"}', '{"secret":"address"}', unixepoch() - 90000),
  (2, 'forge', '6f1c2a1e-2', 'push', '{}', '{}', unixepoch() - 7000),
  (3, 'forge', '6f1c2a1e-3', 'push', '{}', '{}', unixepoch() - 300),
  (4, 'forge', '6f1c2a1e-4', 'pull_request', '{"x-evil":"<img src=x onerror=alert(1)>"}', '{}', unixepoch() - 100),
  (5, 'forge', '6f1c2a1e-5', 'push', '{}', '{}', unixepoch() - 50),
  (6, 'forge', '6f1c2a1e-6', 'push', '{}', '{}', unixepoch() - 5);
UPDATE decoding SET decoded_up_to = 5;
INSERT INTO events (id, forge, delivery_id, kind, repository, identity, event, created_at, state, reason) VALUES
  (1, 'forge', 1, 'push', 'containers/httpd', 'a', '{"event":"push"}', unixepoch() - 90000, 'planned', NULL),
  (2, 'forge', 2, 'push', 'containers/nginx', 'b', '{"event":"push"}', unixepoch() - 7000, 'planned', NULL),
  (3, 'forge', 3, 'push', 'containers/httpd', 'c', '{"event":"push"}', unixepoch() - 300, 'planned', NULL),
  (4, 'forge', 4, 'pull_request', 'containers/httpd', 'd', '{"event":"pull_request"}', unixepoch() - 100, 'planned', NULL),
  (5, 'forge', 5, 'push', 'containers/postgresql', NULL, '{"event":"push"}', unixepoch() - 50, 'skipped', 'branch `topic` belongs to no release (configured: rawhide, f43)');
INSERT INTO skipped_workflows VALUES
  (1, '.strata/workflows/docs.yml', 'on.push.paths: none of the 2 changed files matches `docs/**`'),
  (1, 'operator:nightly.yml', 'on: push is not among schedule'),
  (5, '.strata/workflows/build.yml', 'on.push.branches: `topic` matches none of rawhide, f43');
INSERT INTO runs (id, event_id, forge, repository, ref_name, commit_id, release, cause, trust, workflow, workflow_path, workflow_origin, workflow_blob, workflow_text, state, outcome, message, created_at, started_at, finished_at, fetch_ref) VALUES
  (1, 1, 'forge', 'containers/httpd', 'refs/heads/f43', '8d5e957f297893487bd98fa830fa6413a1b2c3d4', 'f43', 'push', 'trusted', 'layered-build', '.strata/workflows/build.yml', 'repository', 'b1', '', 'finished', 'success', '', unixepoch() - 90000, unixepoch() - 89990, unixepoch() - 89790, 'refs/heads/f43'),
  (2, 2, 'forge', 'containers/nginx', 'refs/heads/rawhide', '1a2b3c4d5e6f77889900aabbccddeeff00112233', 'rawhide', 'push', 'trusted', 'layered-build', 'layered-build.yml', 'operator', 'b2', '', 'finished', 'failure', 'Dockerfile:7: RUN make: exit status 2', unixepoch() - 7000, unixepoch() - 6990, unixepoch() - 6900, 'refs/heads/f43'),
  (3, 3, 'forge', 'containers/httpd', 'refs/heads/rawhide', 'ffeeddccbbaa00112233445566778899aabbccdd', 'rawhide', 'push', 'trusted', 'layered-build', '.strata/workflows/build.yml', 'repository', 'b3', '', 'running', NULL, '', unixepoch() - 300, unixepoch() - 260, NULL, 'refs/heads/f43'),
  (4, 4, 'forge', 'containers/httpd', 'refs/heads/f43', '00112233445566778899aabbccddeeff00112233', 'f43', 'pull_request', 'untrusted', '<script>alert(1)</script>', 'x.yml', 'repository', 'b4', '', 'queued', NULL, '"><b>bold</b>', unixepoch() - 100, NULL, NULL, 'refs/heads/f43');
INSERT INTO runners (id, name, credential_sha256, labels, slots, version, registered_at, seen_at) VALUES
  (1, 'builder-01', 'x', '["linux","x86_64"]', 2, '0.1.0', unixepoch() - 100000, unixepoch() - 3),
  (2, 'builder-02', 'y', '["linux","aarch64"]', 4, '0.1.0', unixepoch() - 100000, unixepoch() - 4000);
INSERT INTO jobs (id, run_id, name, needs, draft, state, outcome, fault, message, attempt, runner_id, created_at, queued_at, started_at, finished_at, context) VALUES
  (1, 1, 'build', '[]', '{"runs_on":["linux"]}', 'finished', 'success', NULL, '', 1, 1, unixepoch() - 90000, unixepoch() - 89995, unixepoch() - 89990, unixepoch() - 89790, 'layered-build / build'),
  (2, 2, 'build', '[]', '{"runs_on":["linux"]}', 'finished', 'failure', NULL, 'Dockerfile:7: RUN make: exit status 2', 1, 1, unixepoch() - 7000, unixepoch() - 6995, unixepoch() - 6990, unixepoch() - 6900, 'layered-build / build'),
  (3, 2, 'smoke', '["build"]', '{"runs_on":["linux"]}', 'finished', 'skipped', NULL, 'build did not succeed', 0, NULL, unixepoch() - 7000, NULL, NULL, unixepoch() - 6900, 'layered-build / build'),
  (4, 3, 'build', '[]', '{"runs_on":["linux"]}', 'leased', NULL, NULL, '', 2, 1, unixepoch() - 300, unixepoch() - 270, unixepoch() - 60, NULL, 'layered-build / build'),
  (5, 3, 'smoke', '["build"]', '{"runs_on":["linux","kvm"]}', 'waiting', NULL, NULL, '', 0, NULL, unixepoch() - 300, NULL, NULL, NULL, 'layered-build / build'),
  (6, 4, 'build', '[]', '{"runs_on":["linux","s390x"]}', 'queued', NULL, NULL, '', 0, NULL, unixepoch() - 100, unixepoch() - 90, NULL, NULL, 'layered-build / build');
INSERT INTO steps (job_id, attempt, position, name, log_offset, started_at, finished_at, outcome) VALUES
  (1, 1, 0, 'Check out sources', 0, unixepoch() - 89990, unixepoch() - 89988, 'success'),
  (1, 1, 1, 'Layered build', 40, unixepoch() - 89988, unixepoch() - 89790, 'success'),
  (2, 1, 0, 'Check out sources', 0, unixepoch() - 6990, unixepoch() - 6989, 'success'),
  (2, 1, 1, 'Layered build', 30, unixepoch() - 6989, unixepoch() - 6900, 'failure'),
  (4, 1, 0, 'Check out sources', 0, unixepoch() - 250, NULL, NULL),
  (4, 2, 0, 'Check out sources', 0, unixepoch() - 60, unixepoch() - 58, 'success'),
  (4, 2, 1, 'Layered build', 20, unixepoch() - 58, NULL, NULL);
INSERT INTO pins (job_id, position, written, reference, digest) VALUES
  (1, 0, 'fedora:43', 'registry.example/fedora/fedora:43', 'sha256:4c7a8a2f0d1e3b5a69788796a5b4c3d2e1f00112233445566778899aabbccdde'),
  (1, 1, 'golang:1.25 AS build', 'registry.example/library/golang:1.25', 'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08');
INSERT INTO nvrs (job_id, name, version, release, state) VALUES (1, 'httpd-container', '2.4.66', '3.fc43', 'complete'), (4, 'httpd-container', '2.4.66', '4.rawhide', 'reserved'), (2, 'nginx-container', '1', '1', 'free');
INSERT INTO images (id, job_id, release, reference, registry, repository, digest, size_bytes, mode, nvr, created_at) VALUES
  (1, 1, 'f43', 'registry.example/f43/httpd:2.4.66-3.fc43.20260922101112', 'registry.example', 'f43/httpd', 'sha256:aaaabbbbccccddddeeeeffff0000111122223333444455556666777788889999', 74567890, 'release', 'httpd-container-2.4.66-3.fc43', unixepoch() - 89795);
INSERT INTO image_tags (image_id, class, tag, put_at) VALUES
  (1, 'floating', 'latest', NULL),
  (1, 'floating', '2.4.66', unixepoch() - 89790),
  (1, 'primary', '2.4.66-3.fc43', unixepoch() - 89791),
  (1, 'unique', '2.4.66-3.fc43.20260922101112', unixepoch() - 89795);
INSERT INTO statuses (forge, repository, commit_id, context, run_id, state, description, target_url, desired, reported, attempts, refusal, changed_at, reported_at) VALUES
  ('forge', 'containers/httpd', '8d5e957f297893487bd98fa830fa6413a1b2c3d4', 'layered-build / build', 1, 'success', 'Built httpd-container-2.4.66-3.fc43', 'http://x/runs/1', 4, 4, 1, NULL, unixepoch() - 89790, unixepoch() - 89789),
  ('forge', 'containers/nginx', '1a', 'layered-build / build', 2, 'failure', 'Dockerfile:7: RUN make: exit status 2', 'http://x/runs/2', 4, 3, 7, NULL, unixepoch() - 6900, unixepoch() - 6950),
  ('forge', 'containers/nginx', '1a', 'layered-build / smoke', 2, 'error', 'Skipped', 'http://x/runs/2', 2, 1, 1, '422: no such commit', unixepoch() - 6900, NULL);
