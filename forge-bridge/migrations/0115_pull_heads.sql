-- Where an event leaves its pull request, beside where one leaves its branch: a head that was
-- there before and is there again is told in the words of the first time.

-- `pull NUMBER` is no ref's name
UPDATE events SET moved_ref = 'pull ' || (event ->> 'number'),
    moved_to = CASE kind WHEN 'pull_request'
        THEN (event ->> 'head') || ' ' || (event ->> 'base_ref') END
WHERE kind IN ('pull_request', 'pull_request_closed') AND typeof(event ->> 'number') = 'integer';
