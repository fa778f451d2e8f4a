"""The command ``mil-asc``: one file a command; each imports what it needs when it is called."""
