"""Every extractor with every strategy: one training step lowers the loss."""

import pytest
import tiny
import torch
from hyperpyyaml import load_hyperpyyaml

from mil_asc.model.extractors import registered_extractors
from mil_asc.training.config import load_hparams

OBJECTIVES = sorted(tiny.ROOT.glob("hparams/objectives/*.yaml"))
HEADS = {
    "mil": {"instances": "separable", "pooling": "max"},
    "dense mil": {"instances": "dense", "pooling": "max"},
    "gap": {"instances": "frequency_mean", "pooling": "mean_logits"},
    "attention": {"instances": "separable", "pooling": "gated_attention"},
    "auto": {"instances": "separable", "pooling": "auto"},
}


def tiny_network(extractor, head, confidence):
    """The model of an extractor's YAML block at tiny size, with random weights."""
    options = dict(word[2:].split("=", 1) for word in tiny.tiny_model(extractor))
    torch.manual_seed(0)
    with open(tiny.ROOT / f"hparams/models/{extractor}.yaml", encoding="utf-8") as file:
        values = {key: load_hyperpyyaml(f"v: {value}")["v"] for key, value in options.items()}
        overrides = {
            "head": {
                **HEADS[head],
                "confidence": confidence,
                "num_classes": 4,
                "instance_dim": values.pop("instance_dim"),
            },
            "features": {name: values.pop(name) for name in ("n_mels",) if name in values},
        }
        return load_hyperpyyaml(file, {**values, **overrides})["network"]


@pytest.mark.parametrize("extractor", sorted(registered_extractors()))
@pytest.mark.parametrize("head", sorted(HEADS))
def test_a_step_lowers_the_loss_of_every_objective(extractor, head):
    for objective in OBJECTIVES:
        before, after = losses_around_a_step(extractor, head, objective)
        assert after < before, objective.stem


def losses_around_a_step(extractor, head, objective):
    """Loss before and after one small step of gradient descent on one batch."""
    loss = load_hyperpyyaml(objective.read_text(encoding="utf-8"))["loss"]
    confidence = "softmax" if objective.stem.endswith("_ce") else "sigmoid"
    assert {term.confidence for term in loss.terms.values()} <= {confidence, "any"}
    model = tiny_network(extractor, head, confidence).train()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.p = 0.0  # the same function before and after the step
    samples = 24000 if model.front_end.output == "logmel" else 6 * model.instance_samples  # few instances
    wav_BN, label_B = 0.1 * torch.randn(4, samples), torch.tensor([0, 1, 2, 3])
    before = loss(model(wav_BN), label_B)["loss"]
    before.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    steepness = sum((gradient**2).sum() for gradient in gradients)
    with torch.no_grad():
        for p in model.parameters():
            if p.grad is not None:
                p -= 1e-4 / steepness * p.grad  # lowers the loss by 0.0001 where it is flat enough
        return before, loss(model(wav_BN), label_B)["loss"]


def published(recipe, experiment):
    experiment, _, model = experiment.partition("+")
    overrides = {"data_folder": "anywhere"} | ({"model": model} if model else {})
    hparams, _ = load_hparams(tiny.ROOT / f"recipes/{recipe}/hparams/{experiment}.yaml", overrides)
    return sum(p.numel() for p in hparams["model"]["network"].parameters())


@pytest.mark.parametrize(
    "row, counts",
    [
        ("fuse", {("TAU2020m", "fuse_pnl"): 139_082}),
        ("fuse_128k", {("TAU2022m", "fuse_128k"): 115_410, ("TAU2022m", "fuse_gt+fuse_128k"): 115_410}),
        ("vgg_like", {("TAU2020m", "vgg_like_pnl"): 1_339_244, ("TUT2018m", "vgg_like_40mel_pnl"): 454_508}),
        ("resnet", {("TAU2020m", "resnet_pnl"): 147_874}),
        ("bc_resnet", {("TAU2020m", "bc_resnet_pnl"): 374_098, ("TAU2020m", "bc_resnet_gap"): 314_970}),
        ("cp_mobile", {("TAU2020m", "fuse_gap+cp_mobile"): 61_138}),
        ("cp_resnet", {("TAU2020m", "fuse_gap+cp_resnet"): 3_956_618}),
        ("two_path_resnet", {("TAU2019", "fuse_gap+two_path_resnet"): 3_245_246}),
        pytest.param("trident_resnet", {("TAU2020m", "fuse_gap+trident_resnet"): 12_944_444}, marks=pytest.mark.slow),
        pytest.param("fcnn", {("TAU2020m", "fuse_gap+fcnn"): 11_780_224}, marks=pytest.mark.slow),
        ("alexnet_like", {("TAU2020m", "fuse_gap+alexnet_like"): 294_106}),
        (
            "dcase_baseline",
            {("TAU2019", "fuse_pnl+dcase_baseline"): 180_318, ("TAU2019", "fuse_gap+dcase_baseline"): 102_858},
        ),
        (
            "dcase_baseline_2021",
            {("TAU2019", "fuse_pnl+dcase_baseline_2021"): 78_318, ("TAU2019", "fuse_gap+dcase_baseline_2021"): 38_938},
        ),
        ("cp_resnet_635k", {("TAU2020m", "fuse_gap+cp_resnet_635k"): 635_098}),
        ("raw_cnn", {("TAU2019", "fuse_gap+raw_cnn"): 602_314}),
        ("aclnet", {("TAU2019", "fuse_gap+aclnet"): 4_716_938}),
        ("dcasenet", {("TAU2020m", "fuse_gap+dcasenet"): 10_008_906}),
        pytest.param("resnet50", {("TAU2019", "fuse_gap+resnet50"): 23_522_250}, marks=pytest.mark.slow),
    ],
)
def test_readme_states_the_size_of_every_model(row, counts):
    lines = (tiny.ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    models = lines[lines.index("## Models") : lines.index("## Speed")]
    (line,) = [line for line in models if line.startswith(f"| `{row}`")]
    for (recipe, experiment), count in counts.items():
        assert published(recipe, experiment) == count and f"{count:,}" in line
