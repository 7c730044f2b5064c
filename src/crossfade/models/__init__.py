"""Base models and embedders: which exist, where their bytes come from, checked download, conversion."""
