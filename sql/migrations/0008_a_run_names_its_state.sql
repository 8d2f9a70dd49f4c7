-- A run names the state that it was requested for. A run that was terminated before it began ends its variant, too.

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

DROP FUNCTION end_terminated_stage(uuid, text);
-- An operator terminated the run: the variant is failed at the stage that the run was in or would have begun next, with
-- the reason, until somebody runs it again. A run that never began counts when the variant is still in the state that it
-- was requested for, `asked_revision`. A variant whose state somebody has written since is left alone.
CREATE FUNCTION end_terminated_stage(variant uuid, ended_run text, asked_revision bigint DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE jobs_variants
    SET status = 'failed', current_step = next_step, claimed_by = NULL,
        error = format('run %s was terminated at stage %s; materialize %s to go on', ended_run, next_step, next_step)
    FROM (
        SELECT CASE status WHEN 'done' THEN variant_step_at(variant_step_position(current_step) + 1)
                           ELSE current_step END AS next_step
        FROM jobs_variants WHERE job_variants_id = variant
    ) AS at
    WHERE job_variants_id = variant
      AND (is_at_work(current_step, status) OR is_startable(current_step, status))
      AND ((claimed_by = ended_run AND claim_revision IS NOT NULL) OR state_revision = asked_revision);
    RETURN FOUND;
END $$;
