-- Each result table gets a job_variants_id and at most one current row per variant. What the predecessor has written stays,
-- not current. `revision` orders results: a result is fresh when its revision is higher than that of the stage before it.
-- Rows of the predecessor have none, so a stage never builds on them.

-- step: vlm_traces
-- Rows count as not current until migration 0009 tells whose they are, when they come.
ALTER TABLE vlm_traces ADD COLUMN IF NOT EXISTS job_variants_id uuid;
ALTER TABLE vlm_traces ADD COLUMN is_current boolean NOT NULL DEFAULT false, ADD COLUMN revision bigint;

-- step: detections
ALTER TABLE detections ADD COLUMN IF NOT EXISTS job_variants_id uuid;

-- step: yolo_runs, of which a job can have several
-- The uniqueness of yolo_runs.job_id may carry any name, as a constraint or as a bare index.
DO $$
DECLARE
    old record;
BEGIN
    FOR old IN
        SELECT c.conname FROM pg_constraint c
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ALL (c.conkey)
        WHERE c.conrelid = 'yolo_runs'::regclass AND c.contype = 'u' AND a.attname = 'job_id'
    LOOP
        EXECUTE format('ALTER TABLE yolo_runs DROP CONSTRAINT %I', old.conname);
        UPDATE job_variants_migrations
        SET notes = notes || format('dropped: constraint %I UNIQUE (job_id) of yolo_runs', old.conname) WHERE number = 3;
    END LOOP;
    FOR old IN
        SELECT i.indexrelid::regclass AS index_name, pg_get_indexdef(i.indexrelid) AS definition FROM pg_index i
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = 'yolo_runs'::regclass AND i.indisunique AND i.indnkeyatts = 1 AND a.attname = 'job_id'
    LOOP
        EXECUTE format('DROP INDEX %s', old.index_name);
        UPDATE job_variants_migrations SET notes = notes || ('dropped: ' || old.definition) WHERE number = 3;
    END LOOP;
END $$;
ALTER TABLE yolo_runs ADD COLUMN IF NOT EXISTS job_variants_id uuid;
ALTER TABLE yolo_runs ADD COLUMN is_current boolean NOT NULL DEFAULT false, ADD COLUMN revision bigint,
    ADD COLUMN result jsonb;

-- step: planner_proposals
ALTER TABLE planner_proposals ADD COLUMN IF NOT EXISTS job_variants_id uuid;
ALTER TABLE planner_proposals ADD COLUMN is_current boolean NOT NULL DEFAULT false, ADD COLUMN revision bigint,
    ADD COLUMN picture_url text;

-- step: overlay_layouts
ALTER TABLE overlay_layouts ADD COLUMN IF NOT EXISTS job_variants_id uuid;
ALTER TABLE overlay_layouts ADD COLUMN is_current boolean NOT NULL DEFAULT false, ADD COLUMN revision bigint;

-- step: evaluations
ALTER TABLE evaluations ADD COLUMN IF NOT EXISTS job_variants_id uuid;
ALTER TABLE evaluations ADD COLUMN is_current boolean NOT NULL DEFAULT false, ADD COLUMN revision bigint,
    ADD COLUMN latency_ms numeric;

-- An old row belongs to the one variant whose image it is about; where that is not clear it stays unattributed.

-- step in batches of yolo_runs by yolo_run_id: old runs name their variant
UPDATE yolo_runs r SET job_variants_id = v.job_variants_id
FROM jobs_variants v
WHERE r.yolo_run_id > :after AND r.yolo_run_id <= :upto AND r.job_variants_id IS NULL
  AND v.job_id = r.job_id AND v.img_asset_id = r.image_asset_id
  AND NOT EXISTS (SELECT FROM jobs_variants w WHERE w.job_id = v.job_id AND w.img_asset_id = v.img_asset_id
                  AND w.job_variants_id <> v.job_variants_id);

-- step in batches of detections by detection_id: old objects name their variant
UPDATE detections d SET job_variants_id = v.job_variants_id
FROM jobs_variants v
WHERE d.detection_id > :after AND d.detection_id <= :upto AND d.job_variants_id IS NULL
  AND v.job_id = d.job_id AND v.img_asset_id = d.image_asset_id
  AND NOT EXISTS (SELECT FROM jobs_variants w WHERE w.job_id = v.job_id AND w.img_asset_id = v.img_asset_id
                  AND w.job_variants_id <> v.job_variants_id);

-- step outside a transaction: an index by which the next step finds layouts
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_adoption_layouts ON overlay_layouts (proposal_id);

-- step outside a transaction: an index by which the next step finds images
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_adoption_images ON jobs_variants (img_asset_id);

-- step in batches of planner_proposals by proposal_id: old proposals name the variant of their layout, else of their image
-- Two owners are looked up at most: that is enough to know that it is not clear.
UPDATE planner_proposals p
SET job_variants_id = owner.job_variants_id
FROM (
    SELECT candidates.proposal_id,
           CASE WHEN cardinality(of_layout) = 1 THEN of_layout[1] WHEN cardinality(of_image) = 1 THEN of_image[1] END
               AS job_variants_id
    FROM (
        SELECT q.proposal_id,
               ARRAY(SELECT o.job_variants_id FROM overlay_layouts o
                     WHERE o.proposal_id = q.proposal_id AND o.job_variants_id IS NOT NULL
                     GROUP BY o.job_variants_id LIMIT 2) AS of_layout,
               ARRAY(SELECT v.job_variants_id FROM jobs_variants v
                     WHERE v.img_asset_id = q.image_asset_id LIMIT 2) AS of_image
        FROM planner_proposals q
        WHERE q.proposal_id > :after AND q.proposal_id <= :upto AND q.job_variants_id IS NULL
    ) candidates
) owner
WHERE p.proposal_id = owner.proposal_id AND owner.job_variants_id IS NOT NULL;

-- step outside a transaction: it was for this step alone
DROP INDEX CONCURRENTLY IF EXISTS idx_adoption_layouts;

-- step outside a transaction: it was for this step alone
DROP INDEX CONCURRENTLY IF EXISTS idx_adoption_images;

-- step in batches of evaluations by evaluation_id: old evaluations name the variant of their layout
UPDATE evaluations e SET job_variants_id = o.job_variants_id
FROM overlay_layouts o
WHERE e.evaluation_id > :after AND e.evaluation_id <= :upto AND e.job_variants_id IS NULL
  AND o.overlay_id = e.overlay_id AND o.job_variants_id IS NOT NULL;

-- step outside a transaction: index
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS one_current_vlm_trace ON vlm_traces (job_variants_id, operation_type) WHERE is_current;

-- step outside a transaction: index
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS one_current_yolo_run ON yolo_runs (job_variants_id) WHERE is_current;

-- step outside a transaction: index
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS one_current_planner_proposal ON planner_proposals (job_variants_id) WHERE is_current;

-- step outside a transaction: index
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS one_current_overlay_layout ON overlay_layouts (job_variants_id) WHERE is_current;

-- step outside a transaction: index
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS one_current_evaluation ON evaluations (job_variants_id, evaluation_type) WHERE is_current;

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_detections_job_variants_id ON detections (job_variants_id);

-- ye writes vlm_traces of its own, so only the tables that are ours alone demand the variant of a current row.
-- A constraint that is NOT VALID holds for new rows at once. Validating it then locks nobody out.

-- step: current rows of yolo_runs name their variant
ALTER TABLE yolo_runs ADD CONSTRAINT yolo_runs_name_their_variant
    CHECK (job_variants_id IS NOT NULL OR NOT is_current) NOT VALID;

-- step: this holds for the old rows too
ALTER TABLE yolo_runs VALIDATE CONSTRAINT yolo_runs_name_their_variant;

-- step: current rows of planner_proposals name their variant
ALTER TABLE planner_proposals ADD CONSTRAINT planner_proposals_name_their_variant
    CHECK (job_variants_id IS NOT NULL OR NOT is_current) NOT VALID;

-- step: this holds for the old rows too
ALTER TABLE planner_proposals VALIDATE CONSTRAINT planner_proposals_name_their_variant;

-- step: current rows of overlay_layouts name their variant
ALTER TABLE overlay_layouts ADD CONSTRAINT overlay_layouts_name_their_variant
    CHECK (job_variants_id IS NOT NULL OR NOT is_current) NOT VALID;

-- step: this holds for the old rows too
ALTER TABLE overlay_layouts VALIDATE CONSTRAINT overlay_layouts_name_their_variant;

-- step: current rows of evaluations name their variant
ALTER TABLE evaluations ADD CONSTRAINT evaluations_name_their_variant
    CHECK (job_variants_id IS NOT NULL OR NOT is_current) NOT VALID;

-- step: this holds for the old rows too
ALTER TABLE evaluations VALIDATE CONSTRAINT evaluations_name_their_variant;

-- A deleted variant takes its results along. A column that existed before may hold orphans: they are kept, and then the
-- constraint stays unvalidated.

-- step: results in vlm_traces go with their variant
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'vlm_traces'::regclass AND contype = 'f'
                   AND confrelid = 'jobs_variants'::regclass) THEN
        ALTER TABLE vlm_traces ADD FOREIGN KEY (job_variants_id) REFERENCES jobs_variants ON DELETE CASCADE NOT VALID;
    END IF;
END $$;

-- step: results in detections go with their variant
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'detections'::regclass AND contype = 'f'
                   AND confrelid = 'jobs_variants'::regclass) THEN
        ALTER TABLE detections ADD FOREIGN KEY (job_variants_id) REFERENCES jobs_variants ON DELETE CASCADE NOT VALID;
    END IF;
END $$;

-- step: results in yolo_runs go with their variant
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'yolo_runs'::regclass AND contype = 'f'
                   AND confrelid = 'jobs_variants'::regclass) THEN
        ALTER TABLE yolo_runs ADD FOREIGN KEY (job_variants_id) REFERENCES jobs_variants ON DELETE CASCADE NOT VALID;
    END IF;
END $$;

-- step: results in planner_proposals go with their variant
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'planner_proposals'::regclass AND contype = 'f'
                   AND confrelid = 'jobs_variants'::regclass) THEN
        ALTER TABLE planner_proposals ADD FOREIGN KEY (job_variants_id) REFERENCES jobs_variants ON DELETE CASCADE NOT VALID;
    END IF;
END $$;

-- step: results in overlay_layouts go with their variant
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'overlay_layouts'::regclass AND contype = 'f'
                   AND confrelid = 'jobs_variants'::regclass) THEN
        ALTER TABLE overlay_layouts ADD FOREIGN KEY (job_variants_id) REFERENCES jobs_variants ON DELETE CASCADE NOT VALID;
    END IF;
END $$;

-- step: results in evaluations go with their variant
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'evaluations'::regclass AND contype = 'f'
                   AND confrelid = 'jobs_variants'::regclass) THEN
        ALTER TABLE evaluations ADD FOREIGN KEY (job_variants_id) REFERENCES jobs_variants ON DELETE CASCADE NOT VALID;
    END IF;
END $$;

-- step: foreign keys without orphans are validated
DO $$
DECLARE
    key record;
    orphans bool;
BEGIN
    FOR key IN
        SELECT conrelid::regclass AS result_table, conname FROM pg_constraint
        WHERE contype = 'f' AND confrelid = 'jobs_variants'::regclass AND NOT convalidated
          AND connamespace = quote_ident(current_schema())::regnamespace
        ORDER BY conrelid::regclass::text
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s r WHERE r.job_variants_id IS NOT NULL AND NOT EXISTS
                        (SELECT FROM jobs_variants v WHERE v.job_variants_id = r.job_variants_id))', key.result_table)
        INTO orphans;
        IF NOT orphans THEN
            EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', key.result_table, key.conname);
        END IF;
    END LOOP;
END $$;

-- step: all results of all variants
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
