"""What is left of removed runs and partitions in Dagster's tables, with the stock storages and with ours."""

import warnings
from pathlib import Path

import dagster as dg

from orchestration.removal import forget_partitions, remove_runs
from testing.forking.mentions import record_backfill, record_tick
from testing.leftovers import files_naming, rows_naming

PARTITIONS = dg.DynamicPartitionsDefinition(name="ads")


@dg.asset(partitions_def=PARTITIONS, pool="seats")
def ad(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"picture": f"of {context.partition_key}"})


with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.PreviewWarning)

    @dg.asset_check(asset=ad, partitions_def=PARTITIONS)
    def is_good(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True, metadata={"of": context.partition_key})


def make(instance: dg.DagsterInstance, partition: str) -> str:
    instance.add_dynamic_partitions("ads", [partition])
    made = dg.materialize([ad, is_good], instance=instance, partition_key=partition)
    assert made.success
    return made.run_id


def report(instance: dg.DagsterInstance, partition: str) -> None:
    """What people report in the UI, without a run."""
    instance.report_runless_asset_event(dg.AssetMaterialization(ad.key, partition=partition))
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(ad.key, "is_good", passed=True, partition=partition, metadata={"of": partition})
    )


def test_nothing_names_a_removed_run_and_the_others_are_whole(
    instance: dg.DagsterInstance, dagster_url: str, tmp_path: Path
) -> None:
    gone, stays = make(instance, "gone"), make(instance, "stays")
    assert files_naming(tmp_path, [gone]) != []
    whole = len(instance.all_logs(stays))
    remove_runs(instance, [gone])
    # The last materialization of an asset stays until the next one.
    assert [row for row in rows_naming(dagster_url, [gone]) if not row.startswith("public.asset_keys")] == []
    assert files_naming(tmp_path, [gone]) == []
    assert len(instance.all_logs(stays)) == whole
    assert instance.get_latest_materialization_event(ad.key) is not None


def test_nothing_names_a_forgotten_partition_or_its_runs(
    instance: dg.DagsterInstance, dagster_url: str, tmp_path: Path
) -> None:
    stays = make(instance, "stays")
    runs = [make(instance, "gone-1"), make(instance, "gone-2")]
    for partition, run_id in (("stays", stays), ("gone-1", runs[0]), ("gone-2", runs[1])):
        report(instance, partition)
        record_tick(instance, partition, run_id)
        record_backfill(instance, run_id[:8], [partition])
    whole = len(instance.all_logs(stays))
    assert len({row.split(":")[0] for row in rows_naming(dagster_url, ["gone-", *runs])}) >= 10
    assert files_naming(tmp_path, ["gone-", *runs]) != []
    forget_partitions(instance, "ads", ["gone-1", "gone-2"])
    assert rows_naming(dagster_url, ["gone-", *runs]) == []
    assert files_naming(tmp_path, ["gone-", *runs]) == []
    assert len(instance.all_logs(stays)) == whole
    assert instance.get_dynamic_partitions("ads") == ["stays"]
    assert instance.get_materialized_partitions(ad.key) == {"stays"}
    last = instance.get_latest_materialization_event(ad.key)
    assert last is not None
    assert last.asset_materialization is not None
    assert last.asset_materialization.partition == "stays"


def test_forgetting_what_is_not_there_changes_nothing(instance: dg.DagsterInstance) -> None:
    run_id = make(instance, "stays")
    forget_partitions(instance, "ads", ["never"])
    remove_runs(instance, ["never"])
    assert instance.get_run_by_id(run_id) is not None
