-- name: clear
-- No jobs, and nothing that belongs to one.
DELETE FROM jobs;

-- name: add_jobs
-- Jobs by their number, at a step.
INSERT INTO jobs (job_id, current_step, status)
SELECT ('00000000-0000-0000-0000-' || lpad(to_hex(n * 16), 12, '0'))::uuid, :step, 'running'
FROM generate_series(1, :rounds) n;

-- name: add_ads
-- A finished ad for each variant, under the variant's id.
INSERT INTO image_assets (image_asset_id, image_url)
SELECT ('00000000-0000-0000-0000-' || lpad(to_hex(n * 16 + v), 12, '0'))::uuid, '/assets/yh/' || n || '/' || v || '.png'
FROM generate_series(1, :rounds) n, generate_series(1, :variants) v
ON CONFLICT DO NOTHING;

-- name: add_variants
-- The variants of each job, before the check of their last stage.
INSERT INTO jobs_variants (job_variants_id, job_id, creation_order, current_step, status, claimed_by, claim_revision,
                           overlaid_img_asset_id)
SELECT variant, job, v, 'iou_eval', 'running', 'run', nextval('variant_revisions'), variant
FROM generate_series(1, :rounds) n, generate_series(1, :variants) v,
     LATERAL (SELECT ('00000000-0000-0000-0000-' || lpad(to_hex(n * 16), 12, '0'))::uuid AS job,
                     ('00000000-0000-0000-0000-' || lpad(to_hex(n * 16 + v), 12, '0'))::uuid AS variant) AS keys;

-- name: add_traces
INSERT INTO vlm_traces (job_variants_id, operation_type, response, revision, is_current)
SELECT job_variants_id, 'analyze', '{}', nextval('variant_revisions'), true FROM jobs_variants;

-- name: add_detections
INSERT INTO yolo_runs (job_variants_id, result, revision, is_current)
SELECT job_variants_id, '{}', nextval('variant_revisions'), true FROM jobs_variants;

-- name: add_objects
INSERT INTO detections (job_variants_id, label) SELECT job_variants_id, 'cup' FROM jobs_variants;

-- name: add_plans
INSERT INTO planner_proposals (job_variants_id, layout, revision, is_current)
SELECT job_variants_id, '{}', nextval('variant_revisions'), true FROM jobs_variants;

-- name: add_layouts
INSERT INTO overlay_layouts (job_variants_id, layout, revision, is_current)
SELECT job_variants_id, '{}', nextval('variant_revisions'), true FROM jobs_variants;

-- name: add_evaluations
INSERT INTO evaluations (job_variants_id, evaluation_type, metrics, revision, is_current)
SELECT job_variants_id, type, '{}', nextval('variant_revisions'), true
FROM unnest(ARRAY['llava_judge', 'ocr', 'readability', 'iou']) AS type, jobs_variants;

-- name: add_inputs
INSERT INTO job_inputs (job_id, desc_kor) SELECT job_id, '커피' FROM jobs;

-- name: add_copies
INSERT INTO txt_ad_copy_generations (job_id, generation_stage, ad_copy_kor, status)
SELECT job_id, 'ad_copy_kor', '커피', 'done' FROM jobs;

-- name: add_requests
INSERT INTO variant_requests (job_variants_id, state_revision, requested_by)
SELECT job_variants_id, 1, 'new_variants' FROM jobs_variants;

-- name: analyze
ANALYZE;

-- name: complete_variant
SELECT complete_variant(CAST(:variant AS uuid));

-- name: hand_over
UPDATE jobs SET current_step = 'vlm_analyze', status = 'running' WHERE job_id = CAST(:job AS uuid);

-- name: touch_job
UPDATE jobs SET updated_at = now() WHERE job_id = CAST(:job AS uuid);

-- name: touch_variants
UPDATE jobs_variants SET selected = NOT selected WHERE job_id = CAST(:job AS uuid);

-- name: add_failed_variant
INSERT INTO jobs_variants (job_id, creation_order, status) VALUES (CAST(:job AS uuid), 9, 'failed');

-- name: delete_job
DELETE FROM jobs WHERE job_id = CAST(:job AS uuid);

-- name: count_jobs
-- How many jobs have each status.
SELECT status, count(*) FROM jobs GROUP BY status;

-- name: count_deadlocks
SELECT deadlocks FROM pg_stat_database WHERE datname = current_database();

-- name: look
SELECT 1 FROM jobs LIMIT 1;
