-- Removes a job with all its rows. Returns its variants, and the URLs of its pictures that no row names any more; both
-- are NULL where there is no such job. An image that another row refers to stays, whoever's table that is. The function
-- runs with the rights of its owner, so the service need not be allowed to delete rows of other teams.
CREATE FUNCTION delete_job(job uuid, OUT variants uuid[], OUT pictures text[])
LANGUAGE plpgsql AS $$
DECLARE
    images uuid[];
    layouts uuid[];
    image uuid;
BEGIN
    PERFORM FROM jobs j WHERE j.job_id = job FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT coalesce(array_agg(v.job_variants_id), '{}') INTO variants FROM jobs_variants v WHERE v.job_id = job;
    SELECT coalesce(array_agg(own.image_asset_id), '{}') INTO images FROM (
        SELECT i.image_asset_id FROM image_assets i WHERE i.job_id = job
        UNION SELECT i.image_asset_id FROM image_assets i
        JOIN (SELECT unnest(ARRAY[v.img_asset_id, v.overlaid_img_asset_id]) FROM jobs_variants v WHERE v.job_id = job
              UNION ALL SELECT n.img_asset_id FROM job_inputs n WHERE n.job_id = job) AS used (image)
            ON i.image_asset_id = used.image
        WHERE i.job_id IS NULL
    ) AS own;
    SELECT coalesce(array_agg(DISTINCT named.url), '{}') INTO pictures FROM (
        SELECT unnest(ARRAY[i.image_url, i.mask_url]) FROM image_assets i WHERE i.image_asset_id = ANY (images)
        UNION ALL SELECT y.forbidden_mask_url FROM yolo_runs y
        WHERE y.job_variants_id = ANY (variants) OR (y.job_variants_id IS NULL AND y.job_id = job)
        UNION ALL SELECT p.picture_url FROM planner_proposals p WHERE p.job_variants_id = ANY (variants)
    ) AS named (url) WHERE named.url IS NOT NULL;
    -- Results of before this service may name the job or its image, and no variant.
    SELECT coalesce(array_agg(o.overlay_id), '{}') INTO layouts
    FROM overlay_layouts o LEFT JOIN planner_proposals p ON p.proposal_id = o.proposal_id
    WHERE o.job_variants_id = ANY (variants)
       OR (o.job_variants_id IS NULL AND p.job_variants_id IS NULL AND p.image_asset_id = ANY (images));
    DELETE FROM evaluations e
    WHERE e.job_variants_id = ANY (variants) OR (e.job_variants_id IS NULL AND e.job_id = job)
       OR e.overlay_id = ANY (layouts);
    DELETE FROM overlay_layouts o WHERE o.overlay_id = ANY (layouts);
    DELETE FROM planner_proposals p
    WHERE p.job_variants_id = ANY (variants) OR (p.job_variants_id IS NULL AND p.image_asset_id = ANY (images));
    DELETE FROM detections d
    WHERE d.job_variants_id = ANY (variants) OR (d.job_variants_id IS NULL AND d.job_id = job);
    DELETE FROM yolo_runs y
    WHERE y.job_variants_id = ANY (variants) OR (y.job_variants_id IS NULL AND y.job_id = job);
    DELETE FROM vlm_traces t
    WHERE t.job_variants_id = ANY (variants) OR (t.job_variants_id IS NULL AND t.job_id = job);
    DELETE FROM jobs j WHERE j.job_id = job;
    FOREACH image IN ARRAY images LOOP
        BEGIN
            DELETE FROM image_assets i WHERE i.image_asset_id = image;
        EXCEPTION WHEN foreign_key_violation THEN
            -- Another job, or a table of another team, refers to it.
            UPDATE image_assets i SET job_id = NULL WHERE i.image_asset_id = image AND i.job_id = job;
        END;
    END LOOP;
    SELECT coalesce(array_agg(named.url), '{}') INTO pictures FROM unnest(pictures) AS named (url)
    WHERE NOT EXISTS (SELECT FROM image_assets i WHERE i.image_url = named.url)
      AND NOT EXISTS (SELECT FROM image_assets i WHERE i.mask_url = named.url)
      AND NOT EXISTS (SELECT FROM yolo_runs y WHERE y.forbidden_mask_url = named.url)
      AND NOT EXISTS (SELECT FROM planner_proposals p WHERE p.picture_url = named.url);
END $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION delete_job SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
END $$;
-- It holds the job and waits for its variants. As this is less than PostgreSQL's deadlock_timeout, it gives up before
-- anybody who waits the other way round meets a deadlock; the caller tries again.
ALTER FUNCTION delete_job SET lock_timeout = '200ms';
REVOKE EXECUTE ON FUNCTION delete_job FROM PUBLIC;
