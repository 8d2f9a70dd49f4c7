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
