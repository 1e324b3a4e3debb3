"""Answers in real time: what jobs/serve.py runs. Knows nothing of Spark."""
