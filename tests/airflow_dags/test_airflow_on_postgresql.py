"""Airflow with PostgreSQL as its database, as in production."""

import pytest

from tests.airflow_dags.airflows import settings_file
from tests.jobs.standalone import free_port
from tests.postgresql import PASSWORD, server
from tests.shop import line, write_log
from tools.airflow_service import environment, ready, running

NIGHT = "2026-11-02"
HOUR = 3600


@pytest.mark.long
def test_a_night_is_green_and_its_state_is_in_postgresql(tmp_path):
    write_log(tmp_path / "raw", NIGHT, line("ann", f"{NIGHT}T10:00:00Z", "a", item_id="milk"))
    arguments = "arguments: [privacy.ids=plain, spark.shuffle_partitions=2]"
    settings = settings_file(
        tmp_path, "sources: [plain]", arguments, 'start: "2026-11-02"', 'end: "2026-11-02"'
    )
    with server() as dsn:
        folder = dict(word.split("=") for word in dsn.split())["host"]
        address = f"postgresql+psycopg2://footfall:{PASSWORD}@/postgres?host={folder}"
        told = environment(
            tmp_path / "home", free_port(), settings, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=address
        )
        with running(told) as airflow:
            ready(airflow)
            airflow.unpause("footfall_nightly")
            airflow.trigger("footfall_nightly", ds=NIGHT)
            assert [run["state"] for run in airflow.wait("footfall_nightly", 1, HOUR)] == ["success"]
        assert in_database(dsn, "select state from dag_run") == [("success",)]
    assert not (tmp_path / "home" / "airflow.db").exists()


def in_database(dsn, query):
    import psycopg

    with psycopg.connect(dsn) as connection:
        return connection.execute(query).fetchall()
