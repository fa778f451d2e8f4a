"""How scenes are shown: rows, label tracks, lines, pictures and a page."""
