-- The schema of version 0.2.0, which its migrations 0001 to 0007 have built. Databases of that version are upgraded from it.

-- Steps and states ------------------------------------------------------------------------------------------------
--
-- These functions have standard SQL bodies (RETURN …): they are bound when they are created, so constraints, indexes
-- and triggers work in a session with any search_path. PostgreSQL replaces a call by the body, so the partial indexes
-- below serve every query that asks with the same function. Whoever changes one of them must rebuild those indexes.

-- The steps of a variant in their order: the image, which ye generates, then our stages. SQL lists them only here;
-- stages/pipeline.py lists the stages for Python, and a test compares the two.
CREATE FUNCTION variant_steps() RETURNS text[]
IMMUTABLE PARALLEL SAFE
RETURN ARRAY['img_gen', 'vlm_analyze', 'yolo_detect', 'planner', 'overlay', 'vlm_judge', 'ocr_eval', 'readability_eval',
             'iou_eval'];

-- The steps that this project does.
CREATE FUNCTION variant_stages() RETURNS text[]
IMMUTABLE PARALLEL SAFE
RETURN (variant_steps())[2:];

CREATE FUNCTION last_variant_stage() RETURNS text
IMMUTABLE PARALLEL SAFE
RETURN (variant_steps())[cardinality(variant_steps())];

-- 0 for img_gen, 1 for the first stage; NULL for any other text.
CREATE FUNCTION variant_step_position(step text) RETURNS int
IMMUTABLE PARALLEL SAFE
RETURN array_position(variant_steps(), step) - 1;

CREATE FUNCTION variant_step_at(step_position int) RETURNS text
IMMUTABLE PARALLEL SAFE
RETURN (variant_steps())[step_position + 1];

-- A run can start: the step before a stage is done, or somebody has queued a stage.
CREATE FUNCTION is_startable(step text, status text) RETURNS boolean
IMMUTABLE PARALLEL SAFE
RETURN (status = 'done' AND step <> last_variant_stage()) OR (status = 'queued' AND step <> 'img_gen');

-- A run works on a stage; an image that ye is generating does not count.
CREATE FUNCTION is_at_work(step text, status text) RETURNS boolean
IMMUTABLE PARALLEL SAFE
RETURN status = 'running' AND step <> 'img_gen';

CREATE FUNCTION is_complete(step text, status text) RETURNS boolean
IMMUTABLE PARALLEL SAFE
RETURN status = 'done' AND step = last_variant_stage();

-- Complete or failed.
CREATE FUNCTION has_ended(step text, status text) RETURNS boolean
IMMUTABLE PARALLEL SAFE
RETURN status = 'failed' OR is_complete(step, status);

-- Shared with the other parts ------------------------------------------------------------------------------------

CREATE TABLE tenants (
    tenant_id varchar PRIMARY KEY,
    display_name varchar,
    uid varchar,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE image_assets (
    image_asset_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    image_type varchar,
    image_url text NOT NULL,
    mask_url text,
    width int,
    height int,
    creator_id varchar,
    tenant_id varchar REFERENCES tenants,
    job_id uuid,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE jobs (
    job_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id varchar REFERENCES tenants,
    store_id uuid,
    status varchar DEFAULT 'queued',
    current_step varchar,
    version varchar,
    retry_count int DEFAULT 0,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
CREATE INDEX idx_jobs_with_variants_in_work ON jobs (job_id)
    WHERE status NOT IN ('done', 'failed') AND current_step = ANY (variant_stages());

CREATE TABLE job_inputs (
    job_id uuid PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
    img_asset_id uuid REFERENCES image_assets,
    tone_style_id uuid,
    desc_kor text,
    desc_eng text,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE txt_ad_copy_generations (
    ad_copy_gen_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    generation_stage varchar,
    ad_copy_kor text,
    ad_copy_eng text,
    refined_ad_copy_eng text,
    status varchar,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
CREATE INDEX idx_txt_ad_copy_generations_job_id ON txt_ad_copy_generations (job_id);

-- Numbers everything that happens to variants in its order, whatever the clocks say.
CREATE SEQUENCE variant_revisions;

CREATE TABLE jobs_variants (
    job_variants_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    img_asset_id uuid REFERENCES image_assets,
    creation_order int NOT NULL,
    selected boolean DEFAULT false,
    status varchar NOT NULL DEFAULT 'queued',
    current_step varchar NOT NULL DEFAULT 'img_gen',
    -- Restarts of the current stage after a crash; finish_stage sets it back to 0.
    retry_count int NOT NULL DEFAULT 0,
    overlaid_img_asset_id uuid REFERENCES image_assets,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    -- The Dagster run that has claimed the variant, and the revision at which it last wrote the state. The revision is
    -- NULL when somebody else has written the state since.
    claimed_by text,
    claim_revision bigint,
    -- A new number whenever somebody writes the state; no number is used twice. Part of the sensor's run key.
    state_revision bigint NOT NULL DEFAULT nextval('variant_revisions'),
    error text,
    -- How good the finished ad is, as measured: pass, warn or fail, with reasons and a score.
    verdict jsonb,
    CONSTRAINT jobs_variants_known_status CHECK (status IN ('queued', 'running', 'done', 'failed')),
    CONSTRAINT jobs_variants_known_step CHECK (current_step = ANY (variant_steps()))
);
CREATE INDEX idx_jobs_variants_status ON jobs_variants (status);
CREATE INDEX idx_jobs_variants_current_step ON jobs_variants (current_step);
CREATE INDEX idx_jobs_variants_job_id_status ON jobs_variants (job_id, status);
-- What the sensor and the rescuer read stays small however long the history is.
CREATE INDEX idx_jobs_variants_startable ON jobs_variants (state_revision) WHERE is_startable(current_step, status);
CREATE INDEX idx_jobs_variants_running ON jobs_variants (updated_at) WHERE is_at_work(current_step, status);

-- The last request of a run for each variant: which state of it, and which sensor requested the run. Dagster's run keys
-- prevent a second run only within one sensor, and there are several. A request counts as long as the state lasts; no
-- revision comes twice.
CREATE TABLE variant_requests (
    job_variants_id uuid PRIMARY KEY REFERENCES jobs_variants ON DELETE CASCADE,
    state_revision bigint NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Set when the requested run is over and the variant is still in the same state: `terminated` by an operator, else
    -- `ended`. No sensor requests another run for this state then. The rescuer requeues a variant whose run has ended.
    run_outcome text CONSTRAINT variant_requests_known_outcome CHECK (run_outcome IN ('ended', 'terminated')),
    -- How often the rescuer has requeued the variant in this state.
    requeues int NOT NULL DEFAULT 0
);

-- How many variants an operator wants to run at a time, and since when. The throttle never goes above it.
CREATE TABLE parallel_order (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    variants int NOT NULL CHECK (variants >= 1),
    ordered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Results: at most one current row per variant and stage --------------------------------------------------------
--
-- `revision` orders results: a result is fresh when its revision is higher than that of the stage before it. Rows that
-- the predecessor of this service wrote have no revision, so no stage builds on them.

CREATE TABLE vlm_traces (
    vlm_trace_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid,
    job_variants_id uuid REFERENCES jobs_variants ON DELETE CASCADE,
    provider varchar,
    operation_type varchar,
    request jsonb,
    response jsonb,
    latency_ms numeric,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    is_current boolean NOT NULL DEFAULT true,
    revision bigint
);
CREATE UNIQUE INDEX one_current_vlm_trace ON vlm_traces (job_variants_id, operation_type) WHERE is_current;

CREATE TABLE detections (
    detection_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    image_asset_id uuid,
    model_id uuid,
    job_id uuid,
    box jsonb,
    label varchar,
    score numeric(5, 4),
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    job_variants_id uuid REFERENCES jobs_variants ON DELETE CASCADE
);
CREATE INDEX idx_detections_job_variants_id ON detections (job_variants_id);

CREATE TABLE yolo_runs (
    yolo_run_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid,
    image_asset_id uuid,
    forbidden_mask_url text,
    model_name varchar,
    detection_count int,
    latency_ms numeric,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    job_variants_id uuid REFERENCES jobs_variants ON DELETE CASCADE,
    is_current boolean NOT NULL DEFAULT true,
    revision bigint,
    result jsonb,
    CONSTRAINT yolo_runs_name_their_variant CHECK (job_variants_id IS NOT NULL OR NOT is_current)
);
CREATE UNIQUE INDEX one_current_yolo_run ON yolo_runs (job_variants_id) WHERE is_current;

CREATE TABLE planner_proposals (
    proposal_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    image_asset_id uuid,
    prompt text,
    layout jsonb,
    latency_ms numeric,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    job_variants_id uuid REFERENCES jobs_variants ON DELETE CASCADE,
    is_current boolean NOT NULL DEFAULT true,
    revision bigint,
    picture_url text,
    CONSTRAINT planner_proposals_name_their_variant CHECK (job_variants_id IS NOT NULL OR NOT is_current)
);
CREATE UNIQUE INDEX one_current_planner_proposal ON planner_proposals (job_variants_id) WHERE is_current;

CREATE TABLE overlay_layouts (
    overlay_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    proposal_id uuid REFERENCES planner_proposals,
    job_variants_id uuid REFERENCES jobs_variants ON DELETE CASCADE,
    layout jsonb,
    x_ratio numeric(5, 4),
    y_ratio numeric(5, 4),
    width_ratio numeric(5, 4),
    height_ratio numeric(5, 4),
    text_margin varchar,
    latency_ms numeric,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    is_current boolean NOT NULL DEFAULT true,
    revision bigint,
    CONSTRAINT overlay_layouts_name_their_variant CHECK (job_variants_id IS NOT NULL OR NOT is_current)
);
CREATE UNIQUE INDEX one_current_overlay_layout ON overlay_layouts (job_variants_id) WHERE is_current;

CREATE TABLE evaluations (
    evaluation_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid,
    overlay_id uuid REFERENCES overlay_layouts,
    evaluation_type varchar,
    metrics jsonb,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    job_variants_id uuid REFERENCES jobs_variants ON DELETE CASCADE,
    is_current boolean NOT NULL DEFAULT true,
    revision bigint,
    latency_ms numeric,
    CONSTRAINT evaluations_name_their_variant CHECK (job_variants_id IS NOT NULL OR NOT is_current)
);
CREATE UNIQUE INDEX one_current_evaluation ON evaluations (job_variants_id, evaluation_type) WHERE is_current;

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

-- The state machine -----------------------------------------------------------------------------------------------
--
-- Errors that a caller can act on have a SQLSTATE of their own: JV404 no such variant · JV409 somebody else has moved
-- the variant · JV412 what the stage needs is missing or stale.

-- The position of the first stage whose result is missing or older than that of the stage before it; NULL when all
-- results are fresh.
CREATE FUNCTION first_stale_position(variant uuid) RETURNS int
STABLE LANGUAGE sql AS $$
    WITH results AS (
        SELECT variant_step_position(stage) AS step_position, revision
        FROM variant_results WHERE job_variants_id = variant
    ), chain AS (
        SELECT step_position, revision, lag(revision) OVER (ORDER BY step_position) AS revision_before
        FROM generate_series(1, cardinality(variant_stages())) AS steps (step_position)
        LEFT JOIN results USING (step_position)
    )
    SELECT min(step_position) FROM chain WHERE revision IS NULL OR revision < revision_before
$$;

-- The stage at which the next run of a startable variant begins: the one after its state, or an earlier one whose
-- result is missing or stale.
CREATE FUNCTION variant_start_stage(variant uuid, step text, status text) RETURNS text
STABLE LANGUAGE sql AS $$
    SELECT variant_step_at(least(variant_step_position(step) + CASE status WHEN 'done' THEN 1 ELSE 0 END,
                                 first_stale_position(variant)))
$$;

-- Claims the variant for a run and sets it to `running`. Returns NULL, or the run that holds the claim already, and
-- then nothing is changed. A caller who knows that this other run has ended passes it as `ended_run` and takes the
-- claim over.
CREATE FUNCTION begin_stage(variant uuid, stage text, run text, ended_run text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v jobs_variants;
    stage_position int := variant_step_position(stage);
    stale_position int;
BEGIN
    SELECT * INTO v FROM jobs_variants WHERE job_variants_id = variant FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no variant % in jobs_variants', variant USING ERRCODE = 'JV404',
            HINT = 'Use the job_variants_id of an existing row as the partition key.';
    END IF;
    IF v.claimed_by IS DISTINCT FROM run THEN
        IF v.claimed_by IS DISTINCT FROM ended_run AND v.claimed_by IS NOT NULL THEN
            RETURN v.claimed_by;
        END IF;
    ELSIF NOT ((v.current_step = stage AND v.status = 'running')
               OR (variant_step_position(v.current_step) = stage_position - 1 AND v.status = 'done')) THEN
        RAISE EXCEPTION 'variant % was moved to (%, %) while run % worked on it', variant, v.current_step, v.status, run
            USING ERRCODE = 'JV409', HINT = 'The next run continues from there; nothing of this one is needed.';
    END IF;
    IF v.current_step = 'img_gen' AND v.status <> 'done' THEN
        RAISE EXCEPTION 'variant % has no image yet: it is (img_gen, %)', variant, v.status
            USING ERRCODE = 'JV412', HINT = 'Run it when img_gen is done.';
    END IF;
    stale_position := first_stale_position(variant);
    IF stale_position < stage_position THEN
        RAISE EXCEPTION '% of variant % needs a fresh result of %, which is missing or older than its own inputs',
            stage, variant, variant_step_at(stale_position)
            USING ERRCODE = 'JV412', HINT = format('Run %s and the stages after it.', variant_step_at(stale_position));
    END IF;
    UPDATE jobs_variants
    SET current_step = stage, status = 'running', claimed_by = run, error = NULL,
        claim_revision = nextval('variant_revisions'),
        retry_count = CASE WHEN v.current_step = stage AND v.status = 'running' AND v.claimed_by <> run
                           THEN v.retry_count + 1 ELSE v.retry_count END
    WHERE job_variants_id = variant;
    RETURN NULL;
END $$;

-- Called first in the transaction that stores the result: locks the variant, checks that the run still holds the claim,
-- and returns the revision to store the result under. The last stage stays `running` until complete_variant has
-- verified the variant.
CREATE FUNCTION finish_stage(variant uuid, stage text, run text) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE jobs_variants
    SET status = CASE WHEN stage = last_variant_stage() THEN 'running' ELSE 'done' END, retry_count = 0,
        claim_revision = nextval('variant_revisions')
    WHERE job_variants_id = variant AND current_step = stage AND status = 'running' AND claimed_by = run;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'run % no longer holds stage % of variant %; its result is discarded', run, stage, variant
            USING ERRCODE = 'JV409', HINT = 'The state was changed meanwhile; the next run continues from it.';
    END IF;
    RETURN nextval('variant_revisions');
END $$;

-- Records why a stage failed; a final failure ends the variant. False when the run no longer holds the stage.
CREATE FUNCTION fail_stage(variant uuid, stage text, run text, message text, final boolean) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE jobs_variants SET error = message WHERE job_variants_id = variant
        AND current_step = stage AND status = 'running' AND claimed_by = run;
    IF FOUND AND final THEN
        UPDATE jobs_variants SET status = 'failed', claimed_by = NULL WHERE job_variants_id = variant;
        RETURN true;
    END IF;
    RETURN FOUND;
END $$;

-- Sets a job to done or failed when all its variants have ended. No other function completes a job. Calling it again
-- changes nothing, and two calls at the same moment wait for each other at the job's row. A job whose current_step is
-- none of our stages is left alone: it is not handed over yet, or js has taken it on. A done job stays done until one
-- of its variants has failed.
CREATE FUNCTION settle_job(job uuid, OUT complete int, OUT failed int, OUT total int, OUT job_status text)
LANGUAGE plpgsql AS $$
DECLARE
    step text;
BEGIN
    SELECT j.current_step, j.status INTO step, job_status FROM jobs j WHERE j.job_id = job FOR NO KEY UPDATE;
    SELECT count(*) FILTER (WHERE is_complete(v.current_step, v.status)),
           count(*) FILTER (WHERE v.status = 'failed'),
           count(*)
    INTO complete, failed, total
    FROM jobs_variants v WHERE v.job_id = job;
    IF (step = ANY (variant_stages())) IS NOT TRUE OR total = 0 OR complete + failed < total THEN
        RETURN;
    END IF;
    job_status := CASE WHEN failed = 0 THEN 'done' ELSE 'failed' END;
    UPDATE jobs j
    SET status = job_status, current_step = CASE WHEN failed = 0 THEN last_variant_stage() ELSE j.current_step END,
        updated_at = now()
    WHERE j.job_id = job
      AND (j.status IS DISTINCT FROM job_status OR (failed = 0 AND j.current_step <> last_variant_stage()));
END $$;

-- Verifies that the results of all stages are there and fresh, and sets the variant to done at the last stage. If it is
-- the last variant of its job, the trigger settle_job completes the job in the same transaction.
CREATE FUNCTION complete_variant(variant uuid, OUT complete int, OUT failed int, OUT total int, OUT job_status text)
LANGUAGE plpgsql AS $$
DECLARE
    v jobs_variants;
    stale_position int;
    last_revision bigint;
BEGIN
    SELECT * INTO v FROM jobs_variants WHERE job_variants_id = variant FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no variant % in jobs_variants', variant USING ERRCODE = 'JV404';
    END IF;
    IF v.current_step <> last_variant_stage() OR v.status NOT IN ('running', 'done') THEN
        RAISE EXCEPTION 'variant % is (%, %), not at the end of %', variant, v.current_step, v.status,
            last_variant_stage() USING ERRCODE = 'JV409';
    END IF;
    IF v.status = 'running' THEN
        stale_position := first_stale_position(variant);
        SELECT revision INTO last_revision
        FROM variant_results WHERE job_variants_id = variant AND stage = last_variant_stage();
        -- A result from before the claim is that of an earlier run.
        IF stale_position IS NULL AND last_revision <= coalesce(v.claim_revision, 0) THEN
            stale_position := variant_step_position(last_variant_stage());
        END IF;
        IF stale_position IS NOT NULL THEN
            RAISE EXCEPTION 'variant % is not complete: its result of % is missing or not fresh', variant,
                variant_step_at(stale_position) USING ERRCODE = 'JV412';
        END IF;
        UPDATE jobs_variants SET status = 'done', claimed_by = NULL, error = NULL WHERE job_variants_id = variant;
    END IF;
    SELECT s.* INTO complete, failed, total, job_status FROM settle_job(v.job_id) s;
END $$;

-- The rescuer calls it for a stage that a run left `running` when it ended. If the last stage has stored its result,
-- the variant is completed. Otherwise it becomes startable again at the same stage; at the third such end in one stage
-- it is failed. Returns what was done.
CREATE FUNCTION recover_stage(variant uuid, ended_run text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v jobs_variants;
BEGIN
    SELECT * INTO v FROM jobs_variants
    WHERE job_variants_id = variant AND is_at_work(current_step, status) AND claimed_by IS NOT DISTINCT FROM ended_run
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'moved on';
    END IF;
    IF v.current_step = last_variant_stage() AND first_stale_position(variant) IS NULL AND EXISTS (
        SELECT 1 FROM variant_results r
        WHERE r.job_variants_id = variant AND r.stage = last_variant_stage() AND r.revision > v.claim_revision) THEN
        PERFORM complete_variant(variant);
        RETURN 'completed';
    END IF;
    IF v.retry_count >= 2 THEN
        UPDATE jobs_variants
        SET status = 'failed', claimed_by = NULL,
            error = format('stage %s ended its worker %s times, last in run %s; see that run, then materialize %s again',
                           v.current_step, v.retry_count + 1, coalesce(ended_run, 'unknown'), v.current_step)
        WHERE job_variants_id = variant;
        RETURN 'failed';
    END IF;
    UPDATE jobs_variants
    SET current_step = variant_step_at(variant_step_position(v.current_step) - 1), status = 'done',
        claimed_by = NULL, retry_count = v.retry_count + 1
    WHERE job_variants_id = variant;
    RETURN 'restarted';
END $$;

-- A sensor may request a run for a state that was requested before: the same sensor at once, for its tick may have been
-- lost before Dagster created the run; another sensor after the time `kept`, for the first may no longer be evaluated.
CREATE FUNCTION may_request_again(
    requested_by text, requested_at timestamptz, run_outcome text, sensor text, kept interval) RETURNS boolean
STABLE PARALLEL SAFE
RETURN run_outcome IS NULL AND (requested_by = sensor OR requested_at < statement_timestamp() - kept);

-- Finds the variants that wait for a run, records that this sensor requests their runs, and returns them. Of several
-- sensors that call it at the same moment, each variant goes to one. The tenants take turns, each with its longest
-- waiting state first. Left out are variants with a run `in_flight`, which only Dagster knows, and states that had
-- their run. `requested_before`: this state was requested already, so Dagster may have a run for it.
CREATE FUNCTION request_startable_variants(sensor text, in_flight uuid[], most int, kept interval)
RETURNS TABLE (job_variants_id uuid, job_id uuid, tenant_id text, current_step text, status text, state_revision bigint,
               held_by text, requested_before boolean, start_stage text)
LANGUAGE sql AS $$
    WITH found AS (
        SELECT v.job_variants_id, v.job_id, j.tenant_id, v.current_step, v.status, v.state_revision,
               CASE WHEN v.claim_revision IS NOT NULL THEN v.claimed_by END AS held_by,
               row_number() OVER (PARTITION BY j.tenant_id ORDER BY v.state_revision) AS turn
        FROM jobs_variants v
        LEFT JOIN jobs j ON j.job_id = v.job_id
        WHERE is_startable(v.current_step, v.status)
          AND v.job_variants_id <> ALL (in_flight)
          AND NOT EXISTS (
              SELECT FROM variant_requests r
              WHERE r.job_variants_id = v.job_variants_id AND r.state_revision = v.state_revision
                AND NOT may_request_again(r.requested_by, r.requested_at, r.run_outcome, sensor, kept))
        ORDER BY turn, v.state_revision
        LIMIT most
    ), requested AS (
        INSERT INTO variant_requests AS r (job_variants_id, state_revision, requested_by)
        -- All sensors lock the rows in the same order.
        SELECT found.job_variants_id, found.state_revision, sensor FROM found ORDER BY found.job_variants_id
        ON CONFLICT (job_variants_id) DO UPDATE
        SET state_revision = excluded.state_revision, requested_by = excluded.requested_by,
            requested_at = clock_timestamp(), run_outcome = NULL,
            requeues = CASE WHEN r.state_revision = excluded.state_revision THEN r.requeues ELSE 0 END
        WHERE r.state_revision < excluded.state_revision
           OR (r.state_revision = excluded.state_revision
               AND may_request_again(r.requested_by, r.requested_at, r.run_outcome, sensor, kept))
        RETURNING r.job_variants_id
    )
    SELECT found.job_variants_id, found.job_id, found.tenant_id, found.current_step, found.status, found.state_revision,
           found.held_by,
           -- The whole statement reads variant_requests as it was before.
           EXISTS (SELECT FROM variant_requests r WHERE r.job_variants_id = found.job_variants_id
                   AND r.state_revision = found.state_revision),
           variant_start_stage(found.job_variants_id, found.current_step, found.status)
    FROM found JOIN requested USING (job_variants_id)
    ORDER BY found.turn, found.state_revision
$$;

-- How long the rescuer waits before it requeues a variant: 1, 2, 4 … 64 minutes.
CREATE FUNCTION requeue_pause(requeues int) RETURNS interval
IMMUTABLE PARALLEL SAFE
RETURN interval '1 minute' * 2 ^ least(requeues, 6);

-- The rescuer calls it for a startable variant whose run ended before it began its stage: the state gets a new
-- revision, so that a sensor requests a new run. False while the pause since the last try lasts. It never fails the
-- variant.
CREATE FUNCTION requeue_variant(variant uuid, seen_revision bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    new_revision bigint;
BEGIN
    UPDATE jobs_variants v SET current_step = v.current_step
    FROM variant_requests r
    WHERE v.job_variants_id = variant AND v.state_revision = seen_revision AND is_startable(v.current_step, v.status)
      AND r.job_variants_id = v.job_variants_id AND r.state_revision = v.state_revision
      AND v.updated_at < clock_timestamp() - requeue_pause(r.requeues)
    RETURNING v.state_revision INTO new_revision;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- The request goes with the state to its new revision, and any sensor may make it again at once.
    UPDATE variant_requests
    SET state_revision = new_revision, requested_at = '-infinity', run_outcome = NULL, requeues = requeues + 1
    WHERE job_variants_id = variant;
    RETURN true;
END $$;

-- An operator terminated the run, in a stage or between two stages: the variant is failed at that stage, with the
-- reason, until somebody runs it again. A variant whose state somebody has written since is left alone.
CREATE FUNCTION end_terminated_stage(variant uuid, ended_run text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE jobs_variants
    SET status = 'failed', current_step = next_step, claimed_by = NULL,
        error = format('run %s was terminated at stage %s; materialize %s to go on', ended_run, next_step, next_step)
    FROM (
        SELECT CASE status WHEN 'running' THEN current_step
                           ELSE variant_step_at(variant_step_position(current_step) + 1) END AS next_step
        FROM jobs_variants WHERE job_variants_id = variant
    ) AS at
    WHERE job_variants_id = variant AND claimed_by = ended_run AND claim_revision IS NOT NULL
      AND (status = 'running' OR (status = 'done' AND current_step <> last_variant_stage()));
    RETURN FOUND;
END $$;

-- Sets updated_at at every write.
CREATE FUNCTION stamp_variant() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$;

-- The trigger functions below run also for writers of other teams, whose sessions may have any search_path. So those
-- that name our tables or functions bring their own.

-- Gives the state a new revision at every write of current_step or status, also when the same values are written again.
-- begin_stage and finish_stage write a new claim_revision in the same statement. A state that was written without one
-- was moved by somebody else, and its claim is void.
CREATE FUNCTION stamp_variant_state() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    NEW.state_revision := nextval('variant_revisions');
    IF NEW.claim_revision IS NOT DISTINCT FROM OLD.claim_revision THEN
        NEW.claim_revision := NULL;
    END IF;
    RETURN NEW;
END $$;

-- A notification is a hint that wakes the sensors; the table is the truth. Every user of the database can read it, so
-- it holds ids, step and status only.
CREATE FUNCTION announce_variant_state() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR (OLD.current_step, OLD.status) IS DISTINCT FROM (NEW.current_step, NEW.status) THEN
        PERFORM pg_notify('job_variant_state_changed', json_build_object(
            'job_variants_id', NEW.job_variants_id, 'job_id', NEW.job_id,
            'current_step', NEW.current_step, 'status', NEW.status)::text);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION settle_job_of_variant() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    -- Not in the WHEN of the trigger: there PostgreSQL expands the function anew for every statement.
    IF has_ended(NEW.current_step, NEW.status) THEN
        PERFORM settle_job(NEW.job_id);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER stamp_variant BEFORE UPDATE ON jobs_variants
    FOR EACH ROW EXECUTE FUNCTION stamp_variant();
CREATE TRIGGER stamp_variant_state BEFORE UPDATE OF current_step, status ON jobs_variants
    FOR EACH ROW EXECUTE FUNCTION stamp_variant_state();
CREATE TRIGGER announce_variant_state AFTER INSERT OR UPDATE OF current_step, status ON jobs_variants
    FOR EACH ROW EXECUTE FUNCTION announce_variant_state();
CREATE TRIGGER settle_job AFTER INSERT OR UPDATE OF current_step, status ON jobs_variants
    FOR EACH ROW WHEN (NEW.status IN ('done', 'failed')) EXECUTE FUNCTION settle_job_of_variant();
