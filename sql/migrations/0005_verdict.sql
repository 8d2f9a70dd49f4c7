-- The verdict on a variant's finished ad, written with the result of its last stage.

ALTER TABLE jobs_variants ADD COLUMN verdict jsonb;
