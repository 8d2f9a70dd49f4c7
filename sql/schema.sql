-- The whole schema as it is today, to read. It builds the same database as sql/migrations; a test compares the two.
--
-- A variant's state is (current_step, status):
--
--   (img_gen, queued) → (img_gen, done)            ye; or an insert as done, or as (vlm_analyze, queued)
--   (S - 1, done) → (S, running)                   begin_stage: a run claims the variant
--   (S, running) → (S, done)                       finish_stage, in the transaction that stores the result
--   (iou_eval, running) → (iou_eval, done)         complete_variant, when the results of all stages are fresh
--   (S, running) → (S, failed)                     fail_stage, end_terminated_stage
--   (S, running) → (S - 1, done) or (S, failed)    recover_stage, when the run has died
--   (S - 1, done) → (S, failed)                    end_terminated_stage, when the run never began
--   any → (S, done)                                an operator: continue with the stage after S; refused for the last
--                                                  stage unless the results of all stages are fresh
--
-- An operator may release old work: (S, running) → (S - 1, done), release_old_work. Steps of other teams and states that
-- nobody knows can stand there too; they never start.
--
-- Only settle_job writes the end of a job: done when every variant is (iou_eval, done), failed when all variants have
-- ended and at least one has failed. The view broken_invariants says what must never be.
--
-- Locks: whoever needs both locks the row of the job first, then that of the variant. Our functions also wait for no
-- variant while they hold its job, and our triggers wait for nothing, so no other order of a writer ends in a deadlock.

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

-- Steps that the other teams write, into jobs and sometimes into jobs_variants. They never start a variant.
CREATE FUNCTION other_steps() RETURNS text[]
IMMUTABLE PARALLEL SAFE
RETURN ARRAY['user_img_input', 'user_txt_input', 'gpt_llm_translation', 'gpt_llm_generation', 'ab_vote',
             'gen_vlm_analyze', 'feed_gen'];

-- The name under which this project knows a step that somebody has written in upper case, with spaces, or as the
-- predecessor's vlm_planner. No step at all is img_gen, but not when it is done: that would start the variant.
CREATE FUNCTION known_step(step text, status text) RETURNS text
IMMUTABLE PARALLEL SAFE
RETURN CASE lower(btrim(coalesce(step, '')))
           WHEN 'vlm_planner' THEN 'planner'
           WHEN '' THEN CASE WHEN status = 'done' THEN '' ELSE 'img_gen' END
           ELSE lower(btrim(step)) END;

CREATE FUNCTION known_status(status text) RETURNS text
IMMUTABLE PARALLEL SAFE
RETURN lower(btrim(coalesce(nullif(btrim(status), ''), 'queued')));

-- A run can start: the step before a stage is done, or somebody has queued a stage.
CREATE FUNCTION is_startable(step text, status text) RETURNS boolean
IMMUTABLE PARALLEL SAFE
RETURN (status = 'done' AND step = ANY (variant_steps()) AND step <> last_variant_stage())
    OR (status = 'queued' AND step = ANY (variant_stages()));

-- A run works on a stage; an image that ye is generating does not count.
CREATE FUNCTION is_at_work(step text, status text) RETURNS boolean
IMMUTABLE PARALLEL SAFE
RETURN status = 'running' AND step = ANY (variant_stages());

CREATE FUNCTION is_complete(step text, status text) RETURNS boolean
IMMUTABLE PARALLEL SAFE
RETURN status = 'done' AND step = last_variant_stage();

-- Complete or failed.
CREATE FUNCTION has_ended(step text, status text) RETURNS boolean
IMMUTABLE PARALLEL SAFE
RETURN status = 'failed' OR is_complete(step, status);

-- A job that is handed over and not done or failed yet.
CREATE FUNCTION is_in_our_hands(step text, status text) RETURNS boolean
IMMUTABLE PARALLEL SAFE
RETURN step = ANY (variant_stages()) AND coalesce(status, 'none') NOT IN ('done', 'failed');

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
-- Retention asks for pictures by their URL, which can be longer than a B-tree takes.
CREATE INDEX idx_image_assets_image_url ON image_assets USING hash (image_url);
CREATE INDEX idx_image_assets_mask_url ON image_assets USING hash (mask_url) WHERE mask_url IS NOT NULL;
CREATE INDEX idx_image_assets_job_id ON image_assets (job_id);
CREATE INDEX idx_image_assets_tenant_id ON image_assets (tenant_id);

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
CREATE INDEX idx_jobs_with_variants_in_work ON jobs (pk) WHERE is_in_our_hands(current_step, status);
CREATE INDEX idx_jobs_tenant_id ON jobs (tenant_id);

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

CREATE INDEX idx_job_inputs_img_asset_id ON job_inputs (img_asset_id);

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
    state_revision bigint NOT NULL DEFAULT 0,
    error text,
    -- How good the finished ad is, as measured: pass, warn or fail, with reasons and a score.
    verdict jsonb,
    -- What was there before this project and has not been touched since: `held`, or `released` by an operator and
    -- behind all new work. NULL for everything else, and as soon as somebody writes the state.
    old_work varchar,
    CONSTRAINT jobs_variants_known_old_work CHECK (old_work IN ('held', 'released'))
-- Room for the next version of a row beside it. Only what is no change of state goes there without new index entries.
) WITH (fillfactor = 85);
CREATE INDEX idx_jobs_variants_status ON jobs_variants (status);
CREATE INDEX idx_jobs_variants_current_step ON jobs_variants (current_step);
CREATE INDEX idx_jobs_variants_job_id_status ON jobs_variants (job_id, status);
-- What the sensor and the rescuer read stays small however long the history is.
CREATE INDEX idx_jobs_variants_startable ON jobs_variants (state_revision)
    WHERE is_startable(current_step, status) AND old_work IS NULL;
CREATE INDEX idx_jobs_variants_running ON jobs_variants (state_revision)
    WHERE is_at_work(current_step, status) AND old_work IS NULL;
CREATE INDEX idx_jobs_variants_released ON jobs_variants (state_revision) WHERE old_work = 'released';
CREATE INDEX idx_jobs_variants_img_asset_id ON jobs_variants (img_asset_id);
CREATE INDEX idx_jobs_variants_overlaid_img_asset_id ON jobs_variants (overlaid_img_asset_id);

-- Variants in a state that nobody knows. They never start; somebody has to say what is meant.
CREATE VIEW unknown_variant_states AS
SELECT job_variants_id, job_id, current_step, status, updated_at
FROM jobs_variants
WHERE current_step <> ALL (variant_steps() || other_steps()) OR status NOT IN ('queued', 'running', 'done', 'failed');

-- The last request of a run for each variant: which state of it, and which sensor requested the run. Dagster's run keys
-- prevent a second run only within one sensor, and there are several. A request counts as long as the state lasts; no
-- revision comes twice.
CREATE TABLE variant_requests (
    job_variants_id uuid PRIMARY KEY REFERENCES jobs_variants ON DELETE CASCADE,
    state_revision bigint NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Set when the requested run is over and the variant is still in the same state: `terminated` by an operator, else
    -- `ended`. No sensor requests another run for this state then, until the variant is requeued.
    run_outcome text CONSTRAINT variant_requests_known_outcome CHECK (run_outcome IN ('ended', 'terminated')),
    -- How often the variant was requeued in this state.
    requeues int NOT NULL DEFAULT 0
);

-- Jobs that settle_job has to look at again: their variants have ended before the hand-over, or a trigger could not have
-- the job's row without waiting. The rescuer reads it. Nothing here is unique and nothing refers to jobs, so that a
-- writer of variants never waits for another one.
CREATE TABLE unsettled_jobs (
    job_id uuid NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX idx_unsettled_jobs_job_id ON unsettled_jobs (job_id);

-- How many variants an operator wants to run at a time, and since when. The throttle never goes above it.
CREATE TABLE parallel_order (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    variants int NOT NULL CHECK (variants >= 1),
    ordered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The one service that works on this database. It counts `renewals` up every two seconds; a service that wants to start
-- watches the number, so no clocks are compared.
CREATE TABLE service_lease (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Host, folder, process and address of the service, as JSON.
    holder jsonb NOT NULL,
    renewals bigint NOT NULL DEFAULT 0,
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Results: at most one current row per variant and stage --------------------------------------------------------
--
-- `revision` orders results: a result is fresh when its revision is higher than that of the stage before it. Rows that
-- the predecessor of this service wrote have no revision, so no stage builds on them. Rows of other writers are not
-- current, so they neither collide with ours nor stand in for them.

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
    is_current boolean NOT NULL DEFAULT false,
    revision bigint
);
CREATE UNIQUE INDEX one_current_vlm_trace ON vlm_traces (job_variants_id, operation_type) WHERE is_current;
CREATE INDEX idx_vlm_traces_job_variants_id ON vlm_traces (job_variants_id);

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
    is_current boolean NOT NULL DEFAULT false,
    revision bigint,
    result jsonb,
    CONSTRAINT yolo_runs_name_their_variant CHECK (job_variants_id IS NOT NULL OR NOT is_current)
);
CREATE UNIQUE INDEX one_current_yolo_run ON yolo_runs (job_variants_id) WHERE is_current;
CREATE INDEX idx_yolo_runs_job_variants_id ON yolo_runs (job_variants_id);
CREATE INDEX idx_yolo_runs_forbidden_mask_url ON yolo_runs USING hash (forbidden_mask_url);

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
    is_current boolean NOT NULL DEFAULT false,
    revision bigint,
    picture_url text,
    CONSTRAINT planner_proposals_name_their_variant CHECK (job_variants_id IS NOT NULL OR NOT is_current)
);
CREATE UNIQUE INDEX one_current_planner_proposal ON planner_proposals (job_variants_id) WHERE is_current;
CREATE INDEX idx_planner_proposals_job_variants_id ON planner_proposals (job_variants_id);
CREATE INDEX idx_planner_proposals_picture_url ON planner_proposals USING hash (picture_url);

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
    is_current boolean NOT NULL DEFAULT false,
    revision bigint,
    CONSTRAINT overlay_layouts_name_their_variant CHECK (job_variants_id IS NOT NULL OR NOT is_current)
);
CREATE UNIQUE INDEX one_current_overlay_layout ON overlay_layouts (job_variants_id) WHERE is_current;
CREATE INDEX idx_overlay_layouts_job_variants_id ON overlay_layouts (job_variants_id);
CREATE INDEX idx_overlay_layouts_proposal_id ON overlay_layouts (proposal_id);

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
    is_current boolean NOT NULL DEFAULT false,
    revision bigint,
    latency_ms numeric,
    CONSTRAINT evaluations_name_their_variant CHECK (job_variants_id IS NOT NULL OR NOT is_current)
);
CREATE UNIQUE INDEX one_current_evaluation ON evaluations (job_variants_id, evaluation_type) WHERE is_current;
CREATE INDEX idx_evaluations_job_variants_id ON evaluations (job_variants_id);
CREATE INDEX idx_evaluations_overlay_id ON evaluations (overlay_id);

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
-- result is missing or stale. Before the first stage there is none to look for.
CREATE FUNCTION variant_start_stage(variant uuid, step text, status text) RETURNS text
STABLE LANGUAGE sql AS $$
    SELECT variant_step_at(CASE WHEN next_position <= 1 THEN 1
                                ELSE least(next_position, first_stale_position(variant)) END)
    FROM (SELECT variant_step_position(step) + CASE status WHEN 'done' THEN 1 ELSE 0 END AS next_position) AS next
$$;

-- Locks the row of the variant's job, then that of the variant, and returns the variant; all columns are NULL when there
-- is none. A writer of another part may have locked the variant first and want the job next: then the job is let go and
-- both are tried again.
CREATE FUNCTION lock_variant(variant uuid) RETURNS jobs_variants
LANGUAGE plpgsql AS $$
DECLARE
    v jobs_variants;
BEGIN
    FOR attempt IN 1..500 LOOP
        BEGIN
            PERFORM FROM jobs WHERE job_id = (SELECT job_id FROM jobs_variants WHERE job_variants_id = variant)
            FOR NO KEY UPDATE;
            SELECT * INTO v FROM jobs_variants WHERE job_variants_id = variant FOR NO KEY UPDATE SKIP LOCKED;
            IF FOUND OR NOT EXISTS (SELECT FROM jobs_variants WHERE job_variants_id = variant) THEN
                RETURN v;
            END IF;
            RAISE SQLSTATE 'JV423';
        EXCEPTION WHEN SQLSTATE 'JV423' THEN
            -- The end of this block has released the job.
            PERFORM pg_sleep(0.01);
        END;
    END LOOP;
    -- Somebody holds the variant for long. Nothing but the end of that transaction helps.
    SELECT * INTO v FROM jobs_variants WHERE job_variants_id = variant FOR NO KEY UPDATE;
    RETURN v;
END $$;

-- Claims the variant for a run and sets it to `running`. Returns NULL, or the run that holds the claim already, and
-- then nothing is changed. A caller who knows that this other run has ended passes it as `ended_run` and takes the
-- claim over. `asked_revision` is the state that the run was requested for: when the run comes to the variant for the
-- first time and the state has been written since, the run is refused. NULL, of a run that a person started: any state.
CREATE FUNCTION begin_stage(
    variant uuid, stage text, run text, ended_run text DEFAULT NULL, asked_revision bigint DEFAULT NULL) RETURNS text
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
        IF v.state_revision <> asked_revision THEN
            RAISE EXCEPTION 'run % was requested for state % of variant %, which is now (%, %), state %',
                run, asked_revision, variant, v.current_step, v.status, v.state_revision
                USING ERRCODE = 'JV409', HINT = 'Nothing is lost: another run works from the new state.';
        END IF;
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
    IF final THEN
        PERFORM lock_variant(variant);
    END IF;
    UPDATE jobs_variants SET error = message WHERE job_variants_id = variant
        AND current_step = stage AND status = 'running' AND claimed_by = run;
    IF FOUND AND final THEN
        UPDATE jobs_variants SET status = 'failed', claimed_by = NULL WHERE job_variants_id = variant;
        RETURN true;
    END IF;
    RETURN FOUND;
END $$;

-- How many variants of a job are complete, have failed, and are there.
CREATE FUNCTION job_progress(job uuid, OUT complete int, OUT failed int, OUT total int)
STABLE LANGUAGE sql AS $$
    SELECT count(*) FILTER (WHERE is_complete(v.current_step, v.status)),
           count(*) FILTER (WHERE v.status = 'failed'),
           count(*)
    FROM jobs_variants v WHERE v.job_id = job
$$;

-- Sets a job to done or failed when all its variants have ended. No other function completes a job. Calling it again
-- changes nothing, and two calls at the same moment wait for each other at the job's row. A job whose current_step is
-- none of our stages is left alone: it is not handed over yet, or js has taken it on. A done job stays done until one
-- of its variants has failed and none is in work, also when a variant is added.
CREATE FUNCTION settle_job(job uuid, OUT complete int, OUT failed int, OUT total int, OUT job_status text)
LANGUAGE plpgsql AS $$
DECLARE
    j jobs;
    is_ours boolean;
BEGIN
    SELECT * INTO j FROM jobs WHERE job_id = job FOR NO KEY UPDATE;
    is_ours := j.current_step = ANY (variant_stages());
    -- Before the variants are counted: whatever was noted until now is counted. A stricter isolation counts what was
    -- there before its transaction, so it leaves the notes.
    DELETE FROM unsettled_jobs u
    WHERE u.job_id = job AND (is_ours OR j.job_id IS NULL)
      AND current_setting('transaction_isolation') = 'read committed';
    SELECT p.* INTO complete, failed, total FROM job_progress(job) p;
    job_status := j.status;
    IF j.job_id IS NULL OR total = 0 OR complete + failed < total THEN
        RETURN;
    END IF;
    IF is_ours IS NOT TRUE THEN
        INSERT INTO unsettled_jobs (job_id)
        SELECT job WHERE NOT EXISTS (SELECT FROM unsettled_jobs u WHERE u.job_id = job);
        RETURN;
    END IF;
    job_status := CASE WHEN failed = 0 THEN 'done' ELSE 'failed' END;
    UPDATE jobs
    SET status = job_status, current_step = CASE WHEN failed = 0 THEN last_variant_stage() ELSE j.current_step END,
        updated_at = now()
    WHERE job_id = job
      AND (j.status IS DISTINCT FROM job_status OR (failed = 0 AND j.current_step <> last_variant_stage()));
END $$;

-- Says which result a variant lacks that somebody wants to set to done at the last stage.
CREATE FUNCTION refuse_completion(variant uuid, stage text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'variant % is not complete: its result of % is missing or not fresh', variant, stage
        USING ERRCODE = 'JV412',
              HINT = format('Set it to (%s, done): the missing stages run then.',
                            variant_step_at(variant_step_position(stage) - 1));
END $$;

-- Sets a variant to done at the last stage; a trigger refuses that unless the results of all stages are fresh. If it is
-- the last variant of its job, the trigger settle_job completes the job in the same transaction.
CREATE FUNCTION complete_variant(variant uuid, OUT complete int, OUT failed int, OUT total int, OUT job_status text)
LANGUAGE plpgsql AS $$
DECLARE
    v jobs_variants := lock_variant(variant);
BEGIN
    IF v.job_variants_id IS NULL THEN
        RAISE EXCEPTION 'there is no variant % in jobs_variants', variant USING ERRCODE = 'JV404';
    END IF;
    IF v.current_step <> last_variant_stage() OR v.status NOT IN ('running', 'done') THEN
        RAISE EXCEPTION 'variant % is (%, %), not at the end of %', variant, v.current_step, v.status,
            last_variant_stage() USING ERRCODE = 'JV409';
    END IF;
    IF v.status = 'running' THEN
        -- A result from before the claim is that of an earlier run.
        PERFORM FROM variant_results r
        WHERE r.job_variants_id = variant AND r.stage = last_variant_stage() AND r.revision <= v.claim_revision;
        IF FOUND THEN
            PERFORM refuse_completion(variant, last_variant_stage());
        END IF;
        UPDATE jobs_variants SET status = 'done', claimed_by = NULL, error = NULL WHERE job_variants_id = variant;
    ELSE
        PERFORM settle_job(v.job_id);
    END IF;
    SELECT p.*, j.status INTO complete, failed, total, job_status
    FROM job_progress(v.job_id) p LEFT JOIN jobs j ON j.job_id = v.job_id;
END $$;

-- The rescuer calls it for a stage that a run left `running` when it ended. If the last stage has stored its result,
-- the variant is completed. Otherwise it becomes startable again at the same stage; at the third such end in one stage
-- it is failed. Returns what was done.
CREATE FUNCTION recover_stage(variant uuid, ended_run text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v jobs_variants := lock_variant(variant);
BEGIN
    IF (is_at_work(v.current_step, v.status) AND v.claimed_by IS NOT DISTINCT FROM ended_run) IS NOT TRUE THEN
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

-- The store of the pictures is in trouble, which is not the variant's fault: it waits at the stage before, with the
-- reason, and nothing is counted against it. Any sensor may request its run again five seconds later: a request is kept
-- for a minute. False when the run no longer holds the stage.
CREATE FUNCTION give_back_stage(variant uuid, stage text, run text, message text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    new_revision bigint;
BEGIN
    UPDATE jobs_variants
    SET current_step = variant_step_at(variant_step_position(current_step) - 1), status = 'done', claimed_by = NULL,
        error = message
    WHERE job_variants_id = variant AND current_step = stage AND status = 'running' AND claimed_by = run
    RETURNING state_revision INTO new_revision;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO variant_requests AS r (job_variants_id, state_revision, requested_by, requested_at)
    VALUES (variant, new_revision, 'nobody', clock_timestamp() - interval '55 seconds')
    ON CONFLICT (job_variants_id) DO UPDATE
    SET state_revision = excluded.state_revision, requested_by = excluded.requested_by,
        requested_at = excluded.requested_at, run_outcome = NULL, requeues = 0;
    RETURN true;
END $$;

-- A sensor may request a run for a state that was requested before: the same sensor at once, for its tick may have been
-- lost before Dagster created the run; another sensor after the time `kept`, for the first may no longer be evaluated.
CREATE FUNCTION may_request_again(
    requested_by text, requested_at timestamptz, run_outcome text, sensor text, kept interval) RETURNS boolean
STABLE PARALLEL SAFE
RETURN run_outcome IS NULL AND (requested_by = sensor OR requested_at < statement_timestamp() - kept);

-- Finds the variants that wait for a run, records that this sensor requests their runs, and returns them. Of several
-- sensors that call it at the same moment, each variant goes to one. The tenants take turns, each with its longest
-- waiting state first. Left out are variants with a run `in_flight`, which only Dagster knows, states that had their
-- run, and variants that somebody is deleting. `requested_before`: this state was requested already, so Dagster may have
-- a run for it.
CREATE FUNCTION request_startable_variants(sensor text, in_flight uuid[], most int, kept interval)
RETURNS TABLE (job_variants_id uuid, job_id uuid, tenant_id text, current_step text, status text, state_revision bigint,
               held_by text, requested_before boolean, start_stage text)
LANGUAGE sql AS $$
    WITH startable AS (
        SELECT v.job_variants_id, v.job_id, v.current_step, v.status, v.state_revision,
               -- One look-up for each: a join would read all jobs.
               (SELECT j.tenant_id FROM jobs j WHERE j.job_id = v.job_id) AS tenant_id,
               CASE WHEN v.claim_revision IS NOT NULL THEN v.claimed_by END AS held_by
        FROM jobs_variants v
        WHERE is_startable(v.current_step, v.status) AND v.old_work IS NULL
          AND NOT EXISTS (SELECT FROM unnest(in_flight) AS busy (variant) WHERE busy.variant = v.job_variants_id)
          AND NOT EXISTS (
              SELECT FROM variant_requests r
              WHERE r.job_variants_id = v.job_variants_id AND r.state_revision = v.state_revision
                AND NOT may_request_again(r.requested_by, r.requested_at, r.run_outcome, sensor, kept))
    ), found AS MATERIALIZED (
        SELECT startable.*,
               row_number() OVER (PARTITION BY startable.tenant_id COLLATE "C" ORDER BY startable.state_revision) AS turn
        FROM startable
        ORDER BY turn, startable.state_revision
        LIMIT most
    ), kept_rows AS MATERIALIZED (
        -- Now the requests below wait for no writer of variants.
        SELECT v.job_variants_id
        FROM jobs_variants v
        WHERE v.job_variants_id = ANY (ARRAY(SELECT found.job_variants_id FROM found))
        FOR KEY SHARE SKIP LOCKED
    ), requested AS (
        INSERT INTO variant_requests AS r (job_variants_id, state_revision, requested_by)
        -- All sensors lock the rows in the same order.
        SELECT found.job_variants_id, found.state_revision, sensor
        FROM found JOIN kept_rows USING (job_variants_id)
        ORDER BY found.job_variants_id
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

-- An operator starts old work, the newest first: all of it, at most so many variants, or that of one job. What was
-- running has no worker any more and begins its stage again. Returns how many variants were released.
CREATE FUNCTION release_old_work(most int DEFAULT NULL, of_job uuid DEFAULT NULL) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    released int;
BEGIN
    UPDATE jobs_variants v
    SET old_work = 'released', status = CASE WHEN v.status = 'running' THEN 'done' ELSE v.status END,
        current_step = CASE WHEN v.status = 'running' THEN variant_step_at(variant_step_position(v.current_step) - 1)
                            ELSE v.current_step END
    FROM (
        SELECT job_variants_id FROM jobs_variants
        WHERE old_work = 'held' AND (is_startable(current_step, status) OR is_at_work(current_step, status))
          AND (of_job IS NULL OR job_id = of_job)
        ORDER BY created_at DESC, job_variants_id
        LIMIT most
        FOR UPDATE
    ) chosen
    WHERE v.job_variants_id = chosen.job_variants_id;
    GET DIAGNOSTICS released = ROW_COUNT;
    RETURN released;
END $$;

-- How long the sensors wait before they requeue a variant: 1, 4, 16 … 4,096 seconds.
CREATE FUNCTION requeue_pause(requeues int) RETURNS interval
IMMUTABLE PARALLEL SAFE
RETURN interval '1 second' * 4 ^ least(requeues, 6);

-- The sensors call it for a startable variant whose run ended before it began its stage: the state gets a new
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

-- An operator terminated the run: the variant is failed at the stage that the run was in or would have begun next, with
-- the reason, until somebody runs it again. A run that never began counts when the variant is still in the state that it
-- was requested for, `asked_revision`. A variant whose state somebody has written since is left alone.
CREATE FUNCTION end_terminated_stage(variant uuid, ended_run text, asked_revision bigint DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v jobs_variants := lock_variant(variant);
    next_step text := CASE v.status WHEN 'done' THEN variant_step_at(variant_step_position(v.current_step) + 1)
                                    ELSE v.current_step END;
BEGIN
    IF (is_at_work(v.current_step, v.status) OR is_startable(v.current_step, v.status)) IS NOT TRUE
       OR ((v.claimed_by = ended_run AND v.claim_revision IS NOT NULL) OR v.state_revision = asked_revision) IS NOT TRUE
    THEN
        RETURN false;
    END IF;
    UPDATE jobs_variants
    SET status = 'failed', current_step = next_step, claimed_by = NULL,
        error = format('run %s was terminated at stage %s; materialize %s to go on', ended_run, next_step, next_step)
    WHERE job_variants_id = variant;
    RETURN true;
END $$;

-- Removes a job with all its rows. Returns its variants, and the URLs of its pictures that no row names any more; both
-- are NULL where there is no such job. An image that another row refers to stays, whoever's table that is. The function
-- runs with the rights of its owner, so the service need not be allowed to delete rows of other teams.
CREATE FUNCTION delete_job(job uuid, OUT variants uuid[], OUT pictures text[])
LANGUAGE plpgsql AS $$
DECLARE
    images uuid[];
    layouts uuid[];
    image uuid;
BEGIN
    PERFORM FROM jobs j WHERE j.job_id = job FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT coalesce(array_agg(v.job_variants_id), '{}') INTO variants FROM jobs_variants v WHERE v.job_id = job;
    SELECT coalesce(array_agg(own.image_asset_id), '{}') INTO images FROM (
        SELECT i.image_asset_id FROM image_assets i WHERE i.job_id = job
        UNION SELECT i.image_asset_id FROM image_assets i
        JOIN (SELECT unnest(ARRAY[v.img_asset_id, v.overlaid_img_asset_id]) FROM jobs_variants v WHERE v.job_id = job
              UNION ALL SELECT n.img_asset_id FROM job_inputs n WHERE n.job_id = job) AS used (image)
            ON i.image_asset_id = used.image
        WHERE i.job_id IS NULL
    ) AS own;
    SELECT coalesce(array_agg(DISTINCT named.url), '{}') INTO pictures FROM (
        SELECT unnest(ARRAY[i.image_url, i.mask_url]) FROM image_assets i WHERE i.image_asset_id = ANY (images)
        UNION ALL SELECT y.forbidden_mask_url FROM yolo_runs y
        WHERE y.job_variants_id = ANY (variants) OR (y.job_variants_id IS NULL AND y.job_id = job)
        UNION ALL SELECT p.picture_url FROM planner_proposals p WHERE p.job_variants_id = ANY (variants)
    ) AS named (url) WHERE named.url IS NOT NULL;
    -- Results of before this service may name the job or its image, and no variant.
    SELECT coalesce(array_agg(o.overlay_id), '{}') INTO layouts
    FROM overlay_layouts o LEFT JOIN planner_proposals p ON p.proposal_id = o.proposal_id
    WHERE o.job_variants_id = ANY (variants)
       OR (o.job_variants_id IS NULL AND p.job_variants_id IS NULL AND p.image_asset_id = ANY (images));
    DELETE FROM evaluations e
    WHERE e.job_variants_id = ANY (variants) OR (e.job_variants_id IS NULL AND e.job_id = job)
       OR e.overlay_id = ANY (layouts);
    DELETE FROM overlay_layouts o WHERE o.overlay_id = ANY (layouts);
    DELETE FROM planner_proposals p
    WHERE p.job_variants_id = ANY (variants) OR (p.job_variants_id IS NULL AND p.image_asset_id = ANY (images));
    DELETE FROM detections d
    WHERE d.job_variants_id = ANY (variants) OR (d.job_variants_id IS NULL AND d.job_id = job);
    DELETE FROM yolo_runs y
    WHERE y.job_variants_id = ANY (variants) OR (y.job_variants_id IS NULL AND y.job_id = job);
    DELETE FROM vlm_traces t
    WHERE t.job_variants_id = ANY (variants) OR (t.job_variants_id IS NULL AND t.job_id = job);
    DELETE FROM jobs j WHERE j.job_id = job;
    FOREACH image IN ARRAY images LOOP
        BEGIN
            DELETE FROM image_assets i WHERE i.image_asset_id = image;
        EXCEPTION WHEN foreign_key_violation THEN
            -- Another job, or a table of another team, refers to it.
            UPDATE image_assets i SET job_id = NULL WHERE i.image_asset_id = image AND i.job_id = job;
        END;
    END LOOP;
    SELECT coalesce(array_agg(named.url), '{}') INTO pictures FROM unnest(pictures) AS named (url)
    WHERE NOT EXISTS (SELECT FROM image_assets i WHERE i.image_url = named.url)
      AND NOT EXISTS (SELECT FROM image_assets i WHERE i.mask_url = named.url)
      AND NOT EXISTS (SELECT FROM yolo_runs y WHERE y.forbidden_mask_url = named.url)
      AND NOT EXISTS (SELECT FROM planner_proposals p WHERE p.picture_url = named.url);
END $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION delete_job SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
END $$;
-- It holds the job and waits for its variants. As this is less than PostgreSQL's deadlock_timeout, it gives up before
-- anybody who waits the other way round meets a deadlock; the caller tries again.
ALTER FUNCTION delete_job SET lock_timeout = '200ms';
REVOKE EXECUTE ON FUNCTION delete_job FROM PUBLIC;

-- Gives the state that somebody writes its known name. A new variant gets its revision here and not by a default, for a
-- default would need the writer's right on the sequence. Old work that somebody writes a state for is no longer old.
CREATE FUNCTION accept_variant_state() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.status := known_status(NEW.status);
    NEW.current_step := known_step(NEW.current_step, NEW.status);
    IF TG_OP = 'INSERT' THEN
        NEW.state_revision := nextval('variant_revisions');
        NEW.retry_count := 0;
    ELSIF NEW.old_work IS NOT DISTINCT FROM OLD.old_work THEN
        NEW.old_work := NULL;
    END IF;
    RETURN NEW;
END $$;

-- Sets updated_at at every write.
CREATE FUNCTION stamp_variant() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$;

-- The trigger functions run also for writers of other teams, whose roles have no rights on what is ours and whose
-- sessions may have any search_path. So those that name our tables or functions run with the rights of their owner and
-- bring their own search_path, see the end of this file.

-- Gives the state a new revision at every write of current_step or status, also when the same values are written again.
-- begin_stage and finish_stage write a new claim_revision in the same statement. A state that was written without one
-- was moved by somebody else, and its claim is void.
CREATE FUNCTION stamp_variant_state() RETURNS trigger
LANGUAGE plpgsql AS $$
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

-- Complete means that all results are there and fresh, whoever writes the state.
CREATE FUNCTION verify_completion() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    stale_position int;
BEGIN
    IF is_complete(NEW.current_step, NEW.status)
       -- What was complete stays so, under whatever name of the step.
       AND (TG_OP = 'INSERT' OR NOT is_complete(known_step(OLD.current_step, OLD.status), known_status(OLD.status))) THEN
        stale_position := first_stale_position(NEW.job_variants_id);
        IF stale_position IS NOT NULL THEN
            PERFORM refuse_completion(NEW.job_variants_id, variant_step_at(stale_position));
        END IF;
    END IF;
    RETURN NEW;
END $$;

-- A variant has ended, or is no more: settles its job. Whoever writes variants may hold rows that the holder of the job
-- waits for, so it never waits for the job, and a snapshot of a stricter isolation may be too old to count the variants:
-- then the job is noted for the rescuer.
CREATE FUNCTION settle_job_of_variant() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    v jobs_variants := coalesce(NEW, OLD);
BEGIN
    -- Not in the WHEN of the trigger: there PostgreSQL expands the function anew for every statement.
    IF TG_OP <> 'DELETE' AND NOT has_ended(v.current_step, v.status) THEN
        RETURN NULL;
    END IF;
    IF current_setting('transaction_isolation') = 'read committed' THEN
        PERFORM FROM jobs j WHERE j.job_id = v.job_id FOR NO KEY UPDATE SKIP LOCKED;
        IF FOUND THEN
            PERFORM settle_job(v.job_id);
            RETURN NULL;
        END IF;
    END IF;
    -- No row of a job that goes with its variants.
    INSERT INTO unsettled_jobs (job_id) SELECT j.job_id FROM jobs j WHERE j.job_id = v.job_id;
    RETURN NULL;
END $$;

CREATE TRIGGER accept_variant_state BEFORE INSERT OR UPDATE OF current_step, status ON jobs_variants
    FOR EACH ROW EXECUTE FUNCTION accept_variant_state();
CREATE TRIGGER stamp_variant BEFORE UPDATE ON jobs_variants
    FOR EACH ROW EXECUTE FUNCTION stamp_variant();
CREATE TRIGGER stamp_variant_state BEFORE UPDATE OF current_step, status ON jobs_variants
    FOR EACH ROW EXECUTE FUNCTION stamp_variant_state();
CREATE TRIGGER announce_variant_state AFTER INSERT OR UPDATE OF current_step, status ON jobs_variants
    FOR EACH ROW EXECUTE FUNCTION announce_variant_state();
CREATE TRIGGER verify_completion BEFORE INSERT OR UPDATE OF current_step, status ON jobs_variants
    FOR EACH ROW WHEN (NEW.status = 'done') EXECUTE FUNCTION verify_completion();
CREATE TRIGGER settle_job AFTER INSERT OR UPDATE OF current_step, status ON jobs_variants
    FOR EACH ROW WHEN (NEW.status IN ('done', 'failed')) EXECUTE FUNCTION settle_job_of_variant();
CREATE TRIGGER settle_job_without_variant AFTER DELETE ON jobs_variants
    FOR EACH ROW EXECUTE FUNCTION settle_job_of_variant();

-- With pg_temp named last, no temporary table of the writer stands before ours.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['accept_variant_state', 'stamp_variant_state', 'verify_completion',
                                'settle_job_of_variant'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SECURITY DEFINER SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
END $$;

-- What must never be ----------------------------------------------------------------------------------------------

-- One row for each thing that is wrong; none on a sound database. `make doctor` reads it. What the rescuer repairs within
-- seconds counts only when it lasts. Jobs with nothing but old work are as they were found.
CREATE VIEW broken_invariants AS
WITH progress AS (
    SELECT v.job_id, count(*) AS total,
           count(*) FILTER (WHERE is_complete(v.current_step, v.status)) AS complete,
           count(*) FILTER (WHERE v.status = 'failed') AS failed,
           max(v.updated_at) < now() - interval '5 minutes' AS is_at_rest,
           bool_and(v.old_work IS NOT NULL) AS is_old
    FROM jobs_variants v GROUP BY v.job_id
), settled AS (
    SELECT j.job_id, j.status, j.updated_at, p.failed, p.is_at_rest
    FROM jobs j JOIN progress p USING (job_id)
    WHERE j.current_step = ANY (variant_stages()) AND p.complete + p.failed = p.total AND NOT p.is_old
      AND NOT EXISTS (SELECT FROM unsettled_jobs u WHERE u.job_id = j.job_id)
)
SELECT 'a job is done although all variants have ended and one has failed' AS invariant, job_id,
       NULL::uuid AS job_variants_id
FROM settled WHERE status = 'done' AND failed > 0
UNION ALL
SELECT 'a job is failed although all variants are complete', job_id, NULL
FROM settled WHERE status = 'failed' AND failed = 0
UNION ALL
SELECT 'a job is neither done nor failed although all variants have ended, for five minutes', job_id, NULL
FROM settled
WHERE coalesce(status, 'none') NOT IN ('done', 'failed') AND is_at_rest
  AND coalesce(updated_at, '-infinity') < now() - interval '5 minutes'
UNION ALL
SELECT 'a job is noted as unsettled for five minutes', u.job_id, NULL
FROM unsettled_jobs u JOIN jobs j USING (job_id)
WHERE j.current_step = ANY (variant_stages()) AND u.noted_at < now() - interval '5 minutes'
UNION ALL
-- Where the service before this one has completed a variant, no result has a revision.
SELECT 'a variant is complete although a result is missing or not fresh', v.job_id, v.job_variants_id
FROM jobs_variants v
WHERE is_complete(v.current_step, v.status) AND first_stale_position(v.job_variants_id) IS NOT NULL
  AND EXISTS (SELECT FROM variant_results r WHERE r.job_variants_id = v.job_variants_id)
UNION ALL
SELECT 'a variant is complete without an ad', v.job_id, v.job_variants_id
FROM jobs_variants v
WHERE is_complete(v.current_step, v.status) AND v.overlaid_img_asset_id IS NULL
  AND EXISTS (SELECT FROM variant_results r WHERE r.job_variants_id = v.job_variants_id)
UNION ALL
SELECT 'two variants have the same ad', v.job_id, v.job_variants_id
FROM jobs_variants v JOIN jobs_variants other USING (overlaid_img_asset_id)
WHERE other.job_variants_id <> v.job_variants_id
UNION ALL
SELECT 'the ad of a variant belongs to another tenant than its job', v.job_id, v.job_variants_id
FROM jobs_variants v
JOIN jobs j USING (job_id)
JOIN image_assets ad ON ad.image_asset_id = v.overlaid_img_asset_id
WHERE ad.tenant_id <> j.tenant_id
UNION ALL
SELECT 'a variant is at work without a run, for five minutes', v.job_id, v.job_variants_id
FROM jobs_variants v
WHERE is_at_work(v.current_step, v.status) AND v.old_work IS NULL AND v.claimed_by IS NULL
  AND v.updated_at < now() - interval '5 minutes'
UNION ALL
SELECT 'a claim is newer than the state that it wrote', v.job_id, v.job_variants_id
FROM jobs_variants v WHERE v.claim_revision > v.state_revision
UNION ALL
SELECT 'a run was requested for a state that is still to come', v.job_id, v.job_variants_id
FROM variant_requests r JOIN jobs_variants v USING (job_variants_id)
WHERE r.state_revision > v.state_revision;
