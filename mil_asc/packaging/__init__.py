"""The model folder: a trained network as a folder to give away, to load safely, and to publish."""
