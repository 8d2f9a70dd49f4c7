-- A run names the state that it was requested for. No order of writers of jobs and jobs_variants ends in a deadlock. A
-- variant that is deleted settles its job.

-- A job that is handed over and not done or failed yet.
CREATE FUNCTION is_in_our_hands(step text, status text) RETURNS boolean
IMMUTABLE PARALLEL SAFE
RETURN step = ANY (variant_stages()) AND coalesce(status, 'none') NOT IN ('done', 'failed');

-- Jobs that settle_job has to look at again: their variants have ended before the hand-over, or a trigger could not have
-- the job's row without waiting. The rescuer reads it. Nothing here is unique and nothing refers to jobs, so that a
-- writer of variants never waits for another one.
CREATE TABLE unsettled_jobs (
    job_id uuid NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX idx_unsettled_jobs_job_id ON unsettled_jobs (job_id);

-- The stage at which the next run of a startable variant begins: the one after its state, or an earlier one whose
-- result is missing or stale. Before the first stage there is none to look for.
CREATE OR REPLACE FUNCTION variant_start_stage(variant uuid, step text, status text) RETURNS text
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

DROP FUNCTION begin_stage(uuid, text, text, text);

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

-- Records why a stage failed; a final failure ends the variant. False when the run no longer holds the stage.
CREATE OR REPLACE FUNCTION fail_stage(variant uuid, stage text, run text, message text, final boolean) RETURNS boolean
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
CREATE OR REPLACE FUNCTION settle_job(job uuid, OUT complete int, OUT failed int, OUT total int, OUT job_status text)
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
CREATE OR REPLACE FUNCTION complete_variant(
    variant uuid, OUT complete int, OUT failed int, OUT total int, OUT job_status text)
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
CREATE OR REPLACE FUNCTION recover_stage(variant uuid, ended_run text) RETURNS text
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

DROP FUNCTION end_terminated_stage(uuid, text);

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

-- A variant has ended, or is no more: settles its job. Whoever writes variants may hold rows that the holder of the job
-- waits for, so it never waits for the job, and a snapshot of a stricter isolation may be too old to count the variants:
-- then the job is noted for the rescuer.
CREATE OR REPLACE FUNCTION settle_job_of_variant() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
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

CREATE TRIGGER settle_job_without_variant AFTER DELETE ON jobs_variants
    FOR EACH ROW EXECUTE FUNCTION settle_job_of_variant();
