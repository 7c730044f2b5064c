"""Corpora: the documents of a domain with the tasks, examples and settings that belong to them."""
