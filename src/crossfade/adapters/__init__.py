"""Adapters: scan, validate, describe; PEFT folders and their GGUF twins."""
