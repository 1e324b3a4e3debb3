"""What a registry that cannot be used is called: apart from models/registry.py, which imports MLflow."""


class RegistryDown(ConnectionError):
    """A server that does not answer; the text says which, and what to do."""


class RegistryElsewhere(ValueError):
    """A store whose artifacts are kept in another place than was said; the text has both."""
