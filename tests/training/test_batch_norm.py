import copy

import torch

from mil_asc.training.batch_norm import estimate_batch_norm


def test_statistics_match_the_data():
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm1d(3)
    batches = [torch.randn(50, 3) * torch.tensor([1.0, 2.0, 3.0]) + torch.tensor([0.0, 5.0, -5.0]) for _ in range(8)]
    norm.running_var.fill_(1e-7)
    estimate_batch_norm(norm.eval(), batches)
    torch.testing.assert_close(norm.running_mean, torch.stack(batches).mean((0, 1)))
    torch.testing.assert_close(norm.running_var, torch.stack([b.var(0) for b in batches]).mean(0))
    assert not norm.training and norm.momentum == 0.1


def test_weights_do_not_change_and_have_no_gradients(small_model):
    before = {name: p.clone() for name, p in small_model.named_parameters()}
    estimate_batch_norm(small_model, [torch.randn(4, 8000)])
    assert all(torch.equal(p, before[name]) and p.grad is None for name, p in small_model.named_parameters())


def test_estimate_closes_the_gap_between_training_and_evaluation(small_model):
    """With outdated statistics, a model that fits its clips evaluates near chance; new estimates restore it."""
    torch.manual_seed(0)
    label_B = torch.arange(32) % 4
    tone = torch.sin(2 * torch.pi * (300.0 * (label_B + 1)).unsqueeze(1) * torch.arange(8000) / 16000)
    wav_BN = tone * 0.1 + 0.01 * torch.randn(32, 8000)
    model, optimizer = small_model, torch.optim.SGD(small_model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(25):
        loss = torch.nn.functional.cross_entropy(model.train()(wav_BN).logits_BIC.amax(1), label_B)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def accuracy():
        with torch.no_grad():
            return (model(wav_BN).logits_BIC.amax(1).argmax(1) == label_B).float().mean().item()

    def spoil(module):
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.mul_(1e-4)

    assert accuracy() > 0.95  # with batch statistics
    model.eval().apply(spoil)
    assert accuracy() < 0.7
    estimate_batch_norm(model, wav_BN.split(16))
    assert accuracy() > 0.95


def test_statistics_are_those_of_update_bn(small_model):
    other = copy.deepcopy(small_model)
    batches = torch.randn(3, 4, 8000)
    estimate_batch_norm(small_model.eval(), batches)
    torch.optim.swa_utils.update_bn(batches, other.eval())
    found, expected = small_model.state_dict(), other.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_frozen_extractor_keeps_its_statistics_and_is_computed_with_them(small_model):
    small_model.freeze_extractor()
    for name, value in small_model.named_buffers():
        if name.startswith("extractor.") and "running" in name:
            value.uniform_(0.5, 2.0)
    before = copy.deepcopy(small_model.state_dict())
    wav_BN = torch.randn(4, 8000)
    estimate_batch_norm(small_model.eval(), [wav_BN])
    after = small_model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before if name.startswith("extractor."))
    norm = small_model.instances.pointwise[1]
    with torch.no_grad():
        feature_BCFI = small_model.eval().extractor(small_model.front_end(wav_BN).unsqueeze(1))
        input_BD1I = small_model.instances.pointwise[0](small_model.instances.full_height(feature_BCFI))
    torch.testing.assert_close(norm.running_mean, input_BD1I.mean((0, 2, 3)))
