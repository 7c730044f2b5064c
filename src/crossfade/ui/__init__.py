"""The browser interface: one tab a file. Knows how an answer is shown, never how one is made."""
