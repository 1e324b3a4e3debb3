"""What test_launch.py starts as ranks: says what it is told to, without Horovod itself."""

import os
import sys
import time
from pathlib import Path

from models.watchdog import Watchdog

rank = os.environ["HOROVOD_RANK"]
match sys.argv[1]:
    case "well":
        print(f"rank {rank} of {os.environ['HOROVOD_SIZE']}")
        print("noise", file=sys.stderr)
    case "second says why":
        if rank == "1":
            print("error: the second has had enough", file=sys.stderr)
            sys.exit(2)
        time.sleep(60)
    case "all say why":
        print("error: no luck anywhere", file=sys.stderr)
        sys.exit(2)
    case "traceback":
        raise KeyError("nobody expected this")
    case "stuck":
        watchdog = Watchdog(int(rank), seconds=2)
        if rank == "1":
            watchdog.at("waiting for the rows of step 7 of epoch 2")
        else:
            watchdog.at("taking step 7 of epoch 2", with_others=True)
        time.sleep(60)
    case "rests":
        watchdog = Watchdog(int(rank), seconds=1)
        watchdog.rest()
        time.sleep(3)
        watchdog.at("starting")
        print(f"rank {rank} has rested")
    case "long":
        Path(sys.argv[2], rank).write_text(str(os.getpid()))
        time.sleep(300)
