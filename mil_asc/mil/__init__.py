"""The method: bags, poolings, instance labels, losses, decisions."""
