-- A job that was cancelled while its images were asked for took a number all the same, and kept it.
UPDATE nvrs SET state = 'free'
    WHERE state = 'reserved' AND job_id IN (SELECT id FROM jobs WHERE state = 'finished');
