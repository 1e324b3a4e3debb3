"""The command lines of jobs, as templates that Airflow fills in when a task runs."""

from airflow_dags.settings import PLACES, SETTINGS

OF_INTERVAL = "{{ params.ds or data_interval_start | ds }}"
NEWEST = "{{ nights_of(params.ds, triggering_asset_events, data_interval_end)[-1] }}"


def arguments(source: str | None = None, **given: str) -> list[str]:
    """Where the shop is, what is `given`, and what conf/airflow says to every job, which waits for a lease that is held.

    source  a log format; none: the first, for what is made of all of them
    """
    keys = {"source": source or SETTINGS.sources[0], **places(), **given, "wait": "true"}
    return [*(f"{key}={value}" for key, value in keys.items()), *SETTINGS.arguments]


def places() -> dict[str, str]:
    """raw, lake, registry and artifacts: the Airflow Variable of that name where it is set, else conf/airflow."""
    return {name: place(name) for name in PLACES}


def place(name: str) -> str:
    return f"{{{{ var.value.get('footfall_{name}', '{getattr(SETTINGS, name)}') }}}}"


def param_doc(**params: str) -> str:
    """A line for each parameter, for `doc_md`."""
    return "\n".join(f"- `{name}`: {meaning}" for name, meaning in params.items())
