"""What people did and want to find again, in one SQLite file: conversations, thumbs, votes, what they shared."""
