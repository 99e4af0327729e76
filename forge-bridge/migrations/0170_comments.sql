-- Up to when the comments on a pull request were read, by the clock of its forge; NULL when no look
-- has read any.
ALTER TABLE watched_pulls ADD COLUMN comments_up_to INTEGER;
