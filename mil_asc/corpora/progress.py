"""Progress bars of transfers."""

from tqdm import tqdm


def byte_bar(label, total, initial=0):
    """A bar that counts bytes, on standard error where that is a terminal; nothing of it stays on the screen."""
    return tqdm(
        desc=label,
        total=total,
        initial=initial,
        unit="B",
        unit_scale=True,
        leave=False,
        dynamic_ncols=True,
        disable=None,
    )
