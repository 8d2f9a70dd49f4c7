-- Each result table gets a job_variants_id and at most one current row per variant. Older rows stay, not current.
-- `revision` orders results: a result is fresh when its revision is higher than that of the stage before it.
-- Rows of the old service have none, so a stage never builds on them.

ALTER TABLE yolo_runs DROP CONSTRAINT IF EXISTS yolo_runs_job_id_key;
DO $$
DECLARE
    name text;
BEGIN
    -- The uniqueness of yolo_runs.job_id may carry any name, as a constraint or as a bare index.
    FOR name IN
        SELECT c.conname FROM pg_constraint c
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ALL (c.conkey)
        WHERE c.conrelid = 'yolo_runs'::regclass AND c.contype = 'u' AND a.attname = 'job_id'
    LOOP
        EXECUTE format('ALTER TABLE yolo_runs DROP CONSTRAINT %I', name);
    END LOOP;
    FOR name IN
        SELECT i.indexrelid::regclass::text FROM pg_index i
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = 'yolo_runs'::regclass AND i.indisunique AND i.indnkeyatts = 1 AND a.attname = 'job_id'
    LOOP
        EXECUTE format('DROP INDEX %s', name);
    END LOOP;
END $$;

ALTER TABLE vlm_traces ADD COLUMN IF NOT EXISTS job_variants_id uuid;
ALTER TABLE detections ADD COLUMN IF NOT EXISTS job_variants_id uuid;
ALTER TABLE yolo_runs ADD COLUMN IF NOT EXISTS job_variants_id uuid;
ALTER TABLE planner_proposals ADD COLUMN IF NOT EXISTS job_variants_id uuid;
ALTER TABLE overlay_layouts ADD COLUMN IF NOT EXISTS job_variants_id uuid;
ALTER TABLE evaluations ADD COLUMN IF NOT EXISTS job_variants_id uuid;

ALTER TABLE vlm_traces ADD COLUMN is_current boolean NOT NULL DEFAULT true, ADD COLUMN revision bigint;
ALTER TABLE yolo_runs ADD COLUMN is_current boolean NOT NULL DEFAULT true, ADD COLUMN revision bigint,
    ADD COLUMN result jsonb;
ALTER TABLE planner_proposals ADD COLUMN is_current boolean NOT NULL DEFAULT true, ADD COLUMN revision bigint,
    ADD COLUMN picture_url text;
ALTER TABLE overlay_layouts ADD COLUMN is_current boolean NOT NULL DEFAULT true, ADD COLUMN revision bigint;
ALTER TABLE evaluations ADD COLUMN is_current boolean NOT NULL DEFAULT true, ADD COLUMN revision bigint,
    ADD COLUMN latency_ms numeric;

-- An old row belongs to the one variant whose image it is about; where that is not clear it stays unattributed.
CREATE TEMPORARY TABLE variant_of_image ON COMMIT DROP AS
SELECT job_id, img_asset_id, (array_agg(job_variants_id))[1] AS job_variants_id
FROM jobs_variants
WHERE img_asset_id IS NOT NULL
GROUP BY job_id, img_asset_id
HAVING count(*) = 1;

UPDATE yolo_runs r SET job_variants_id = i.job_variants_id
FROM variant_of_image i
WHERE r.job_variants_id IS NULL AND i.job_id = r.job_id AND i.img_asset_id = r.image_asset_id;

UPDATE detections d SET job_variants_id = i.job_variants_id
FROM variant_of_image i
WHERE d.job_variants_id IS NULL AND i.job_id = d.job_id AND i.img_asset_id = d.image_asset_id;

UPDATE planner_proposals p SET job_variants_id = o.job_variants_id
FROM (
    SELECT proposal_id, (array_agg(DISTINCT job_variants_id))[1] AS job_variants_id
    FROM overlay_layouts
    WHERE job_variants_id IS NOT NULL
    GROUP BY proposal_id
    HAVING count(DISTINCT job_variants_id) = 1
) o
WHERE p.job_variants_id IS NULL AND o.proposal_id = p.proposal_id;

UPDATE planner_proposals p SET job_variants_id = i.job_variants_id
FROM (
    SELECT img_asset_id, (array_agg(job_variants_id))[1] AS job_variants_id
    FROM variant_of_image
    GROUP BY img_asset_id
    HAVING count(*) = 1
) i
WHERE p.job_variants_id IS NULL AND i.img_asset_id = p.image_asset_id;

UPDATE evaluations e SET job_variants_id = o.job_variants_id
FROM overlay_layouts o
WHERE e.job_variants_id IS NULL AND o.overlay_id = e.overlay_id;

UPDATE vlm_traces SET is_current = false
WHERE vlm_trace_id NOT IN (
    SELECT DISTINCT ON (job_variants_id, operation_type) vlm_trace_id FROM vlm_traces
    WHERE job_variants_id IS NOT NULL
    ORDER BY job_variants_id, operation_type, created_at DESC NULLS LAST, pk DESC);
UPDATE yolo_runs SET is_current = false
WHERE yolo_run_id NOT IN (
    SELECT DISTINCT ON (job_variants_id) yolo_run_id FROM yolo_runs WHERE job_variants_id IS NOT NULL
    ORDER BY job_variants_id, created_at DESC NULLS LAST, pk DESC);
UPDATE planner_proposals SET is_current = false
WHERE proposal_id NOT IN (
    SELECT DISTINCT ON (job_variants_id) proposal_id FROM planner_proposals WHERE job_variants_id IS NOT NULL
    ORDER BY job_variants_id, created_at DESC NULLS LAST, pk DESC);
UPDATE overlay_layouts SET is_current = false
WHERE overlay_id NOT IN (
    SELECT DISTINCT ON (job_variants_id) overlay_id FROM overlay_layouts WHERE job_variants_id IS NOT NULL
    ORDER BY job_variants_id, created_at DESC NULLS LAST, pk DESC);
UPDATE evaluations SET is_current = false
WHERE evaluation_id NOT IN (
    SELECT DISTINCT ON (job_variants_id, evaluation_type) evaluation_id FROM evaluations
    WHERE job_variants_id IS NOT NULL
    ORDER BY job_variants_id, evaluation_type, created_at DESC NULLS LAST, pk DESC);

CREATE UNIQUE INDEX one_current_vlm_trace ON vlm_traces (job_variants_id, operation_type) WHERE is_current;
CREATE UNIQUE INDEX one_current_yolo_run ON yolo_runs (job_variants_id) WHERE is_current;
CREATE UNIQUE INDEX one_current_planner_proposal ON planner_proposals (job_variants_id) WHERE is_current;
CREATE UNIQUE INDEX one_current_overlay_layout ON overlay_layouts (job_variants_id) WHERE is_current;
CREATE UNIQUE INDEX one_current_evaluation ON evaluations (job_variants_id, evaluation_type) WHERE is_current;
CREATE INDEX idx_detections_job_variants_id ON detections (job_variants_id);

-- ye writes vlm_traces of its own, so only the tables that are ours alone demand the variant.
ALTER TABLE yolo_runs ADD CONSTRAINT yolo_runs_name_their_variant
    CHECK (job_variants_id IS NOT NULL OR NOT is_current);
ALTER TABLE planner_proposals ADD CONSTRAINT planner_proposals_name_their_variant
    CHECK (job_variants_id IS NOT NULL OR NOT is_current);
ALTER TABLE overlay_layouts ADD CONSTRAINT overlay_layouts_name_their_variant
    CHECK (job_variants_id IS NOT NULL OR NOT is_current);
ALTER TABLE evaluations ADD CONSTRAINT evaluations_name_their_variant
    CHECK (job_variants_id IS NOT NULL OR NOT is_current);

-- A deleted variant takes its results along. Columns that existed before may hold orphans: those are kept.
DO $$
DECLARE
    result_table text;
    orphans bigint;
BEGIN
    FOREACH result_table IN ARRAY ARRAY['vlm_traces', 'detections', 'yolo_runs', 'planner_proposals',
                                        'overlay_layouts', 'evaluations']
    LOOP
        IF EXISTS (SELECT 1 FROM pg_constraint c
                   WHERE c.conrelid = result_table::regclass AND c.contype = 'f'
                     AND c.confrelid = 'jobs_variants'::regclass) THEN
            CONTINUE;
        END IF;
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I FOREIGN KEY (job_variants_id)
                        REFERENCES jobs_variants ON DELETE CASCADE NOT VALID',
                       result_table, result_table || '_job_variants_id_fkey');
        EXECUTE format('SELECT count(*) FROM %I r WHERE r.job_variants_id IS NOT NULL AND NOT EXISTS
                        (SELECT 1 FROM jobs_variants v WHERE v.job_variants_id = r.job_variants_id)', result_table)
        INTO orphans;
        IF orphans = 0 THEN
            EXECUTE format('ALTER TABLE %I VALIDATE CONSTRAINT %I',
                           result_table, result_table || '_job_variants_id_fkey');
        END IF;
    END LOOP;
END $$;

CREATE VIEW variant_results AS
SELECT job_variants_id, 'vlm_analyze' AS stage, response AS result, revision, latency_ms, updated_at AS recorded_at
FROM vlm_traces WHERE is_current AND operation_type = 'analyze' AND revision IS NOT NULL
UNION ALL
SELECT job_variants_id, 'yolo_detect', result, revision, latency_ms, updated_at
FROM yolo_runs WHERE is_current AND revision IS NOT NULL
UNION ALL
SELECT job_variants_id, 'planner', layout, revision, latency_ms, updated_at
FROM planner_proposals WHERE is_current AND revision IS NOT NULL
UNION ALL
SELECT job_variants_id, 'overlay', layout, revision, latency_ms, updated_at
FROM overlay_layouts WHERE is_current AND revision IS NOT NULL
UNION ALL
SELECT job_variants_id,
       CASE evaluation_type WHEN 'llava_judge' THEN 'vlm_judge' ELSE evaluation_type || '_eval' END,
       metrics, revision, latency_ms, updated_at
FROM evaluations
WHERE is_current AND revision IS NOT NULL AND evaluation_type IN ('llava_judge', 'ocr', 'readability', 'iou');
