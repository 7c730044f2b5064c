"""Training of adapters. Needs the extra `train`; nothing in here is imported by the chat."""
