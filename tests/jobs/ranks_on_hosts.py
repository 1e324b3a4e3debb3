"""Starts tests/jobs/ranks.py on hosts: python -m tests.jobs.ranks_on_hosts SHARED KEY HOSTS ARGUMENT…"""

import sys
from pathlib import Path

from conf.schema import Train
from jobs.hosts import answering, options
from jobs.launch import RanksFailed, run_ranks
from jobs.rank import Task
from tests.jobs.namespaces import PORT

shared, key, names, *arguments = sys.argv[1:]
hosts = names.strip("[]").split(",")
train = Train(launcher="hosts", hosts=hosts, ranks=len(hosts), ssh_port=PORT, ssh_key=key)
try:
    there = answering(train)
    task = Task("tests.jobs.ranks", arguments, text="told in secret")
    run_ranks(task, there, options(train, there), Path(shared))
except RanksFailed as error:
    sys.exit(str(error))
