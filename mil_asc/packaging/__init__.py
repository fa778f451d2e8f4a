"""Model folders: what a trained model is packed into, checked, exported and shared with."""
