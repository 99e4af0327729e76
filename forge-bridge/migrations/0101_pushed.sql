-- What an attempt pushed before it failed, a workflows::image::BuiltImage: its unique tag is all
-- that it has, and only the record of the build tells of it.
ALTER TABLE attempt_facts ADD COLUMN image TEXT;
