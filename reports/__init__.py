"""Pages for people, made from facts that the jobs have gathered."""
