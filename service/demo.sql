-- name: insert_tenant
-- js: the shop.
INSERT INTO tenants (tenant_id, display_name) VALUES (:tenant, :name) ON CONFLICT (tenant_id) DO NOTHING;

-- name: insert_job
-- js: the order, before the images exist.
INSERT INTO jobs (job_id, tenant_id, status, current_step) VALUES (CAST(:job AS uuid), :tenant, 'running', 'img_gen');

-- name: insert_inputs
-- js: what the shop wrote.
INSERT INTO job_inputs (job_id, desc_kor, desc_eng) VALUES (CAST(:job AS uuid), :korean, :english);

-- name: insert_copy
-- js: the finished ad copy of one language.
INSERT INTO txt_ad_copy_generations (job_id, generation_stage, ad_copy_kor, ad_copy_eng, status)
VALUES (CAST(:job AS uuid), :stage, :korean, :english, 'done');

-- name: insert_image
-- ye: a generated image.
INSERT INTO image_assets (image_asset_id, image_type, image_url, width, height, tenant_id, job_id)
VALUES (CAST(:image AS uuid), 'generated', :url, :width_px, :height_px, :tenant, CAST(:job AS uuid));

-- name: insert_variant
-- ye: a variant whose image is ordered.
INSERT INTO jobs_variants (job_variants_id, job_id, img_asset_id, creation_order, current_step, status)
VALUES (CAST(:variant AS uuid), CAST(:job AS uuid), CAST(:image AS uuid), :number, 'img_gen', 'queued');

-- name: image_is_done
-- ye: the image of a variant is there.
UPDATE jobs_variants SET current_step = 'img_gen', status = 'done' WHERE job_variants_id = CAST(:variant AS uuid);

-- name: hand_over
-- ye: the job is ours from here.
UPDATE jobs SET current_step = 'vlm_analyze', status = 'running' WHERE job_id = CAST(:job AS uuid);

-- name: progress
-- Where each variant of a job is, and the job.
SELECT v.job_variants_id, v.current_step, v.status, v.error, j.status AS job_status
FROM jobs_variants v JOIN jobs j USING (job_id)
WHERE j.job_id = CAST(:job AS uuid) ORDER BY v.creation_order;

-- name: results
-- Everything the stages found about a job's variants.
SELECT v.job_variants_id, v.verdict, i.image_url, o.image_url AS ad_url,
       jsonb_object_agg(r.stage, r.result) AS results, jsonb_object_agg(r.stage, r.latency_ms) AS latencies_ms
FROM jobs_variants v
JOIN variant_results r USING (job_variants_id)
LEFT JOIN image_assets i ON i.image_asset_id = v.img_asset_id
LEFT JOIN image_assets o ON o.image_asset_id = v.overlaid_img_asset_id
WHERE v.job_id = CAST(:job AS uuid)
GROUP BY v.job_variants_id, v.creation_order, i.image_url, o.image_url
ORDER BY v.creation_order;
