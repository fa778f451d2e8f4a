"""Which experiments figures compare: pairs of one model, one extractor, the paper's order."""

import pytest
from figure_runs import GAP, TRUTH, VGG_LIKE, random_logits, write_run, write_three_experiments

from mil_asc.errors import UserError
from mil_asc.paper.figures.comparable import by_extractor, choose_extractor, with_cross_entropy, with_instance_loss
from mil_asc.paper.figures.experiments import CannotDraw, Options, read_experiments
from mil_asc.paper.figures.page import draw_figures, render


@pytest.fixture
def three_experiments(tmp_path):
    return write_three_experiments(tmp_path / "runs")


@pytest.mark.parametrize(
    "experiments, words",
    [
        (["fuse_pnl"], "no run without instance loss, such as fuse_no_il"),
        (["fuse_no_il"], "no run with instance loss, such as fuse_pnl or fuse_gt"),
    ],
)
def test_both_kinds_of_runs_are_needed(tmp_path, experiments, words):
    folders = [write_run(tmp_path, name, random_logits(0, TRUTH), TRUTH) for name in experiments]
    with pytest.raises(CannotDraw, match=words):
        with_instance_loss(read_experiments(folders))


def test_models_that_pool_otherwise_are_no_mil_without_instance_loss(tmp_path):
    logits = random_logits(0, TRUTH)
    folders = [
        write_run(tmp_path, "fuse_pnl", logits, TRUTH),
        write_run(tmp_path, "fuse_gap", logits, TRUTH, softmax=True, evaluation=GAP),
    ]
    experiments = read_experiments(folders)
    with pytest.raises(CannotDraw, match="no run without instance loss"):
        with_instance_loss(experiments)
    with pytest.raises(CannotDraw, match="no run trained with cross entropy"):
        with_cross_entropy(experiments)
    assert "| fuse_gap | FUSE | - | softmax | 1 | 1 | 75.0 |" in render(experiments, {}, {})


def test_models_that_pool_otherwise_stand_in_figure_10_alone_of_those_without_sound(three_experiments, tmp_path):
    gap = write_run(tmp_path, "fuse_gap", random_logits(0, TRUTH), TRUTH, softmax=True, evaluation=GAP)
    drawings, _ = draw_figures(read_experiments([*three_experiments, gap]), Options(), [6, 9, 10])
    for number in (6, 9):
        (picture,) = drawings[number].pictures.values()
        assert "fuse_gap" not in picture and "decides: fuse_gap." in drawings[number].text
    assert "fuse_gap" in drawings[10].pictures["figure_10.svg"]


def test_frame_loss_is_no_instance_loss(tmp_path):
    logits = random_logits(0, TRUTH)
    folders = [write_run(tmp_path, name, logits, TRUTH) for name in ("fuse_no_il", "fuse_frame_loss")]
    experiments = read_experiments(folders)
    assert [experiment.first.terms for experiment in experiments] == [[], ["frame loss"]]
    with pytest.raises(CannotDraw, match="no run with instance loss, such as fuse_pnl or fuse_gt"):
        with_instance_loss(experiments)
    experiments = read_experiments([*folders, write_run(tmp_path, "fuse_pnl", logits, TRUTH)])
    assert [experiment.name for experiment in with_instance_loss(experiments)] == ["fuse_no_il", "fuse_pnl"]
    drawing = draw_figures(experiments, Options(), [6])[0][6]
    assert "fuse_frame_loss was trained with frame loss." in drawing.text
    assert "| fuse_frame_loss | FUSE | frame loss | sigmoid |" in render(experiments, {}, {})


def write_extractors(folder, *names_and_settings):
    logits = random_logits(0, TRUTH)
    return read_experiments([write_run(folder, name, logits, TRUTH, settings=s) for name, s in names_and_settings])


def test_experiments_of_different_extractors_are_no_pair(tmp_path):
    experiments = write_extractors(tmp_path, ("vgg_like_no_il", VGG_LIKE), ("fuse_pnl", {}))
    with pytest.raises(UserError, match="figure 6 cannot be drawn: no extractor has all runs it needs"):
        draw_figures(experiments, Options(), [6])


@pytest.mark.parametrize("other", [{"n_mels": 40}, {"channels": [4, 4]}, {"input_norm": "resnorm"}])
def test_experiments_of_different_models_are_no_pair(tmp_path, other):
    experiments = write_extractors(tmp_path, ("fuse_no_il", {}), ("fuse_pnl", other))
    with pytest.raises(CannotDraw):
        choose_extractor(experiments, complete=with_instance_loss)


def test_a_pair_is_the_first_of_the_same_model(tmp_path):
    wanted = ("fuse_no_il", {}), ("fuse_pnl", {"input_norm": "resnorm"}), ("fuse_gt", {})
    pair = with_instance_loss(write_extractors(tmp_path, *wanted))
    assert [experiment.name for experiment in pair] == ["fuse_no_il", "fuse_gt"]


def test_the_papers_extractor_is_drawn_unless_another_is_named(tmp_path):
    names = [(f"{model}_{what}", s) for model, s in (("vgg_like", VGG_LIKE), ("fuse", {})) for what in ("no_il", "pnl")]
    experiments = write_extractors(tmp_path, *names)
    for number in (6, 10):
        for wanted, drawn, other in (("", "fuse", "vgg_like"), ("vgg_like", "vgg_like", "fuse")):
            drawing = draw_figures(experiments, Options(extractor=wanted), [number])[0][number]
            (picture,) = drawing.pictures.values()
            assert f"{drawn}_pnl" in picture and f"{drawn}_no_il" in picture and f"{other}_" not in picture
            names = ("FUSE", "VGGLike") if drawn == "fuse" else ("VGGLike", "FUSE")
            assert "Extractor: {}. Of other extractors, not drawn here: {}.".format(*names) in drawing.text
    with pytest.raises(UserError, match="--extractor: no run has 'resnet'; legal: FUSE, VGGLike"):
        draw_figures(experiments, Options(extractor="resnet"), [10])


def test_another_extractor_is_drawn_where_the_papers_lacks_runs(tmp_path):
    names = [("vgg_like_no_il", VGG_LIKE), ("vgg_like_pnl", VGG_LIKE), ("fuse_pnl", {})]
    chosen, said = choose_extractor(write_extractors(tmp_path, *names), complete=with_instance_loss)
    assert [experiment.name for experiment in chosen] == ["vgg_like_no_il", "vgg_like_pnl"] and "VGGLike" in said
    with pytest.raises(CannotDraw, match="no run without instance loss"):
        choose_extractor(write_extractors(tmp_path / "again", *names), "FUSE", with_instance_loss)


def test_extractors_are_named_as_short_as_they_can_be(tmp_path):
    small = VGG_LIKE | {"n_mels": 40}
    experiments = write_extractors(
        tmp_path, ("a_pnl", VGG_LIKE), ("b_pnl", small), ("c_pnl", {}), ("d_pnl", small | {"channels": [2, 2]})
    )
    groups = {name: [member.name for member in members] for name, members in by_extractor(experiments).items()}
    assert groups == {
        "FUSE": ["c_pnl"],
        "VGGLike-128mel": ["a_pnl"],
        "VGGLike-40mel-64.0ms-1": ["b_pnl"],
        "VGGLike-40mel-64.0ms-2": ["d_pnl"],
    }


def test_experiments_stand_in_the_papers_order(three_experiments):
    experiments = read_experiments(three_experiments)
    assert [experiment.name for experiment in experiments] == ["fuse_no_il", "fuse_pnl", "fuse_pnl_ce"]
    assert [experiment.first.seed for experiment in experiments] == [1, 1, 1]
    assert len(read_experiments([three_experiments[0]] * 2)[0].runs) == 1
