"""``mil-asc serve``: a page and a JSON interface for a model."""
