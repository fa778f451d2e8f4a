"""The moving average of the weights, against the sum written out."""

import torch

from mil_asc.training.weight_average import WeightAverage


def trained(decay, steps, device, resume_at=None, folder=None):
    """An average over weights 1, 2, ..., saved and loaded after some steps if asked for."""
    torch.manual_seed(0)
    model = torch.nn.Linear(1, 1).to(device)
    average = WeightAverage(model, decay)
    for step in range(1, steps + 1):
        with torch.no_grad():
            model.weight.fill_(float(step))
        average.update()
        if step == resume_at:
            average.save(folder / "average.ckpt")
            average = WeightAverage(torch.nn.Linear(1, 1).to(device), decay)
            average.load(folder / "average.ckpt", end_of_epoch=True)
            average.model = model
    return model, average


def test_the_average_has_its_exponential_weights(device):
    model, average = trained(0.5, 30, device)
    expected, steps = None, 0
    for step in range(1, 31):
        decay = min(0.5, (1 + steps) / (10 + steps))
        expected = step if expected is None else decay * expected + (1 - decay) * step
        steps += 1
    with average.in_place():
        assert abs(model.weight.item() - expected) < 0.2 * 0.5**20 + 1e-4
    assert model.weight.item() == 30.0


def test_a_resumed_average_is_the_same(tmp_path, device):
    _, whole = trained(0.9, 12, device)
    _, resumed = trained(0.9, 12, device, resume_at=5, folder=tmp_path)
    assert torch.equal(whole.average["weight"], resumed.average["weight"]) and whole.steps == resumed.steps


def test_buffers_that_change_in_place_stay_with_the_average(device):
    model = torch.nn.BatchNorm1d(2).to(device)
    average = WeightAverage(model, 0.9)
    with average.in_place():
        model.running_mean.fill_(5.0)
    assert model.running_mean.tolist() == [0.0, 0.0]
    average.replace_weights()
    assert model.running_mean.tolist() == [5.0, 5.0]


def test_parameters_without_gradients_and_buffers_are_not_averaged():
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 1))
    average = WeightAverage(model, 0.9)
    model[0].requires_grad_(False)  # as ``init_from`` does after the average was made
    with torch.no_grad():
        model[0].weight.fill_(7.0)
        model[0].running_mean.fill_(3.0)
    average.update()
    assert average.average.keys() == {"1.weight", "1.bias"}
    with average.in_place():
        assert model[0].weight.tolist() == [7.0, 7.0] and model[0].running_mean.tolist() == [3.0, 3.0]
