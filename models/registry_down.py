"""What a registry that does not answer is called: apart from models/registry.py, which imports MLflow."""


class RegistryDown(ConnectionError):
    """A server that does not answer; the text says which, and what to do."""
