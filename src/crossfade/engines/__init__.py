"""Engines: what turns a prompt and a blend of adapters into text."""
