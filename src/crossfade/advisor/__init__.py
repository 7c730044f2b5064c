"""What a person needs, with reasons. Pure: reads a report as JSON and nine answers."""
