-- The same old database, as its later writers left it: variants have a state of their own, in all its forms.
ALTER TABLE jobs_variants ADD status text DEFAULT 'queued', ADD current_step text DEFAULT 'vlm_analyze',
    ADD retry_count int DEFAULT 0, ALTER img_asset_id DROP NOT NULL;
ALTER TABLE jobs_variants DISABLE TRIGGER USER;
UPDATE jobs_variants SET current_step = NULL;
ALTER TABLE jobs_variants ENABLE TRIGGER USER;

-- Jobs 17 to 21, one of today and the others of last month.
INSERT INTO jobs (job_id, tenant_id, current_step, status, created_at)
SELECT ('00000000-0000-0000-0000-0000000000' || to_hex(n))::uuid, 'cafe', step, status, now() - age * interval '1 day'
FROM (VALUES (17, 'iou_eval', 'done', 30), (18, 'planner', 'running', 30), (19, 'vlm_analyze', 'running', 0),
             (20, 'vlm_analyze', 'running', 30), (21, 'vlm_analyze', 'running', 30)) AS j (n, step, status, age);
INSERT INTO jobs_variants (job_id, img_asset_id, creation_order, current_step, status, retry_count, created_at)
SELECT ('00000000-0000-0000-0000-0000000000' || to_hex(job))::uuid,
       CASE WHEN with_image THEN (SELECT image_asset_id FROM image_assets LIMIT 1) END,
       n, step, status, retries, now() - age * interval '1 day'
FROM (VALUES
    -- A job that is done although one of its variants never went beyond its image.
    (17, 1, 'iou_eval', 'done', 0, true, 30), (17, 2, 'img_gen', 'done', 0, true, 30),
    -- No variant has a step of its own; one has no image.
    (18, 1, NULL, 'queued', 0, true, 30), (18, 2, '', 'queued', 0, true, 30), (18, 3, NULL, NULL, 0, false, 30),
    -- Of today, in every form that the writers know.
    (19, 1, 'user_img_input', 'done', 0, true, 0), (19, 2, 'vlm_planner', 'running', 20, true, 0),
    (19, 3, 'YOLO_DETECT', 'Done', 3, true, 0), (19, 4, '', 'queued', 0, true, 0), (19, 5, '', 'done', 0, true, 0),
    (19, 6, 'img_gen', 'paused', 0, true, 0), (19, 7, 'magic', 'done', 0, true, 0), (19, 8, 'img_gen', 'done', 20, true, 0),
    -- The backlog: startable, queued by the default, and running without a worker.
    (20, 1, 'img_gen', 'done', 20, true, 30), (20, 2, 'vlm_analyze', 'queued', 2, true, 30),
    (20, 3, 'planner', 'running', 2, true, 30),
    -- All have ended, but nobody has settled the job.
    (21, 1, 'iou_eval', 'done', 0, true, 30), (21, 2, 'overlay', 'failed', 3, true, 30)
) AS v (job, n, step, status, retries, with_image, age);
