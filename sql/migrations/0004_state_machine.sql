-- The state machine of a variant and the completion of a job. Errors a caller can act on have their own SQLSTATE:
-- JV404 no such variant · JV409 the state was moved by somebody else · JV412 what the stage needs is not there.

CREATE FUNCTION variant_step_position(step text) RETURNS int
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT array_position(ARRAY['img_gen', 'vlm_analyze', 'yolo_detect', 'planner', 'overlay', 'vlm_judge',
                                'ocr_eval', 'readability_eval', 'iou_eval'], step) - 1
$$;

CREATE FUNCTION variant_step_at(step_position int) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT (ARRAY['img_gen', 'vlm_analyze', 'yolo_detect', 'planner', 'overlay', 'vlm_judge', 'ocr_eval',
                  'readability_eval', 'iou_eval'])[step_position + 1]
$$;

-- The first stage whose result is missing or older than that of the stage before it; 9 when all eight are fresh.
CREATE FUNCTION first_stale_position(variant uuid) RETURNS int
STABLE LANGUAGE sql AS $$
    WITH results AS (
        SELECT variant_step_position(stage) AS step_position, revision
        FROM variant_results WHERE job_variants_id = variant
    ), chain AS (
        SELECT step_position, revision, lag(revision) OVER (ORDER BY step_position) AS revision_before
        FROM generate_series(1, 8) AS steps (step_position) LEFT JOIN results USING (step_position)
    )
    SELECT coalesce(min(step_position), 9) FROM chain WHERE revision IS NULL OR revision < revision_before
$$;

-- Claims the variant for a run and commits it to `running`. Returns NULL, or the run that holds the claim already.
-- A caller who knows that the holder has ended names it in `ended_run` and takes the claim over.
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

-- Called first in the transaction that stores the result: locks the variant, proves the claim and returns the
-- revision to store the result under. iou_eval stays `running` until complete_variant has verified the variant.
CREATE FUNCTION finish_stage(variant uuid, stage text, run text) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE jobs_variants
    SET status = CASE WHEN stage = 'iou_eval' THEN 'running' ELSE 'done' END, retry_count = 0,
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

-- Settles a job from its variants. THE function that completes a job: idempotent, serialized on the job's row.
-- A job not handed over to us, or already past us, is left alone; a done job stays done until a variant has failed.
CREATE FUNCTION settle_job(job uuid, OUT complete int, OUT failed int, OUT total int, OUT job_status text)
LANGUAGE plpgsql AS $$
DECLARE
    step text;
BEGIN
    SELECT j.current_step, j.status INTO step, job_status FROM jobs j WHERE j.job_id = job FOR NO KEY UPDATE;
    SELECT count(*) FILTER (WHERE v.current_step = 'iou_eval' AND v.status = 'done'),
           count(*) FILTER (WHERE v.status = 'failed'),
           count(*)
    INTO complete, failed, total
    FROM jobs_variants v WHERE v.job_id = job;
    IF coalesce(variant_step_position(step), 0) = 0 OR total = 0 OR complete + failed < total THEN
        RETURN;
    END IF;
    job_status := CASE WHEN failed = 0 THEN 'done' ELSE 'failed' END;
    UPDATE jobs j
    SET status = job_status, current_step = CASE WHEN failed = 0 THEN 'iou_eval' ELSE j.current_step END,
        updated_at = now()
    WHERE j.job_id = job
      AND (j.status IS DISTINCT FROM job_status OR (failed = 0 AND j.current_step <> 'iou_eval'));
END $$;

-- Verifies that all eight results are there and fresh, marks the variant (iou_eval, done) and, by the trigger below
-- in the same transaction, completes the job when it was the last.
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
    IF v.current_step <> 'iou_eval' OR v.status NOT IN ('running', 'done') THEN
        RAISE EXCEPTION 'variant % is (%, %), not at the end of iou_eval', variant, v.current_step, v.status
            USING ERRCODE = 'JV409';
    END IF;
    IF v.status = 'running' THEN
        stale_position := first_stale_position(variant);
        SELECT revision INTO last_revision FROM variant_results WHERE job_variants_id = variant AND stage = 'iou_eval';
        IF stale_position = 9 AND last_revision <= coalesce(v.claim_revision, 0) THEN
            stale_position := 8;
        END IF;
        IF stale_position < 9 THEN
            RAISE EXCEPTION 'variant % is not complete: its result of % is missing or not fresh', variant,
                variant_step_at(stale_position) USING ERRCODE = 'JV412';
        END IF;
        UPDATE jobs_variants SET status = 'done', claimed_by = NULL, error = NULL WHERE job_variants_id = variant;
    END IF;
    SELECT s.* INTO complete, failed, total, job_status FROM settle_job(v.job_id) s;
END $$;

-- What the rescuer does for a stage left `running` by a run that has ended: verify it if its result is there, else hand
-- it back to the sensor at the same stage; a stage that killed its worker three times is failed. Returns what was done.
CREATE FUNCTION recover_stage(variant uuid, ended_run text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v jobs_variants;
BEGIN
    SELECT * INTO v FROM jobs_variants
    WHERE job_variants_id = variant AND status = 'running' AND current_step <> 'img_gen'
      AND claimed_by IS NOT DISTINCT FROM ended_run
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'moved on';
    END IF;
    IF v.current_step = 'iou_eval' AND first_stale_position(variant) = 9 AND EXISTS (
        SELECT 1 FROM variant_results r
        WHERE r.job_variants_id = variant AND r.stage = 'iou_eval' AND r.revision > v.claim_revision) THEN
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

-- What the rescuer does for a startable variant whose run ended before its stage began: a new revision, so that the
-- sensor asks for a new run. Waits 1, 2, 4 … 64 minutes between tries and never fails the variant.
CREATE FUNCTION nudge_variant(variant uuid, seen_revision bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE jobs_variants SET current_step = current_step, retry_count = retry_count + 1
    WHERE job_variants_id = variant AND state_revision = seen_revision AND status IN ('done', 'queued')
      AND updated_at < clock_timestamp() - interval '1 minute' * 2 ^ least(retry_count, 6);
    RETURN FOUND;
END $$;

-- An operator terminated the run, in a stage or between two: the variant ends there, visibly, until somebody runs it
-- again. A variant that was moved since is left alone.
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
      AND (status = 'running' OR (status = 'done' AND current_step <> 'iou_eval'));
    RETURN FOUND;
END $$;

-- updated_at, and a revision that changes whenever somebody writes the state, also when it writes the same one again.
-- The functions above renew the claim with the state; a state written without that was moved by somebody else.
CREATE FUNCTION stamp_variant() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$;

-- Other teams, whose roles have no rights on what is ours, write while an existing database is migrated.
CREATE FUNCTION stamp_variant_state() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    NEW.state_revision := nextval('variant_revisions');
    IF NEW.claim_revision IS NOT DISTINCT FROM OLD.claim_revision THEN
        NEW.claim_revision := NULL;
    END IF;
    RETURN NEW;
END $$;

-- A wake-up hint, never the truth: ids, step and status only, readable by every user of the database.
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
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM settle_job(NEW.job_id);
    RETURN NULL;
END $$;

CREATE TRIGGER stamp_variant BEFORE UPDATE ON jobs_variants
    FOR EACH ROW EXECUTE FUNCTION stamp_variant();
CREATE TRIGGER stamp_variant_state BEFORE UPDATE OF current_step, status ON jobs_variants
    FOR EACH ROW EXECUTE FUNCTION stamp_variant_state();
CREATE TRIGGER announce_variant_state AFTER INSERT OR UPDATE OF current_step, status ON jobs_variants
    FOR EACH ROW EXECUTE FUNCTION announce_variant_state();
CREATE TRIGGER settle_job AFTER INSERT OR UPDATE OF current_step, status ON jobs_variants
    FOR EACH ROW WHEN (NEW.status = 'failed' OR (NEW.status = 'done' AND NEW.current_step = 'iou_eval'))
    EXECUTE FUNCTION settle_job_of_variant();
