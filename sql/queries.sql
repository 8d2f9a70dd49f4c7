-- name: begin_stage
-- Claims a variant for a run and sets it to running. Returns NULL, or the run that holds the claim.
SELECT begin_stage(CAST(:variant AS uuid), :stage, :run, :ended_run, CAST(:asked_revision AS bigint));

-- name: load_variant
-- Everything a stage may read: ids, tenant, image, copy and the results of the stages before it. Of a text that is too
-- long anyway no more than 100,000 characters are read.
SELECT v.job_variants_id, v.job_id, v.img_asset_id, v.created_at,
       i.image_url, i.tenant_id AS image_tenant_id, j.tenant_id,
       left(coalesce((SELECT nullif(btrim(c.ad_copy_kor), '') FROM txt_ad_copy_generations c
                      WHERE c.job_id = v.job_id AND c.generation_stage = 'ad_copy_kor' AND c.status = 'done'
                      ORDER BY c.created_at DESC, c.pk DESC LIMIT 1), nullif(btrim(n.desc_kor), '')), 100000) AS copy_kor,
       left(coalesce((SELECT coalesce(nullif(btrim(c.refined_ad_copy_eng), ''), nullif(btrim(c.ad_copy_eng), ''))
                      FROM txt_ad_copy_generations c
                      WHERE c.job_id = v.job_id AND c.generation_stage = 'ad_copy_eng' AND c.status = 'done'
                      ORDER BY c.created_at DESC, c.pk DESC LIMIT 1), nullif(btrim(n.desc_eng), '')), 100000) AS copy_eng,
       left(coalesce(n.desc_eng, n.desc_kor), 100000) AS brief,
       d.forbidden_mask_url, o.image_url AS ad_url,
       (SELECT coalesce(jsonb_object_agg(r.stage, r.result), '{}') FROM variant_results r
        WHERE r.job_variants_id = v.job_variants_id) AS results
FROM jobs_variants v
LEFT JOIN jobs j ON j.job_id = v.job_id
LEFT JOIN job_inputs n ON n.job_id = v.job_id
LEFT JOIN image_assets i ON i.image_asset_id = v.img_asset_id
LEFT JOIN image_assets o ON o.image_asset_id = v.overlaid_img_asset_id
LEFT JOIN yolo_runs d ON d.job_variants_id = v.job_variants_id AND d.is_current
WHERE v.job_variants_id = CAST(:variant AS uuid);

-- name: finish_stage
-- Checks that the run holds the claim and returns the revision to store the result under. The first statement of the
-- transaction that stores the result.
SELECT finish_stage(CAST(:variant AS uuid), :stage, :run);

-- name: fail_stage
-- Records why a stage failed. A final failure ends the variant.
SELECT fail_stage(CAST(:variant AS uuid), :stage, :run, :message, :final);

-- name: give_back_stage
-- Lets a variant wait at the stage before, with the reason, for the picture store is in trouble.
SELECT give_back_stage(CAST(:variant AS uuid), :stage, :run, :message);

-- name: complete_variant
-- Verifies the results of all stages, completes the variant, and its job too if it was the last variant.
SELECT * FROM complete_variant(CAST(:variant AS uuid));

-- name: save_vlm_analyze
-- The analysis: one current trace per variant.
INSERT INTO vlm_traces (job_id, job_variants_id, provider, operation_type, request, response, latency_ms, revision,
                        is_current)
VALUES (CAST(:job AS uuid), CAST(:variant AS uuid), CAST(:result AS jsonb) -> 'model' ->> 'provider', 'analyze',
        CAST(:request AS jsonb), CAST(:result AS jsonb), :latency_ms, :revision, true)
ON CONFLICT (job_variants_id, operation_type) WHERE is_current DO UPDATE
SET provider = excluded.provider, request = excluded.request, response = excluded.response,
    latency_ms = excluded.latency_ms, revision = excluded.revision, updated_at = clock_timestamp();

-- name: save_yolo_detect
-- The run with its mask, and one row per object with its box in px for the other parts.
WITH result AS (
    SELECT CAST(:result AS jsonb) AS value
), gone AS (
    DELETE FROM detections WHERE job_variants_id = CAST(:variant AS uuid)
), boxes AS (
    INSERT INTO detections (image_asset_id, job_id, job_variants_id, box, label, score)
    SELECT CAST(:image AS uuid), CAST(:job AS uuid), CAST(:variant AS uuid),
           jsonb_build_array(round((o.box ->> 'x')::numeric * w, 2), round((o.box ->> 'y')::numeric * h, 2),
                             round(((o.box ->> 'x')::numeric + (o.box ->> 'width')::numeric) * w, 2),
                             round(((o.box ->> 'y')::numeric + (o.box ->> 'height')::numeric) * h, 2)),
           o.label, o.score
    FROM result,
         jsonb_to_recordset(value -> 'objects') AS o (label text, score numeric, box jsonb),
         LATERAL (SELECT (value -> 'size' ->> 'width_px')::numeric AS w,
                         (value -> 'size' ->> 'height_px')::numeric AS h) AS size
)
INSERT INTO yolo_runs (job_id, job_variants_id, image_asset_id, forbidden_mask_url, model_name, detection_count,
                       result, latency_ms, revision, is_current)
SELECT CAST(:job AS uuid), CAST(:variant AS uuid), CAST(:image AS uuid), :artifact_url, value -> 'model' ->> 'model',
       jsonb_array_length(value -> 'objects'), value, :latency_ms, :revision, true
FROM result
ON CONFLICT (job_variants_id) WHERE is_current DO UPDATE
SET image_asset_id = excluded.image_asset_id, forbidden_mask_url = excluded.forbidden_mask_url,
    model_name = excluded.model_name, detection_count = excluded.detection_count, result = excluded.result,
    latency_ms = excluded.latency_ms, revision = excluded.revision, updated_at = clock_timestamp();

-- name: save_planner
-- The ranked proposals and the picture of them.
INSERT INTO planner_proposals (image_asset_id, job_variants_id, prompt, layout, picture_url, latency_ms, revision,
                               is_current)
VALUES (CAST(:image AS uuid), CAST(:variant AS uuid), CAST(:result AS jsonb) #>> '{proposals,0,words}',
        CAST(:result AS jsonb), :artifact_url, :latency_ms, :revision, true)
ON CONFLICT (job_variants_id) WHERE is_current DO UPDATE
SET image_asset_id = excluded.image_asset_id, prompt = excluded.prompt, layout = excluded.layout,
    picture_url = excluded.picture_url, latency_ms = excluded.latency_ms, revision = excluded.revision,
    updated_at = clock_timestamp();

-- name: save_overlay
-- The layout, and the finished ad as the variant's overlaid image asset. A row that is not this variant's own ad, whoever
-- named it there, is left as it is.
WITH result AS (
    SELECT CAST(:result AS jsonb) AS value
), variant AS (
    SELECT v.job_variants_id, v.job_id, coalesce(own.image_asset_id, gen_random_uuid()) AS ad_id, j.tenant_id
    FROM jobs_variants v
    JOIN jobs j USING (job_id)
    LEFT JOIN image_assets own
        ON own.image_asset_id = v.overlaid_img_asset_id AND own.image_type = 'overlaid'
        AND own.job_id = v.job_id AND own.tenant_id = j.tenant_id
        AND NOT EXISTS (SELECT 1 FROM jobs_variants o
                        WHERE o.job_id = v.job_id AND o.job_variants_id <> v.job_variants_id
                          AND own.image_asset_id IN (o.overlaid_img_asset_id, o.img_asset_id))
    WHERE v.job_variants_id = CAST(:variant AS uuid)
), ad AS (
    INSERT INTO image_assets (image_asset_id, image_type, image_url, width, height, tenant_id, job_id)
    SELECT ad_id, 'overlaid', :artifact_url, (value -> 'size' ->> 'width_px')::int,
           (value -> 'size' ->> 'height_px')::int, tenant_id, job_id
    FROM variant, result
    ON CONFLICT (image_asset_id) DO UPDATE
    SET image_url = excluded.image_url, width = excluded.width, height = excluded.height,
        updated_at = clock_timestamp()
    RETURNING image_asset_id
), linked AS (
    UPDATE jobs_variants v SET overlaid_img_asset_id = ad.image_asset_id FROM ad
    WHERE v.job_variants_id = CAST(:variant AS uuid)
)
INSERT INTO overlay_layouts (proposal_id, job_variants_id, layout, x_ratio, y_ratio, width_ratio, height_ratio,
                             latency_ms, revision, is_current)
SELECT p.proposal_id, CAST(:variant AS uuid), value,
       (value -> 'ink' ->> 'x')::numeric, (value -> 'ink' ->> 'y')::numeric,
       (value -> 'ink' ->> 'width')::numeric, (value -> 'ink' ->> 'height')::numeric,
       :latency_ms, :revision, true
FROM result LEFT JOIN planner_proposals p ON p.job_variants_id = CAST(:variant AS uuid) AND p.is_current
ON CONFLICT (job_variants_id) WHERE is_current DO UPDATE
SET proposal_id = excluded.proposal_id, layout = excluded.layout, x_ratio = excluded.x_ratio,
    y_ratio = excluded.y_ratio, width_ratio = excluded.width_ratio, height_ratio = excluded.height_ratio,
    latency_ms = excluded.latency_ms, revision = excluded.revision, updated_at = clock_timestamp();

-- name: save_vlm_judge
-- The judgement as an evaluation, and its trace.
WITH trace AS (
    INSERT INTO vlm_traces (job_id, job_variants_id, provider, operation_type, request, response, latency_ms, revision,
                            is_current)
    VALUES (CAST(:job AS uuid), CAST(:variant AS uuid), CAST(:result AS jsonb) -> 'model' ->> 'provider', 'judge',
            CAST(:request AS jsonb), CAST(:result AS jsonb), :latency_ms, :revision, true)
    ON CONFLICT (job_variants_id, operation_type) WHERE is_current DO UPDATE
    SET provider = excluded.provider, request = excluded.request, response = excluded.response,
        latency_ms = excluded.latency_ms, revision = excluded.revision, updated_at = clock_timestamp()
)
INSERT INTO evaluations (job_id, job_variants_id, overlay_id, evaluation_type, metrics, latency_ms, revision,
                         is_current)
SELECT CAST(:job AS uuid), o.job_variants_id, o.overlay_id, 'llava_judge', CAST(:result AS jsonb), :latency_ms,
       :revision, true
FROM overlay_layouts o WHERE o.job_variants_id = CAST(:variant AS uuid) AND o.is_current
ON CONFLICT (job_variants_id, evaluation_type) WHERE is_current DO UPDATE
SET overlay_id = excluded.overlay_id, metrics = excluded.metrics, latency_ms = excluded.latency_ms,
    revision = excluded.revision, updated_at = clock_timestamp();

-- name: save_evaluation
-- One measurement of the finished ad: ocr, readability or iou.
INSERT INTO evaluations (job_id, job_variants_id, overlay_id, evaluation_type, metrics, latency_ms, revision,
                         is_current)
SELECT CAST(:job AS uuid), o.job_variants_id, o.overlay_id, replace(:stage, '_eval', ''), CAST(:result AS jsonb),
       :latency_ms, :revision, true
FROM overlay_layouts o WHERE o.job_variants_id = CAST(:variant AS uuid) AND o.is_current
ON CONFLICT (job_variants_id, evaluation_type) WHERE is_current DO UPDATE
SET overlay_id = excluded.overlay_id, metrics = excluded.metrics, latency_ms = excluded.latency_ms,
    revision = excluded.revision, updated_at = clock_timestamp();

-- name: save_verdict
-- The verdict on the finished ad, in the transaction of the last stage.
UPDATE jobs_variants SET verdict = CAST(:verdict AS jsonb) WHERE job_variants_id = CAST(:variant AS uuid);

-- name: any_startable_variant
-- Whether any variant is startable, also if its run is in flight. A waiting sensor asks this every few seconds.
SELECT EXISTS (SELECT 1 FROM jobs_variants WHERE is_startable(current_step, status) AND old_work IS NULL)
    OR EXISTS (SELECT 1 FROM jobs_variants WHERE old_work = 'released');

-- name: admit_released_work
-- Released old work becomes startable while few variants have a run or wait for one: new work goes first.
UPDATE jobs_variants SET old_work = NULL
WHERE job_variants_id IN (
    SELECT job_variants_id FROM jobs_variants
    WHERE old_work = 'released'
    ORDER BY state_revision
    LIMIT greatest(0, CAST(:room AS int) - cardinality(CAST(:in_flight AS uuid[])) - (
        SELECT count(*) FROM (
            SELECT FROM jobs_variants
            WHERE is_startable(current_step, status) AND old_work IS NULL
              AND job_variants_id <> ALL (CAST(:in_flight AS uuid[]))
            LIMIT CAST(:room AS int)) AS waiting))
    FOR UPDATE SKIP LOCKED)
RETURNING job_variants_id;

-- name: release_old_work
-- An operator starts old work that is held, the newest first. Returns how many variants were released.
SELECT release_old_work(CAST(:most AS int));

-- name: count_unknown_states
-- How many variants are in a state that nobody knows.
SELECT count(*) FROM unknown_variant_states;

-- name: count_held_work
-- How many variants are held and would start when they are released.
SELECT count(*) FROM jobs_variants
WHERE old_work = 'held' AND (is_startable(current_step, status) OR is_at_work(current_step, status));

-- name: request_startable_variants
-- Finds variants that wait for a run, and records that this sensor requests their runs.
SELECT job_variants_id, job_id, tenant_id, current_step, status, state_revision, held_by, requested_before, start_stage
FROM request_startable_variants(:sensor, CAST(:in_flight AS uuid[]), :most, make_interval(secs => :kept_s));

-- name: record_run_outcome
-- Records that the run requested for a state is over while the variant is still in it, so that no other is requested.
UPDATE variant_requests SET run_outcome = :outcome
WHERE job_variants_id = CAST(:variant AS uuid) AND state_revision = :state_revision
RETURNING job_variants_id;

-- name: release_requests
-- A daemon starts: what was requested of the one before it may have been lost with it. Any sensor may request it again
-- five seconds later, when the new daemon has resumed what it can.
UPDATE variant_requests SET requested_at = clock_timestamp() - make_interval(secs => :kept_s - 5)
WHERE run_outcome IS NULL AND requested_at > clock_timestamp() - make_interval(secs => :kept_s)
RETURNING job_variants_id;

-- name: find_held_variants
-- Startable variants with no run in flight that are still claimed: their run ended between two stages.
SELECT job_variants_id, state_revision, claimed_by AS held_by,
       variant_start_stage(job_variants_id, current_step, status) AS start_stage
FROM jobs_variants
WHERE is_startable(current_step, status) AND old_work IS NULL AND claimed_by IS NOT NULL AND claim_revision IS NOT NULL
  AND job_variants_id <> ALL (CAST(:in_flight AS uuid[]))
ORDER BY state_revision
LIMIT :most;

-- name: find_unbegun_variants
-- Startable variants with no run in flight although one was requested, and whose pause is over.
SELECT v.job_variants_id, v.state_revision,
       CASE WHEN v.claim_revision IS NOT NULL THEN v.claimed_by END AS held_by,
       variant_start_stage(v.job_variants_id, v.current_step, v.status) AS start_stage
FROM jobs_variants v
JOIN variant_requests r ON r.job_variants_id = v.job_variants_id AND r.state_revision = v.state_revision
WHERE is_startable(v.current_step, v.status) AND v.old_work IS NULL
  AND v.updated_at < clock_timestamp() - requeue_pause(r.requeues)
  AND v.job_variants_id <> ALL (CAST(:in_flight AS uuid[]))
ORDER BY v.state_revision
LIMIT :most;

-- name: notify_shutdown
-- Ends the wait of every sensor before the service stops.
SELECT pg_notify('job_variant_sensors', 'shutdown');

-- name: find_running_variants
-- Variants that a run works on, with the run that claimed them, and whose state was written at least so many seconds
-- ago.
SELECT job_variants_id, current_step, claimed_by
FROM jobs_variants
WHERE is_at_work(current_step, status) AND old_work IS NULL
  AND updated_at < clock_timestamp() - make_interval(secs => :older_than_s)
ORDER BY updated_at
LIMIT :most;

-- name: find_unsettled_jobs
-- Jobs noted by a trigger, when they are ours or gone; and of two hundred others in our hands those whose variants have
-- all ended: somebody has handed them over again. Which two hundred is left to chance, so that each has its turn.
-- Jobs with nothing but old work stay as they were found.
WITH random_place AS (
    SELECT min(pk) + floor(random() * (max(pk) - min(pk) + 1)) AS pk FROM jobs WHERE is_in_our_hands(current_step, status)
), looked_at AS (
    (SELECT j.job_id FROM jobs j
     WHERE is_in_our_hands(j.current_step, j.status) AND j.pk >= (SELECT pk::int FROM random_place)
     ORDER BY j.pk LIMIT 200)
    UNION ALL
    (SELECT j.job_id FROM jobs j
     WHERE is_in_our_hands(j.current_step, j.status) AND j.pk < (SELECT pk::int FROM random_place)
     ORDER BY j.pk LIMIT 200)
    LIMIT 200
)
SELECT u.job_id
FROM unsettled_jobs u LEFT JOIN jobs j USING (job_id)
WHERE j.job_id IS NULL OR j.current_step = ANY (variant_stages())
UNION
SELECT l.job_id
FROM looked_at l
CROSS JOIN LATERAL (
    SELECT bool_and(has_ended(v.current_step, v.status)) AND bool_or(v.old_work IS NULL) AS to_settle
    FROM jobs_variants v WHERE v.job_id = l.job_id
) AS variants
WHERE to_settle
LIMIT :most;

-- name: settle_job
-- Sets a job to done or failed when all its variants have ended.
SELECT * FROM settle_job(CAST(:job AS uuid));

-- name: recover_stage
-- Repairs a stage that an ended run left running. Returns what was done.
SELECT recover_stage(CAST(:variant AS uuid), :ended_run);

-- name: end_terminated_stage
-- Fails a variant whose run an operator terminated, unless somebody has moved it since.
SELECT end_terminated_stage(CAST(:variant AS uuid), :ended_run, CAST(:asked_revision AS bigint));

-- name: requeue_variant
-- Gives a startable variant whose run ended before its stage began a new revision, so that a new run is requested.
SELECT requeue_variant(CAST(:variant AS uuid), :state_revision);

-- name: find_ended_variants
-- Those of the given variants that have ended, with the time. For those that have no row any more the time is NULL.
SELECT asked.job_variants_id, v.updated_at AS ended_at
FROM unnest(CAST(:variants AS uuid[])) AS asked (job_variants_id)
LEFT JOIN jobs_variants v USING (job_variants_id)
WHERE v.job_variants_id IS NULL OR has_ended(v.current_step, v.status);

-- name: find_used_pictures
-- Those of the given URLs that a row refers to. The limits keep the server from reading whole tables for a join.
SELECT asked.url
FROM unnest(CAST(:urls AS text[])) AS asked (url)
CROSS JOIN LATERAL (
    (SELECT FROM image_assets i WHERE i.image_url = asked.url LIMIT 1)
    UNION ALL (SELECT FROM image_assets i WHERE i.mask_url = asked.url LIMIT 1)
    UNION ALL (SELECT FROM yolo_runs y WHERE y.forbidden_mask_url = asked.url LIMIT 1)
    UNION ALL (SELECT FROM planner_proposals p WHERE p.picture_url = asked.url LIMIT 1)
    LIMIT 1
) AS used;

-- name: remove_past_requests
-- Removes the requests of variants that have ended; nothing asks for them any more. Returns how many.
WITH removed AS (
    DELETE FROM variant_requests
    WHERE job_variants_id IN (
        SELECT r.job_variants_id
        FROM variant_requests r
        CROSS JOIN LATERAL (
            SELECT FROM jobs_variants v
            WHERE v.job_variants_id = r.job_variants_id AND has_ended(v.current_step, v.status)
            LIMIT 1
        ) AS ended
        LIMIT :most
        FOR UPDATE OF r SKIP LOCKED)
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: find_broken_invariants
-- What must never be, and is: see the view.
SELECT invariant, job_id, job_variants_id FROM broken_invariants LIMIT :most;

-- name: find_unfinished_done_jobs
-- Done jobs with a variant that was added later, or that is run again, and has not ended.
SELECT j.job_id, p.complete, p.failed, p.total
FROM (SELECT DISTINCT v.job_id FROM jobs_variants v WHERE NOT has_ended(v.current_step, v.status)) AS unfinished
JOIN jobs j USING (job_id)
CROSS JOIN LATERAL job_progress(j.job_id) p
WHERE j.status = 'done' AND j.current_step = ANY (variant_stages())
LIMIT :most;

-- name: find_old_jobs
-- Jobs that ended before a time and of which no variant has changed since, the oldest first.
SELECT j.job_id
FROM jobs j
WHERE j.status IN ('done', 'failed') AND j.updated_at < CAST(:before AS timestamptz)
  AND NOT EXISTS (
      SELECT FROM jobs_variants v
      WHERE v.job_id = j.job_id
        AND (v.updated_at >= CAST(:before AS timestamptz) OR NOT has_ended(v.current_step, v.status)))
ORDER BY j.updated_at
LIMIT :most;

-- name: delete_job
-- Removes a job with all its rows. Returns its variants, and its pictures that no row names any more.
SELECT variants, pictures FROM delete_job(CAST(:job AS uuid));

-- name: order_parallel
-- Records how many variants an operator wants to run at a time.
INSERT INTO parallel_order (variants) VALUES (:variants)
ON CONFLICT (only_row) DO UPDATE SET variants = excluded.variants, ordered_at = clock_timestamp()
RETURNING variants;

-- name: parallel_order
-- How many variants the operator last wanted to run at a time, and when.
SELECT variants, ordered_at FROM parallel_order;

-- name: read_lease
-- The service that holds this database, and how often it has renewed that.
SELECT holder, renewals, taken_at FROM service_lease;

-- name: take_lease
-- Takes the database for a service, if nobody has held it, or nobody has renewed it since it was read.
INSERT INTO service_lease AS lease (holder) VALUES (CAST(:holder AS jsonb))
ON CONFLICT (only_row) DO UPDATE
SET holder = excluded.holder, renewals = lease.renewals + 1, taken_at = clock_timestamp()
WHERE lease.renewals = :renewals_seen
RETURNING renewals;

-- name: renew_lease
-- Says that the service is alive. No row when another service has taken the database.
UPDATE service_lease SET renewals = renewals + 1 WHERE holder = CAST(:holder AS jsonb) RETURNING renewals;

-- name: release_lease
-- The service has ended.
DELETE FROM service_lease WHERE holder = CAST(:holder AS jsonb) RETURNING renewals;
