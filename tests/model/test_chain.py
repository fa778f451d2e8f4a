"""FUSE's modules in training on a CPU with numba's kernels: against PyTorch in double precision."""

import copy
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

pytest.importorskip("numba", reason="the kernels need numba")

from mil_asc.model.chain import conditions
from mil_asc.model.chain.conditions import SWITCH, fits
from mil_asc.model.chain.max_pool import max_pool
from mil_asc.model.extractors.fuse import FUSE, FuseConvMod
from mil_asc.model.normalization import raise_batch_norm_eps

BEFORE_NORM = ("pointwise.0.bias", "0.bias", "3.bias")
"""Biases before batch norms have the gradient 0; what is computed is the rounding. So have the weights of one input."""


@pytest.fixture(autouse=True)
def small_tensors_too(monkeypatch):
    monkeypatch.setattr(conditions, "LEAST_NUMBERS", 1)
    monkeypatch.delenv(SWITCH, raising=False)


def module(ins, outs, blocks=3, pool=True, seed=0):
    """A module with all its numbers at random, in training."""
    torch.manual_seed(seed)
    return with_random_numbers(FuseConvMod(ins, outs, blocks, pool=pool).to(memory_format=torch.channels_last))


@torch.no_grad()
def with_random_numbers(network):
    """Where biases are 0, as in the beginning, some gradients vanish."""
    for parameter in network.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    return network


def step(network, x, gradient=None, mixed=False):
    """One forward and backward pass: what it gives, all gradients and running statistics by name."""
    network, x = copy.deepcopy(network), x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        y = network(x)
    gradient = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)) if gradient is None else gradient
    y.backward(gradient.to(y.dtype))
    gradients = {name: p.grad for name, p in network.named_parameters() if not name.endswith(BEFORE_NORM)}
    return {"y": y.detach(), "x": x.grad} | gradients | dict(network.named_buffers())


def by_pytorch(network):
    """A copy without the kernels."""
    network = copy.deepcopy(network)
    for part in network.modules():
        if isinstance(part, FuseConvMod):
            part.kernels = False
    return network


def errors(found, wanted):
    """Relative error of each, by name."""
    return {
        name: ((found[name].double() - value.double()).norm() / value.double().norm().clamp(min=1e-12)).item()
        for name, value in wanted.items()
    }


@pytest.mark.parametrize(
    "channels, height, width, blocks",
    [(5, 7, 6, 3), (32, 24, 13, 3), (48, 9, 30, 2), (128, 4, 19, 1), (256, 6, 5, 3), (512, 3, 4, 1)],
)
def test_a_module_agrees_with_double_precision(channels, height, width, blocks):
    network = module(3, channels, blocks)
    x = torch.randn(4, 3, height, width).to(memory_format=torch.channels_last)
    assert fits(x, network)
    found = errors(step(network, x), step(by_pytorch(network).double(), x.double()))
    assert max(found.values()) < 2e-5, found


def test_a_module_in_bfloat16_is_as_near_as_pytorch():
    network = module(16, 32, blocks=1, pool=False)
    x = torch.randn(8, 16, 32, 20).to(memory_format=torch.channels_last)
    exact = step(by_pytorch(network).double(), x.double())
    ours, theirs = (errors(step(one, x, mixed=True), exact) for one in (network, by_pytorch(network)))
    assert ours["y"] < 0.02 and theirs["y"] < 0.02
    assert sum(ours.values()) < 1.1 * sum(theirs.values()), (ours, theirs)


@pytest.mark.parametrize("eps", ["plain", "stable"])
def test_the_whole_extractor_agrees_with_double_precision(eps):
    torch.manual_seed(2)
    network = with_random_numbers(FUSE([8, 8, 16, 16], num_blocks=2).to(memory_format=torch.channels_last))
    raise_batch_norm_eps(network, eps)
    x = torch.randn(6, 1, 33, 41)
    found = errors(step(network, x), step(by_pytorch(network).double(), x.double()))
    assert found.pop("0.pointwise.0.weight") < 0.1
    assert max(found.values()) < 1e-4, found


def test_gradients_in_bfloat16_point_where_those_of_double_precision_do():
    """As they are in training, with the eps of batch norms raised; PyTorch's are the measure."""
    ours, theirs = [], []
    for seed in range(3):
        torch.manual_seed(seed)
        network = FUSE([8, 16, 32, 32], num_blocks=2).to(memory_format=torch.channels_last)
        raise_batch_norm_eps(network, "stable")
        x, labels = 2 * torch.randn(8, 1, 48, 40) - 3, torch.randint(0, 2, (8, 1, 1, 1))
        wanted = gradient_of_loss(by_pytorch(network).double(), x.double(), labels)
        ours.append(cosine(gradient_of_loss(network, x, labels, mixed=True), wanted))
        theirs.append(cosine(gradient_of_loss(by_pytorch(network), x, labels, mixed=True), wanted))
    print("cosines with double precision:", np.round(ours, 2), "PyTorch's:", np.round(theirs, 2))
    assert np.mean(ours) > 0.9 and np.mean(ours) > np.mean(theirs) - 0.02, (ours, theirs)


def gradient_of_loss(network, x, labels, mixed=False):
    """The gradient of a classification loss in all parameters, in one row."""
    network = copy.deepcopy(network)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        y = network(x)
    y = y.to(x.dtype)
    nn.functional.binary_cross_entropy_with_logits(y, labels.to(y.dtype).expand_as(y)).backward()
    return torch.cat([p.grad.flatten().double() for p in network.parameters()])


def cosine(a, b):
    return nn.functional.cosine_similarity(a, b, dim=0).item()


@pytest.mark.parametrize("mixed", [False, True])
def test_results_do_not_depend_on_the_number_of_threads(mixed):
    network = module(2, 32)
    x = torch.randn(5, 2, 20, 17).to(memory_format=torch.channels_last)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 1):
            torch.set_num_threads(threads)
            found.append(step(network, x, mixed=mixed))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        different = [name for name in other if not torch.equal(other[name], found[0][name])]
        assert [name for name in different if "pointwise.0" not in name and name != "x"] == []  # PyTorch's own products
    assert all(torch.equal(found[0][name], found[3][name]) for name in found[0])


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    x, before = torch.randn(2, 8, 8, 8).to(memory_format=torch.channels_last), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        wanted = max_pool(x)
        child = os.fork()
        if child == 0:  # OpenMP's threads are gone there: nothing of PyTorch that uses them
            signal.alarm(60)
            os._exit(0 if np.array_equal(max_pool(x).numpy(), wanted.numpy()) else 1)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        torch.set_num_threads(before)


def test_parameters_changed_before_the_backward_pass_do_not_matter():
    network, x = module(2, 8), torch.randn(3, 2, 8, 8)
    wanted = step(network, x)["x"]
    leaf = x.clone().requires_grad_()
    y = network(leaf)
    with torch.no_grad():
        for block in network.blocks:
            block[0].weight.zero_()
    y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(leaf.grad, wanted, rtol=0, atol=0)


def test_running_statistics_are_averages_when_the_momentum_is_none():
    network = module(2, 8)
    for one in (network, reference := by_pytorch(network)):
        for part in one.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.reset_running_stats()
                part.momentum = None
        with torch.no_grad():
            for seed in range(3):
                one(torch.randn(3, 2, 6, 9, generator=torch.Generator().manual_seed(seed)))
    for name, wanted in reference.named_buffers():
        torch.testing.assert_close(dict(network.named_buffers())[name], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 6, 8), (1, 16, 7, 9), (3, 40, 2, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_max_pooling_is_that_of_pytorch(shape, dtype):
    torch.manual_seed(3)
    x = torch.randint(-2, 3, shape).to(dtype).to(memory_format=torch.channels_last)  # equal values in many windows
    x[0, 0, 0, 1] = x[-1, -1, 1, 1] = torch.nan
    found = []
    for pool in (max_pool, nn.MaxPool2d(2)):
        leaf = x.clone().requires_grad_()
        y = pool(leaf)
        y.backward(torch.arange(y.numel()).reshape(y.shape).to(dtype))
        found.append((y.detach(), leaf.grad))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0, atol=0)


def test_constant_and_far_away_channels_stay_exact():
    network = module(2, 8, blocks=1, pool=False)
    with torch.no_grad():
        network.pointwise[0].weight[0] = 0.0  # a constant channel
        network.pointwise[0].bias[1] = 300.0  # a mean many deviations from zero
    x = torch.randn(4, 2, 12, 9).to(memory_format=torch.channels_last)
    ours, exact = step(network, x), step(by_pytorch(network).double(), x.double())
    assert all(value.isfinite().all() for value in ours.values())
    assert max(errors(ours, exact).values()) < 1e-4


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_not_finite_shows(value):
    network = module(2, 8)
    x = torch.randn(2, 2, 8, 8)
    x[0, 1, 3, 2] = value
    assert not network(x).isfinite().all()


def test_the_backward_pass_is_possible_once():
    network = module(2, 8)
    y = network(torch.randn(2, 2, 8, 8)).sum()
    y.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once"):
        y.backward()


def changed(change):
    network = module(2, 8)
    change(network)
    return network


def hooks():
    """Each kind of hook, put on one of the parts that the kernels pass over."""
    nothing = lambda *_: None  # noqa: E731
    yield lambda network: network.blocks[1][2].register_forward_hook(nothing)
    yield lambda network: network.blocks[0].register_forward_pre_hook(nothing)
    yield lambda network: network.pointwise.register_forward_hook(nothing)
    yield lambda network: network.pool.register_forward_hook(nothing)
    yield lambda network: network.blocks[1][1].register_full_backward_hook(nothing)
    yield lambda network: network.blocks[2].register_full_backward_pre_hook(nothing)


def other_layers():
    """Each layer in another way than FUSE has it."""
    yield lambda network: network.blocks[1].__setitem__(2, nn.GELU())
    yield lambda network: network.blocks[2].__setitem__(4, nn.Identity())  # folded
    yield lambda network: network.blocks[0].__setitem__(5, nn.Sequential(nn.ReLU(), nn.Dropout()))
    yield lambda network: network.blocks[0].append(nn.Dropout())
    yield lambda network: network.blocks[0][1].eval()  # frozen
    yield lambda network: setattr(network.blocks[0][0], "dilation", (2, 1))
    yield lambda network: setattr(network.blocks[0][3], "padding_mode", "circular")
    yield lambda network: setattr(network.blocks[0][3], "bias", None)
    yield lambda network: network.blocks[0].__setitem__(0, nn.Conv2d(8, 8, (3, 1), padding=(1, 0), groups=8))
    yield lambda network: setattr(network, "pool", nn.AvgPool2d(2))
    yield lambda network: setattr(network, "pool", nn.MaxPool2d((2, 1)))
    yield lambda network: setattr(network, "pool", nn.MaxPool2d(2, ceil_mode=True))
    yield lambda network: network.pointwise.__setitem__(1, nn.InstanceNorm2d(8))


@pytest.mark.parametrize("change", [*hooks(), *other_layers()])
def test_other_layers_and_hooks_are_left_to_pytorch(change):
    x = torch.randn(2, 2, 8, 8)
    assert fits(x, module(2, 8))
    assert not fits(x, changed(change))


def test_what_the_kernels_cannot_compute_is_left_to_pytorch(monkeypatch):
    network, x = module(2, 8), torch.randn(2, 2, 8, 8)
    assert fits(x, network)
    assert not fits(x, copy.deepcopy(network).eval())
    assert not fits(x.double(), copy.deepcopy(network).double())
    assert not fits(x, module(2, 192))
    assert not fits(x, FuseConvMod(2, 8, time_kernel=5))
    assert not fits(x, FuseConvMod(2, 8, num_blocks=0))
    assert not fits(x[:, :, :1], network) and fits(x[:, :, :1], module(2, 8, pool=False))
    with torch.autocast("cpu", torch.float16):
        assert not fits(x, network)
    with FlopCounterMode(display=False) as counter:
        network(x)
    assert counter.get_total_flops() == 2 * 512 * (2 * 8 + 6 * 3 * 8) // 4
    monkeypatch.setattr(conditions, "LEAST_NUMBERS", 2 * 8 * 8 * 8 + 1)
    assert not fits(x, network)


def test_asking_draws_no_random_numbers():
    network, x = module(2, 8), torch.randn(2, 2, 8, 8)
    before = torch.get_rng_state()
    assert fits(x, network)
    assert torch.equal(torch.get_rng_state(), before)


def test_compiled_networks_are_left_to_pytorch():
    network, x = module(2, 8, blocks=1), torch.randn(2, 2, 8, 8)
    wanted = by_pytorch(network)(x)
    found = torch.compile(network, backend="eager")(x)
    torch.testing.assert_close(found, wanted)


def test_a_far_number_in_any_place_leaves_statistics_exact():
    network = module(2, 8, blocks=1, pool=False)
    for place in ((8, 0, 32, 64), (0, 1, 0, 0), (15, 0, 63, 127)):
        x = torch.randn(16, 2, 64, 128)
        x[place] = 1e4
        with torch.no_grad():
            found, wanted = network(x), by_pytorch(network).double()(x.double())
        assert ((found - wanted).norm() / wanted.norm()).item() < 2e-5


def test_most_results_are_nearer_to_double_precision_than_pytorch():
    ratios = []
    for seed, (channels, height, width) in enumerate([(32, 24, 13), (64, 16, 20), (128, 4, 19), (8, 40, 60)]):
        network = module(3, channels, seed=seed)
        x = torch.randn(4, 3, height, width).to(memory_format=torch.channels_last)
        exact = step(by_pytorch(network).double(), x.double())
        ours, theirs = (errors(step(one, x), exact) for one in (network, by_pytorch(network)))
        ratios += [theirs[name] / max(ours[name], 1e-9) for name in exact if exact[name].is_floating_point()]
    assert np.median(ratios) > 3, np.quantile(ratios, [0.0, 0.25, 0.5, 0.75, 1.0])
    print("PyTorch's errors are larger by", np.quantile(ratios, [0.0, 0.25, 0.5, 0.75, 1.0]))
