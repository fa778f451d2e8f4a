"""``mil-asc classify`` goes on where it was stopped or killed; several processes; one that dies."""

import csv
import json
import os
import signal
import time

import pytest
from calls import start, write_noise

from mil_asc.cli.worker_pool import map_in_order
from mil_asc.errors import UserError
from mil_asc.runtime.worker_process import Died


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """500 recordings of half a second, in two folders."""
    root = tmp_path_factory.mktemp("many")
    for i in range(500):
        write_noise(root / ("night" if i % 3 else ".") / f"{i:03}.wav", 0.4 + 0.001 * i, seed=i)
    return root


def wait_for_rows(process, path, count):
    """Wait until the file has ``count`` lines; the process must still run then."""
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)


def processes_of(parent):
    """Ids of the living processes that have this parent."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                state, above = file.read().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(above) == parent and state != "Z":
            found.append(int(name))
    return found


def end(process):
    """(status, standard error) of a process that ends."""
    _, err = process.communicate(timeout=120)
    return process.returncode, err


def wait_for_end(ids):
    """Wait until none of these processes is left."""
    limit = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{one}") for one in ids):
        assert time.monotonic() < limit, "processes are left"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_500_files_stopped_on_the_way_and_resumed_give_the_same_file(many, model, tmp_path, form, how):
    words = ["classify", many, "--model", model, "--jobs", "2", "--to"]
    whole, stopped = tmp_path / f"whole.{form}", tmp_path / f"stopped.{form}"
    assert end(start(*words, whole))[0] == 0
    process = start(*words, stopped)
    wait_for_rows(process, stopped, 50)  # early: the rest takes longer than this process may have to wait for its turn
    workers = processes_of(process.pid)
    process.send_signal(how)
    status, err = end(process)
    assert status == (130 if how == signal.SIGINT else -how) and "Traceback" not in err
    wait_for_end(workers)
    there = stopped.read_bytes()
    assert 50 <= there.count(b"\n") < 500 and whole.read_bytes().startswith(there)
    status, err = end(start(*words, stopped))
    assert status == 0 and "were there before" in err
    assert stopped.read_bytes() == whole.read_bytes()


def test_row_that_was_cut_off_is_written_again(mil_asc, recordings, model, tmp_path):
    words = ["classify", recordings, "--model", model, "--to"]
    for form in ("csv", "jsonl"):
        file = tmp_path / f"a.{form}"
        mil_asc(*words, file)
        whole = file.read_bytes()
        for length in (0, 3, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:length])
            status, out, _ = mil_asc(*words, file)
            assert (status, out) == (0, "") and file.read_bytes() == whole


def test_bad_files_are_tried_again(mil_asc, recordings, model, tmp_path):
    (recordings / "z.wav").write_text("no audio")
    words = ["classify", recordings, "--model", model, "--to", tmp_path / "a.csv"]
    assert mil_asc(*words)[0] == mil_asc(*words)[0] == 3
    write_noise(recordings / "z.wav")
    status, _, err = mil_asc(*words)
    assert status == 0 and "1 recordings classified, 4 were there before" in err
    with open(tmp_path / "a.csv") as file:
        assert len(list(csv.reader(file))) == 6


@pytest.mark.parametrize(
    "words, differing", [(["--assumption", "cmi"], "another assumption"), (["--rejected", "0.02"], "another rejected")]
)
def test_other_options_or_another_model_are_not_mixed_in(
    mil_asc, recordings, model, plain_model, tmp_path, words, differing
):
    first = ["classify", recordings, "--to", tmp_path / "a.csv", "--model"]
    mil_asc(*first, model)
    before = (tmp_path / "a.csv").read_bytes()
    status, _, err = mil_asc(*first, model, *words)
    assert status == 1 and err.count("\n") == 1 and differing in err and "--force" in err
    status, _, err = mil_asc(*first, plain_model)
    assert status == 1 and err.count("\n") == 1 and "(another model)" in err
    assert (tmp_path / "a.csv").read_bytes() == before
    assert mil_asc(*first, model, *words, "--force")[0] == mil_asc(*first, model, *words)[0] == 0


def test_file_of_something_else_is_kept(mil_asc, recordings, model, tmp_path):
    for name in ("a.csv", "a.jsonl", "a.json"):
        (tmp_path / name).write_text("mine\n")
        status, _, err = mil_asc("classify", recordings, "--model", model, "--to", tmp_path / name)
        assert status == 1 and err.count("\n") == 1 and "is there already" in err
        assert (tmp_path / name).read_text() == "mine\n"


def test_files_that_are_there_are_skipped_unless_forced(mil_asc, recordings, model, tmp_path):
    words = ["classify", recordings, "--model", model, "--format", "audacity", "--to", tmp_path / "labels"]
    mil_asc(*words)
    (tmp_path / "labels/b.wav.txt").unlink()
    (tmp_path / "labels/a.flac.txt").write_text("mine")
    _, _, err = mil_asc(*words)
    assert "1 recordings classified, 3 were there before" in err
    assert (tmp_path / "labels/a.flac.txt").read_text() == "mine"
    _, _, err = mil_asc(*words, "--force")
    assert "4 recordings classified:" in err and (tmp_path / "labels/a.flac.txt").read_text() != "mine"


def test_two_programs_do_not_write_to_one_file(mil_asc, recordings, model, tmp_path):
    import fcntl

    words = ["classify", recordings, "--model", model, "--to", tmp_path / "a.csv"]
    mil_asc(*words)
    with open(tmp_path / "a.csv.settings.json") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        status, _, err = mil_asc(*words)
    assert status == 1 and "is being written by another" in err


@pytest.mark.slow
def test_several_processes_give_the_rows_of_one(mil_asc, recordings, model):
    words = ["classify", recordings, "--model", model, "--format", "jsonl"]
    one, two = (mil_asc(*words, "--jobs", jobs)[1].splitlines() for jobs in (1, 2))
    for first, second in zip(map(json.loads, one), map(json.loads, two), strict=True):
        assert first["path"] == second["path"] and first["label"] == second["label"]


# -- the pool


def _double():
    return lambda number: 2 * number


def _die_at_3():
    return lambda number: os.kill(os.getpid(), signal.SIGKILL) if number == 3 else number


def _refuse():
    raise UserError("no model")


@pytest.mark.slow
def test_results_come_in_the_order_of_the_items():
    assert list(map_in_order(iter(range(300)), _double, 2)) == [(i, 2 * i) for i in range(300)]


@pytest.mark.slow
def test_process_that_dies_costs_its_item_only():
    found = dict(map_in_order(range(8), _die_at_3, 2))
    assert isinstance(found[3], Died) and "SIGKILL" in found[3].reason
    assert [found[i] for i in range(8) if i != 3] == [i for i in range(8) if i != 3]


@pytest.mark.slow
def test_refusal_of_the_set_up_is_raised_once():
    with pytest.raises(UserError, match="^no model$"):
        list(map_in_order(range(8), _refuse, 2))
