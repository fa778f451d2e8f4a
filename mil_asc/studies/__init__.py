"""Studies: many runs that differ in a few factors, one row of results per run, a page and a picture."""
