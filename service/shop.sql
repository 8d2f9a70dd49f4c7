-- name: add_tenant
-- js: the shop.
INSERT INTO tenants (tenant_id, display_name) VALUES (:tenant, :name) ON CONFLICT (tenant_id) DO NOTHING;

-- name: add_jobs
-- js: so many orders of one shop, with no variant yet.
INSERT INTO jobs (tenant_id, current_step, status)
SELECT :tenant, :step, :status FROM generate_series(1, :jobs) RETURNING job_id;

-- name: add_inputs
-- js: what the shop wrote for these jobs.
INSERT INTO job_inputs (job_id, desc_kor, desc_eng)
SELECT job, :korean, :english FROM unnest(CAST(:jobs AS uuid[])) AS job;

-- name: add_copy
-- js: the finished ad copy of a job, in Korean and in English.
INSERT INTO txt_ad_copy_generations (job_id, generation_stage, ad_copy_kor, ad_copy_eng, status)
VALUES (CAST(:job AS uuid), 'ad_copy_kor', :korean, NULL, 'done'),
       (CAST(:job AS uuid), 'ad_copy_eng', NULL, :english, 'done');

-- name: add_image
-- ye: a generated image; of a job, or of a shop without a job.
INSERT INTO image_assets (image_type, image_url, width, height, tenant_id, job_id)
VALUES ('generated', :url, :width_px, :height_px,
        coalesce(:tenant, (SELECT tenant_id FROM jobs WHERE job_id = CAST(:job AS uuid))), CAST(:job AS uuid))
RETURNING image_asset_id;

-- name: add_variants
-- ye: so many more variants of a job; they take the given images in turn, if there are any.
INSERT INTO jobs_variants (job_id, img_asset_id, creation_order, current_step, status)
SELECT CAST(:job AS uuid), images[1 + (n - 1) % nullif(cardinality(images), 0)], before + n, :step, :status
FROM (SELECT CAST(:images AS uuid[]) AS images) AS given,
     (SELECT count(*) AS before FROM jobs_variants WHERE job_id = CAST(:job AS uuid)) AS present,
     generate_series(1, :variants) n
RETURNING job_variants_id;

-- name: set_state
-- ye, or an operator: where a variant is.
UPDATE jobs_variants SET current_step = :step, status = :status WHERE job_variants_id = CAST(:variant AS uuid);

-- name: hand_over
-- ye: the job is ours from here.
UPDATE jobs SET current_step = 'vlm_analyze', status = 'running' WHERE job_id = CAST(:job AS uuid);
