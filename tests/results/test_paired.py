"""Runs compared on the same clips: known differences, seeds, cross-validations, and what is refused."""

import json
from dataclasses import replace

import fold_runs
import numpy as np
import pytest
from member_runs import clips_of, made_up, write_member

from mil_asc.errors import DoubtWarning, UserError
from mil_asc.results.ensemble import average_runs
from mil_asc.results.intervals import group_interval
from mil_asc.results.paired import RESAMPLES, SEED, compare_runs, mcnemar


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [write_member(folder / f"seed-{seed}", seed) for seed in (1, 2, 3)]


def correct(seed, rule=None):
    truth_B = [fold_runs.LABELS.index(clip.label) for clip in clips_of()]
    return made_up(clips_of(), seed).decided(rule) == np.array(truth_B)


def test_two_runs_have_their_accuracies_an_interval_and_a_test(folders):
    found = compare_runs(folders[:1], folders[1:2])
    assert list(found) == ["own rule", "SMI", "CMI"] and found["own rule"] == found["SMI"]
    for name, rule in (("SMI", "smi"), ("CMI", "cmi")):
        one, two, own = correct(1, rule), correct(2, rule), found[name]
        assert (own.clips, own.groups, own.accuracy, own.reference) == (12, 6, one.mean(), two.mean())
        groups = [clip.location for clip in clips_of()]
        assert own.interval == pytest.approx(group_interval(one * 1.0 - two, groups, RESAMPLES, SEED))
        assert own.difference == pytest.approx(one.mean() - two.mean()) and own.p == mcnemar(one, two)


def test_seeds_are_averaged_clip_by_clip_without_a_test(folders):
    found = compare_runs(folders[:2], folders[2:])["SMI"]
    assert found.accuracy == pytest.approx((correct(1, "smi").mean() + correct(2, "smi").mean()) / 2)
    assert found.p is None and found.interval[0] <= found.difference <= found.interval[1]


def test_a_run_is_no_better_than_its_copy_and_counts_once(folders, tmp_path):
    copy = write_member(tmp_path / "copy", 1)
    found = compare_runs(folders[:1], [copy])["SMI"]
    assert (found.difference, found.interval, found.p) == (0, (0, 0), 1)
    for own, reference in ((folders[:1], folders[:1]), ([*folders[:2], folders[0] / "../seed-1"], folders[2:])):
        with pytest.raises(UserError, match="seed-1 is named twice: name each run once, on one side"):
            compare_runs(own, reference)


def test_folds_count_as_one_evaluation(tmp_path):
    for name in ("a", "b"):
        for fold in (1, 2, 3):
            fold_runs.write_fold(tmp_path / name, fold)
    found = compare_runs([tmp_path / "a"], [tmp_path / "b"])["CMI"]
    assert (found.groups, found.difference) == (6, 0) and found.clips > 20
    with pytest.raises(UserError, match="were evaluated on other clips, such as"):
        compare_runs([tmp_path / "a"], [tmp_path / "b/fold-1"])


def test_few_groups_have_no_interval(tmp_path):
    clips = clips_of(4)
    folders = [write_member(tmp_path / str(seed), seed, clips=clips) for seed in (1, 2)]
    found = compare_runs(folders[:1], folders[1:])["SMI"]
    assert found.interval is None and found.groups == 4 and found.p is not None


def test_other_groups_are_refused_and_other_samples_warned_of(folders, tmp_path):
    clips = [replace(clip, location="elsewhere") for clip in clips_of()]
    other = write_member(tmp_path / "other", 2, clips=clips)
    with pytest.raises(UserError, match="other data: the location of .* is 'elsewhere', and 'place-0'"):
        compare_runs(folders[:1], [other])
    runs = [write_member(tmp_path / str(seed), seed) for seed in (1, 2)]
    record = {"train": "t", "validation": "v", "evaluate": "e", "clip_seconds": 0.0}
    for run, audio in zip(runs, ("a", "b")):
        (run / "lists.json").write_text(json.dumps({**record, "audio": audio}))
    with pytest.warns(DoubtWarning, match="have the same names and not the same samples"):
        compare_runs(runs[:1], runs[1:])
    assert any("not the same samples" in line for line in average_runs(runs).results["warnings"])


def test_other_clips_and_unfinished_runs_are_refused(folders, tmp_path):
    other = write_member(tmp_path / "other", 1, clips=clips_of(11))
    with pytest.raises(UserError, match=f"{other} and {folders[0]} were evaluated on other clips"):
        compare_runs(folders[:1], [other])
    report = json.loads((other / "report.json").read_text())
    report["run"]["debug"] = True
    (other / "report.json").write_text(json.dumps(report))
    with pytest.raises(UserError, match="debug"):
        compare_runs(folders[:1], [other])
    with pytest.raises(UserError, match="holds no"):
        compare_runs(folders[:1], [tmp_path])
