"""One file a step: read, transform, check, write. Each is run as `spark-submit jobs/STEP.py key=value …`."""
