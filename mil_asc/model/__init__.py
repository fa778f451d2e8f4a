"""The network: front end, extractors, instance heads."""
