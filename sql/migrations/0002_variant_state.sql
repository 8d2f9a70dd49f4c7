-- Every variant carries its own step and status; a job of the old design hands its own down to its variants.

-- The service before this one completed jobs and sent notifications with triggers of its own; they must not
-- fire while its rows move, nor after.
DO $$
DECLARE
    old record;
BEGIN
    FOR old IN
        SELECT t.tgname, t.tgrelid::regclass AS on_table FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE NOT t.tgisinternal AND t.tgrelid IN ('jobs'::regclass, 'jobs_variants'::regclass)
          AND (p.prosrc ~* 'pg_notify\s*\(\s*''job_(variant_)?state_changed'''
               OR (t.tgrelid = 'jobs_variants'::regclass AND p.prosrc ~* 'update\s+(public\.)?jobs\s'))
    LOOP
        RAISE NOTICE 'dropping trigger % on %', old.tgname, old.on_table;
        EXECUTE format('DROP TRIGGER %I ON %s', old.tgname, old.on_table);
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
    ADD COLUMN state_revision bigint NOT NULL DEFAULT nextval('variant_revisions'),
    ADD COLUMN error text;

-- Jobs in our hands: the job's step and status become those of every variant that has no stage of its own yet.
UPDATE jobs_variants v
SET current_step = j.current_step, status = j.status
FROM jobs j
WHERE j.job_id = v.job_id
  AND j.current_step IN ('vlm_analyze', 'yolo_detect', 'planner', 'overlay', 'vlm_judge', 'ocr_eval',
                         'readability_eval', 'iou_eval')
  AND (v.current_step IS NULL OR (v.current_step = 'img_gen' AND v.status IN ('queued', 'running', 'done')));

-- Jobs that are past us keep finished variants; all others still wait for their image.
UPDATE jobs_variants v
SET current_step = 'iou_eval', status = 'done'
FROM jobs j
WHERE j.job_id = v.job_id AND v.current_step IS NULL AND j.current_step IN ('feed_gen', 'ab_vote');

UPDATE jobs_variants SET current_step = 'img_gen' WHERE current_step IS NULL;
UPDATE jobs_variants SET status = 'queued' WHERE status IS NULL;
UPDATE jobs_variants SET retry_count = 0 WHERE retry_count IS NULL;

DO $$
DECLARE
    unknown text;
BEGIN
    SELECT string_agg(format('%s is (%s, %s)', job_variants_id, current_step, status), '; ')
    INTO unknown
    FROM (
        SELECT job_variants_id, current_step, status FROM jobs_variants
        WHERE status NOT IN ('queued', 'running', 'done', 'failed')
           OR current_step NOT IN ('img_gen', 'vlm_analyze', 'yolo_detect', 'planner', 'overlay', 'vlm_judge',
                                   'ocr_eval', 'readability_eval', 'iou_eval')
        LIMIT 20
    ) odd;
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'jobs_variants holds states this project does not know: %', unknown
            USING HINT = 'Set them to a known step and status (see sql/schema.sql), then migrate again.';
    END IF;
END $$;

ALTER TABLE jobs_variants
    ALTER COLUMN status SET DEFAULT 'queued',
    ALTER COLUMN status SET NOT NULL,
    ALTER COLUMN current_step SET DEFAULT 'img_gen',
    ALTER COLUMN current_step SET NOT NULL,
    ALTER COLUMN retry_count SET DEFAULT 0,
    ALTER COLUMN retry_count SET NOT NULL,
    ADD CONSTRAINT jobs_variants_known_status CHECK (status IN ('queued', 'running', 'done', 'failed')),
    ADD CONSTRAINT jobs_variants_known_step CHECK (current_step IN (
        'img_gen', 'vlm_analyze', 'yolo_detect', 'planner', 'overlay', 'vlm_judge', 'ocr_eval', 'readability_eval',
        'iou_eval'));

CREATE INDEX IF NOT EXISTS idx_jobs_variants_status ON jobs_variants (status);
CREATE INDEX IF NOT EXISTS idx_jobs_variants_current_step ON jobs_variants (current_step);
CREATE INDEX IF NOT EXISTS idx_jobs_variants_job_id_status ON jobs_variants (job_id, status);
-- What the sensor and the rescuer read stays small however long the history is.
CREATE INDEX idx_jobs_variants_startable ON jobs_variants (state_revision)
    WHERE (status = 'done' AND current_step <> 'iou_eval') OR (status = 'queued' AND current_step <> 'img_gen');
CREATE INDEX idx_jobs_variants_running ON jobs_variants (updated_at)
    WHERE status = 'running' AND current_step <> 'img_gen';
CREATE INDEX idx_jobs_with_variants_in_work ON jobs (job_id)
    WHERE status NOT IN ('done', 'failed')
      AND current_step IN ('vlm_analyze', 'yolo_detect', 'planner', 'overlay', 'vlm_judge', 'ocr_eval',
                           'readability_eval', 'iou_eval');
CREATE INDEX IF NOT EXISTS idx_txt_ad_copy_generations_job_id ON txt_ad_copy_generations (job_id);
