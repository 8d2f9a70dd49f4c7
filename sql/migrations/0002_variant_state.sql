-- Every variant carries its own step and status; a job of the old design hands its own down to its variants.
--
-- An existing database is in use by other teams meanwhile. So each step locks one table, for a moment, and rows are
-- changed in batches.

-- step: the predecessor's notifications about jobs end
-- Only its own functions, by name: triggers of other teams stay, whatever is in them.
DO $$
DECLARE
    old record;
BEGIN
    FOR old IN
        SELECT t.tgname, pg_get_triggerdef(t.oid) AS definition
        FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE NOT t.tgisinternal AND t.tgrelid = 'jobs'::regclass AND p.proname = 'notify_job_state_change'
    LOOP
        EXECUTE format('DROP TRIGGER %I ON jobs', old.tgname);
        UPDATE job_variants_migrations SET notes = notes || ('dropped: ' || old.definition) WHERE number = 2;
    END LOOP;
END $$;

-- step: jobs_variants gets the columns of its state, and the predecessor's triggers on it end
-- None of these columns makes PostgreSQL write the table anew. What is in the table already counts as old work that is
-- held; the batches below free what is young.
DO $$
DECLARE
    old record;
BEGIN
    FOR old IN
        SELECT t.tgname, pg_get_triggerdef(t.oid) AS definition
        FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE NOT t.tgisinternal AND t.tgrelid = 'jobs_variants'::regclass
          AND p.proname IN ('notify_job_variant_state_change', 'check_all_variants_done',
                            'update_job_status_from_variants')
    LOOP
        EXECUTE format('DROP TRIGGER %I ON jobs_variants', old.tgname);
        UPDATE job_variants_migrations SET notes = notes || ('dropped: ' || old.definition) WHERE number = 2;
    END LOOP;
END $$;
CREATE SEQUENCE variant_revisions;
ALTER TABLE jobs_variants ADD COLUMN IF NOT EXISTS status varchar DEFAULT 'queued';
ALTER TABLE jobs_variants ADD COLUMN IF NOT EXISTS current_step varchar;
ALTER TABLE jobs_variants ADD COLUMN IF NOT EXISTS retry_count int DEFAULT 0;
ALTER TABLE jobs_variants ADD COLUMN IF NOT EXISTS overlaid_img_asset_id uuid;
ALTER TABLE jobs_variants ADD COLUMN IF NOT EXISTS selected boolean DEFAULT false;
ALTER TABLE jobs_variants ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now();
ALTER TABLE jobs_variants ADD COLUMN IF NOT EXISTS updated_at timestamptz DEFAULT now();
ALTER TABLE jobs_variants
    ADD COLUMN claimed_by text,
    ADD COLUMN claim_revision bigint,
    ADD COLUMN state_revision bigint NOT NULL DEFAULT 0,
    ADD COLUMN error text,
    ADD COLUMN old_work varchar DEFAULT 'held';
ALTER TABLE jobs_variants
    ALTER COLUMN old_work DROP DEFAULT,
    ALTER COLUMN status SET DEFAULT 'queued',
    ALTER COLUMN retry_count SET DEFAULT 0;
-- An insert that names no state means what it meant before. A table that had no default gets ours.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                   WHERE d.adrelid = 'jobs_variants'::regclass AND a.attname = 'current_step') THEN
        ALTER TABLE jobs_variants ALTER COLUMN current_step SET DEFAULT 'img_gen';
    END IF;
END $$;

-- The names under which a step is known: upper case, spaces and the predecessor's vlm_planner. No step at all is
-- img_gen, but not when it is done: that would start the variant.
CREATE FUNCTION known_step(step text, status text) RETURNS text
IMMUTABLE PARALLEL SAFE
RETURN CASE lower(btrim(coalesce(step, '')))
           WHEN 'vlm_planner' THEN 'planner'
           WHEN '' THEN CASE WHEN status = 'done' THEN '' ELSE 'img_gen' END
           ELSE lower(btrim(step)) END;

CREATE FUNCTION known_status(status text) RETURNS text
IMMUTABLE PARALLEL SAFE
RETURN lower(btrim(coalesce(nullif(btrim(status), ''), 'queued')));

-- step outside a transaction: the index by which the batches find the variants of a job
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_variants_job_id_status ON jobs_variants (job_id, status);

-- step in batches of jobs by job_id: a job of the old design hands its step and status down
-- Only where none of its variants has a step of its own, and only to variants that have an image. A job that is past us
-- leaves finished variants behind.
UPDATE jobs_variants v
SET current_step = CASE WHEN j.step IN ('feed_gen', 'ab_vote') THEN 'iou_eval' ELSE j.step END,
    status = CASE WHEN j.step IN ('feed_gen', 'ab_vote') THEN 'done' ELSE j.status END
FROM (
    SELECT job_id, known_status(status) AS status, known_step(current_step, known_status(status)) AS step
    FROM jobs WHERE job_id > :after AND job_id <= :upto
) j
WHERE v.job_id = j.job_id AND v.img_asset_id IS NOT NULL
  AND j.step IN ('vlm_analyze', 'yolo_detect', 'planner', 'overlay', 'vlm_judge', 'ocr_eval', 'readability_eval',
                 'iou_eval', 'feed_gen', 'ab_vote')
  AND j.status IN ('queued', 'running', 'done', 'failed')
  AND NOT EXISTS (SELECT FROM jobs_variants sibling
                  WHERE sibling.job_id = j.job_id AND btrim(sibling.current_step) <> '');

-- step in batches of jobs_variants by job_variants_id: states get their known names, retries start at 0, young work is freed
-- The predecessor counted other retries than we do. Young is what was created in the last days, as many as
-- ADOPT_START_DAYS says.
UPDATE jobs_variants v
SET current_step = n.step, status = n.status, retry_count = 0, old_work = CASE WHEN NOT n.young THEN v.old_work END
FROM (
    SELECT job_variants_id, known_step(current_step, known_status(status)) AS step, known_status(status) AS status,
           coalesce(created_at > now() - interval '1 day' * current_setting('job_variants.adopt_start_days')::float, false)
               AND (known_step(current_step, known_status(status)), known_status(status)) <> ('iou_eval', 'done') AS young
    FROM jobs_variants WHERE job_variants_id > :after AND job_variants_id <= :upto
) n
WHERE v.job_variants_id = n.job_variants_id
  AND ((v.current_step, v.status, v.retry_count) IS DISTINCT FROM (n.step, n.status, 0)
       OR (v.old_work IS NOT NULL AND n.young));

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_variants_status ON jobs_variants (status);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_variants_current_step ON jobs_variants (current_step);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_txt_ad_copy_generations_job_id ON txt_ad_copy_generations (job_id);
