-- Looks at open pull requests compare the branch that each goes into beside its head:
-- `COMMIT BASE`, as in events.moved_to.
UPDATE watched_pulls SET missed = NULL, head = head || ' ' || coalesce(
    (SELECT pull ->> 'base_ref' FROM pull_requests AS p WHERE p.forge = watched_pulls.forge
     AND p.repository = watched_pulls.repository AND p.number = watched_pulls.number),
    (SELECT event ->> 'base_ref' FROM events AS e WHERE e.forge = watched_pulls.forge
     AND e.repository = watched_pulls.repository AND e.kind = 'pull_request'
     AND e.moved_ref = 'pull ' || watched_pulls.number AND e.state <> 'duplicate'
     ORDER BY e.id DESC LIMIT 1));
-- Of the others nobody has ever said the branch: the next look remembers them, as the first one did.
UPDATE watched_repositories SET pulls_swept_at = NULL, pulls_etag = NULL WHERE EXISTS
    (SELECT 1 FROM watched_pulls AS p WHERE p.forge = watched_repositories.forge
     AND p.repository = watched_repositories.repository AND p.head IS NULL);
DELETE FROM watched_pulls WHERE head IS NULL;
UPDATE watched_repositories SET pulls_etag = NULL;
