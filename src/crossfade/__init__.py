"""Crossfade: fine-tune, retrieve or prompt, as switches of one chat. Importing this loads no heavy library."""

__version__ = "0.1.0"
