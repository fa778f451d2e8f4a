"""Lists of what is where: manifests, official sets, folders of one's own."""
