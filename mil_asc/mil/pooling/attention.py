"""The pooling whose weights are learned."""

from torch import Tensor

from mil_asc.mil.pooling.registry import pooling


@pooling("attention", "gated_attention")
def attention_mean(logits_BIC: Tensor, mask_BI: Tensor, score_BI: Tensor) -> Tensor:
    """b_c = sum_i a_i z_ic, a = softmax over the bag's instances of ``score_BI`` (B, I).

    With a linear detector this is the detector's output for the attention-weighted mean of the instance vectors.
    M. Ilse, J. Tomczak and M. Welling, "Attention-based deep multiple instance learning", ICML 2018, Eq. 7; the
    scores come from ``mil_asc.model.heads.Attention`` (Eq. 8) or ``GatedAttention`` (Eq. 9).
    """
    weight_BI = score_BI.masked_fill(~mask_BI, float("-inf")).softmax(dim=1)
    return (weight_BI.unsqueeze(2) * logits_BIC).sum(1)
