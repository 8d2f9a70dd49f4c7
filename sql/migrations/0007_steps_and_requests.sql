-- The order of the steps is written once, in variant_steps(): constraints, indexes, triggers and functions read it
-- there. One function finds the variants that wait for a run and records which sensor requests it. nudge_variant is now
-- called requeue_variant.

-- step: the order of the steps, and what it means
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

CREATE OR REPLACE FUNCTION variant_step_position(step text) RETURNS int
IMMUTABLE PARALLEL SAFE
RETURN array_position(variant_steps(), step) - 1;

CREATE OR REPLACE FUNCTION variant_step_at(step_position int) RETURNS text
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

ALTER TABLE jobs_variants DROP CONSTRAINT IF EXISTS jobs_variants_known_step;

-- step: the index of jobs in work is built anew
DROP INDEX IF EXISTS idx_jobs_with_variants_in_work;

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_with_variants_in_work ON jobs (job_id)
    WHERE status NOT IN ('done', 'failed') AND current_step = ANY (variant_stages());

-- step: the indexes of startable and running variants are built anew
DROP INDEX IF EXISTS idx_jobs_variants_startable;
DROP INDEX IF EXISTS idx_jobs_variants_running;

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_variants_startable ON jobs_variants (state_revision)
    WHERE is_startable(current_step, status);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_variants_running ON jobs_variants (updated_at)
    WHERE is_at_work(current_step, status);

-- step: requests, and the functions that read the order
-- A state that had its run is not requested again. How often a variant was requeued no longer counts as restarts of its
-- stage after a crash.
ALTER TABLE variant_requests ADD COLUMN run_outcome text
    CONSTRAINT variant_requests_known_outcome CHECK (run_outcome IN ('ended', 'terminated'));
ALTER TABLE variant_requests ADD COLUMN requeues int NOT NULL DEFAULT 0;

CREATE OR REPLACE FUNCTION first_stale_position(variant uuid) RETURNS int
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

CREATE OR REPLACE FUNCTION finish_stage(variant uuid, stage text, run text) RETURNS bigint
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

CREATE OR REPLACE FUNCTION settle_job(job uuid, OUT complete int, OUT failed int, OUT total int, OUT job_status text)
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

CREATE OR REPLACE FUNCTION complete_variant(
    variant uuid, OUT complete int, OUT failed int, OUT total int, OUT job_status text)
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

CREATE OR REPLACE FUNCTION recover_stage(variant uuid, ended_run text) RETURNS text
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

DROP FUNCTION nudge_variant(uuid, bigint);

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

CREATE OR REPLACE FUNCTION end_terminated_stage(variant uuid, ended_run text) RETURNS boolean
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

-- Writers of other teams may have any search_path.
ALTER FUNCTION stamp_variant_state() SET search_path FROM CURRENT;
CREATE OR REPLACE FUNCTION settle_job_of_variant() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    -- Not in the WHEN of the trigger: there PostgreSQL expands the function anew for every statement.
    IF has_ended(NEW.current_step, NEW.status) THEN
        PERFORM settle_job(NEW.job_id);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER settle_job AFTER INSERT OR UPDATE OF current_step, status ON jobs_variants
    FOR EACH ROW WHEN (NEW.status IN ('done', 'failed')) EXECUTE FUNCTION settle_job_of_variant();
