-- Nothing that a run, a tick, retention or a deletion asks walks through a big table any more. An update that changes no
-- state is written beside the old version of its row, without a new entry in any index. An older database may have some
-- of the indexes.

-- step: room for the next version of a variant beside it
ALTER TABLE jobs_variants SET (fillfactor = 70);

-- step outside a transaction: the old index of jobs in our hands
DROP INDEX CONCURRENTLY IF EXISTS idx_jobs_with_variants_in_work;

-- step outside a transaction: its new one
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_with_variants_in_work ON jobs (pk)
    WHERE is_in_our_hands(current_step, status);

-- step outside a transaction: the old index of variants at work
DROP INDEX CONCURRENTLY IF EXISTS idx_jobs_variants_running;

-- step outside a transaction: its new one
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_variants_running ON jobs_variants (state_revision)
    WHERE is_at_work(current_step, status) AND old_work IS NULL;

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_image_assets_job_id ON image_assets (job_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_image_assets_tenant_id ON image_assets (tenant_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_tenant_id ON jobs (tenant_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_inputs_img_asset_id ON job_inputs (img_asset_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_variants_img_asset_id ON jobs_variants (img_asset_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_variants_overlaid_img_asset_id ON jobs_variants (overlaid_img_asset_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_vlm_traces_job_variants_id ON vlm_traces (job_variants_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_yolo_runs_job_variants_id ON yolo_runs (job_variants_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_planner_proposals_job_variants_id ON planner_proposals (job_variants_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_overlay_layouts_job_variants_id ON overlay_layouts (job_variants_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_overlay_layouts_proposal_id ON overlay_layouts (proposal_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_evaluations_job_variants_id ON evaluations (job_variants_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_evaluations_overlay_id ON evaluations (overlay_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_image_assets_image_url ON image_assets USING hash (image_url);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_image_assets_mask_url ON image_assets USING hash (mask_url) WHERE mask_url IS NOT NULL;

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_yolo_runs_forbidden_mask_url ON yolo_runs USING hash (forbidden_mask_url);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_planner_proposals_picture_url ON planner_proposals USING hash (picture_url);
