"""Weights must be finite: a network with a single NaN gives no usable score."""

import torch

from mil_asc.errors import UserError


def check_finite(weights, where):
    """Refuse weights of which one is NaN or infinite.

    Arguments
    ---------
    weights : dict of str to torch.Tensor
        A network's ``state_dict``: parameters and buffers by name.
    where : str or Path
        The file or the moment, for the message.

    Raises
    ------
    UserError
        One line with ``where`` and the names of the first tensors that are not finite.
    """
    bad = [name for name, value in weights.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if bad:
        some = ", ".join(bad[:3]) + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")
        raise UserError(f"{where}: weights that are not finite (NaN or infinite): {some}")
