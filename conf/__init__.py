"""Configuration: Hydra groups as YAML, their types and meanings in `conf.schema`, loaded by `conf.load`."""
