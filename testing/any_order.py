"""Runs, people and other teams write variants and jobs in any order, in sessions that overlap. After each step no
invariant is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, Engine, Row, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from resources.postgres.database import Database
from resources.postgres.errors import StageRefused
from resources.postgres.queries import named
from stages.pipeline import STAGE_NAMES
from testing.shop import Shop, output

STEPS = ("img_gen", *STAGE_NAMES)
STATES = st.one_of(
    st.sampled_from((("iou_eval", "done"), ("iou_eval", "failed"), ("img_gen", "done"), ("overlay", "done"))),
    st.tuples(st.sampled_from(STEPS), st.sampled_from(("queued", "running", "done", "failed"))),
)
ISOLATIONS = st.sampled_from(("READ COMMITTED", "REPEATABLE READ"))
# What meets a lock of an open session gives up. Functions of ours that try again give up as a whole.
_LOCK_TIMEOUT_MS = 20
_STATEMENT_TIMEOUT_MS = 200
# What PostgreSQL may answer to a write: it gave up a wait, or refused for another session's sake.
_REFUSED = {"57014", "55P03", "40001", "40P01", "JV412"}

# Here no variant was completed by the service before this one, as broken_invariants allows.
UNFINISHED = """
    SELECT job_variants_id FROM jobs_variants
    WHERE is_complete(current_step, status) AND first_stale_position(job_variants_id) IS NOT NULL
"""
# Jobs handed over whose variants have all ended, but which do not say how.
UNSETTLED = """
    SELECT j.job_id, j.status, p.complete, p.failed, p.total
    FROM jobs j, job_progress(j.job_id) p
    WHERE j.current_step = ANY (variant_stages()) AND p.total > 0 AND p.complete + p.failed = p.total
      AND j.status IS DISTINCT FROM CASE WHEN p.failed = 0 THEN 'done' ELSE 'failed' END
"""


class AnyOrder(RuleBasedStateMachine):
    """One example: it begins with an empty shop."""

    jobs: Bundle[UUID] = Bundle("jobs")
    variants: Bundle[UUID] = Bundle("variants")
    sessions: Bundle[Connection] = Bundle("sessions")

    def __init__(self, engine: Engine, db: Database) -> None:
        super().__init__()
        self.engine, self.db, self.shop = engine, db, Shop(engine)
        self.open: list[Connection] = []
        self.runs = 0
        self.shop.execute("DELETE FROM jobs")
        self.shop.execute("DELETE FROM unsettled_jobs")
        self.ordered = [self.shop.job()]
        self.first_variants = [self.shop.variant(self.ordered[0]) for _ in range(2)]

    # What an example begins with: a job with two variants, complete or not, and a session of another team -----------

    @initialize(target=jobs)
    def first_job(self) -> UUID:
        return self.ordered[0]

    @initialize(target=variants, complete=st.sampled_from((0, 1, 2, 2)))
    def first_job_variants(self, complete: int) -> MultipleResults[UUID]:
        for variant in self.first_variants[:complete]:
            self.run_to_the_end(variant)
        return multiple(*self.first_variants)

    @initialize(target=sessions, isolation=ISOLATIONS)
    def first_session(self, isolation: str) -> Connection:
        return self._begin(isolation)

    # js and ye ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.ordered) < 2)
    @rule(target=jobs, state=st.sampled_from((("img_gen", "running"), ("planner", None))))
    def order(self, state: tuple[str, str]) -> UUID:
        self.ordered.append(self.shop.job(step=state[0], status=state[1]))
        return self.ordered[-1]

    @rule(target=variants, job=jobs, state=st.sampled_from((("img_gen", "queued"), ("img_gen", "done"))))
    def add_variant(self, job: UUID, state: tuple[str, str]) -> MultipleResults[UUID]:
        added: list[UUID] = []
        self._unless_refused(lambda: added.append(self.shop.variant(job, step=state[0], status=state[1])))
        return multiple(*added)

    @rule(job=jobs, state=st.sampled_from((("vlm_analyze", "running"), ("vlm_analyze", None), ("feed_gen", "queued"))))
    def hand_over_or_take_on(self, job: UUID, state: tuple[str, str | None]) -> None:
        self._write(
            "UPDATE jobs SET current_step = :step, status = :status WHERE job_id = :job",
            job=job,
            step=state[0],
            status=state[1],
        )

    @rule(variant=consumes(variants))
    def delete_variant(self, variant: UUID) -> None:
        self._write("DELETE FROM jobs_variants WHERE job_variants_id = :variant", variant=variant)

    @rule(job=consumes(jobs))
    def delete_job(self, job: UUID) -> None:
        self._write("DELETE FROM jobs WHERE job_id = :job", job=job)

    @rule(variant=variants, state=STATES)
    def write_state(self, variant: UUID, state: tuple[str, str]) -> None:
        self._write(_WRITE_STATE, variant=variant, step=state[0], status=state[1])

    # Sessions of other teams that stay open -------------------------------------------------------------------------

    @precondition(lambda self: len(self.open) < 3)
    @rule(target=sessions, isolation=ISOLATIONS)
    def begin_session(self, isolation: str) -> Connection:
        return self._begin(isolation)

    @rule(session=sessions, variant=variants, state=STATES)
    def write_state_in_session(self, session: Connection, variant: UUID, state: tuple[str, str]) -> None:
        self._in_session(session, _WRITE_STATE, variant=variant, step=state[0], status=state[1])

    @rule(session=sessions, variant=variants)
    def write_job_of_variant_in_session(self, session: Connection, variant: UUID) -> None:
        self._in_session(session, _WRITE_JOB_OF, variant=variant)

    @rule(session=sessions, job=jobs)
    def write_job_in_session(self, session: Connection, job: UUID) -> None:
        self._in_session(session, "UPDATE jobs SET updated_at = now() WHERE job_id = :job", job=job)

    @rule(session=sessions, variant=variants)
    def delete_variant_in_session(self, session: Connection, variant: UUID) -> None:
        self._in_session(session, "DELETE FROM jobs_variants WHERE job_variants_id = :variant", variant=variant)

    @rule(session=consumes(sessions), commits=st.booleans())
    def end_session(self, session: Connection, commits: bool) -> None:
        if session in self.open:
            self.open.remove(session)
            with session:
                (session.commit if commits else session.rollback)()

    # Runs and the rescuer -----------------------------------------------------------------------------------------

    @rule(variant=variants, first=st.sampled_from(STAGE_NAMES), stages=st.integers(1, 8), completes=st.booleans())
    def run(self, variant: UUID, first: str, stages: int, completes: bool) -> None:
        self.runs += 1
        run, holder = f"run-{self.runs}", self._claimed_by(variant)
        begun = STAGE_NAMES.index(first)

        def work() -> None:
            for stage in STAGE_NAMES[begun : begun + stages]:
                self.db.claims.begin(variant, stage, run, ended_run=holder)
                self.db.claims.finish(self.db.claims.load(variant), stage, run, output(stage))
            if completes:
                self.db.claims.complete(variant)

        self._unless_refused(work)

    @rule(variant=variants)
    def run_to_the_end(self, variant: UUID) -> None:
        self.run(variant, STAGE_NAMES[0], len(STAGE_NAMES), completes=True)

    @rule(variant=variants, stage=st.sampled_from(STAGE_NAMES), final=st.booleans())
    def begin_and_fail(self, variant: UUID, stage: str, final: bool) -> None:
        self.runs += 1
        run, holder = f"run-{self.runs}", self._claimed_by(variant)

        def work() -> None:
            self.db.claims.begin(variant, stage, run, ended_run=holder)
            self.db.claims.fail(variant, stage, run, "broken", final=final)

        self._unless_refused(work)

    @rule(variant=variants, terminated=st.booleans())
    def run_ends(self, variant: UUID, terminated: bool) -> None:
        run = self._claimed_by(variant)
        end = self.db.claims.end_terminated if terminated and run else self.db.claims.recover
        self._unless_refused(lambda: end(variant, run))  # type: ignore[arg-type]

    @rule()
    def request(self) -> None:
        self._unless_refused(lambda: self.db.run_requests.request_startable("new_variants", [], most=5))

    @rule()
    def rescue(self) -> None:
        for job in self.db.maintenance.unsettled_jobs(most=1000):
            self._unless_refused(lambda job=job: self.db.maintenance.settle_job(job))  # type: ignore[misc]

    # What holds -------------------------------------------------------------------------------------------------------

    @invariant()
    def no_invariant_is_broken(self) -> None:
        assert self._rows("SELECT * FROM broken_invariants") == []
        assert self._rows(UNFINISHED) == []

    def teardown(self) -> None:
        """When all sessions have ended and the rescuer has looked once, every job is settled."""
        for session in self.open:
            with session:
                session.commit()
        with self.engine.begin() as connection:
            for job in connection.execute(named("find_unsettled_jobs"), {"most": 1000}).scalars().all():
                connection.execute(named("settle_job"), {"job": str(job)})
        assert self._rows(UNSETTLED) == []

    def _rows(self, query: str) -> list[Row[Any]]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(query)))

    def _begin(self, isolation: str) -> Connection:
        session = self.engine.connect().execution_options(isolation_level=isolation)
        session.execute(text("SELECT count(*) FROM jobs_variants"))
        self.open.append(session)
        return session

    def _claimed_by(self, variant: UUID) -> str | None:
        claims: dict[Any, str | None] = self.shop.table("SELECT job_variants_id, claimed_by FROM jobs_variants")
        return claims.get(variant)

    def _write(self, statement: str, **parameters: object) -> None:
        self._unless_refused(lambda: self.shop.execute(statement, **parameters))

    def _in_session(self, session: Connection, statement: str, **parameters: object) -> None:
        """A refusal ends the session, as it ends any transaction."""
        if session not in self.open:
            return
        try:
            session.execute(text(statement), parameters)
        except DBAPIError as error:
            _raise_unless_refused(error)
            self.end_session(session, commits=False)

    def _unless_refused(self, write: Callable[[], object]) -> None:
        try:
            write()
        except StageRefused:
            return
        except DBAPIError as error:
            _raise_unless_refused(error)


def run(url: str, *, examples: int, steps: int) -> None:
    """So many examples of so many steps each. Raises the assertion that did not hold, with the steps to it."""
    engine = create_engine(_with_option(url, f"lock_timeout={_LOCK_TIMEOUT_MS}"), pool_size=10)
    db = Database(_with_option(url, f"statement_timeout={_STATEMENT_TIMEOUT_MS}"))
    try:
        run_state_machine_as_test(
            lambda: AnyOrder(engine, db),  # type: ignore[arg-type]
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                # To shorten a failure takes longer than to read it.
                phases=[Phase.reuse, Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        db.close()
        engine.dispose()


def _with_option(url: str, option: str) -> str:
    return make_url(url).update_query_dict({"options": f"-c {option}"}).render_as_string(hide_password=False)


_WRITE_JOB_OF = """
    UPDATE jobs SET updated_at = now()
    WHERE job_id = (SELECT job_id FROM jobs_variants WHERE job_variants_id = :variant)
"""
_WRITE_STATE = "UPDATE jobs_variants SET current_step = :step, status = :status WHERE job_variants_id = :variant"


def _raise_unless_refused(error: DBAPIError) -> None:
    if getattr(error.orig, "pgcode", None) not in _REFUSED:
        raise error
