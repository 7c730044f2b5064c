"""Measuring: metrics and rules, pure. Runs and reports come with `crossfade eval`."""
