"""Spark: pure functions from DataFrame to DataFrame, one module a table; `features.lake` alone reads and writes Delta."""
