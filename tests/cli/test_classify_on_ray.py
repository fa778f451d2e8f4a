"""``mil-asc classify --ray``: the parts of a plain run, whatever happens to the workers of the cluster."""

import os
import signal
import time
from pathlib import Path

import pytest
from calls import start, write_noise

from mil_asc.cli.ray_pool import map_on_ray
from mil_asc.errors import UserError
from mil_asc.runtime.worker_process import Died

parquet = pytest.importorskip("pyarrow.parquet", reason='needs pyarrow: pip install -e ".[parquet]"')
ray = pytest.importorskip("ray", reason='needs Ray: pip install -e ".[ray]"')
pytestmark = pytest.mark.slow
FILES = 400


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    for number in range(FILES):
        write_noise(root / f"{number:03}.wav", 2.0 + 0.01 * number, seed=number)
    (root / "bad.wav").write_text("no audio")
    return root


@pytest.fixture(scope="module")
def words(corpus, model):
    return ["classify", corpus, "--model", model, "--format", "parquet", "--part-rows", 100, "--to"]


@pytest.fixture(scope="module")
def whole(words, tmp_path_factory):
    """The rows of a run without Ray."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    finish(start(*words, folder), 3)
    return rows_of(folder)


def finish(process, status):
    out, err = process.communicate(timeout=300)
    assert process.returncode == status and "Traceback" not in err, err
    return err


def rows_of(folder):
    rows = [row for part in sorted(Path(folder).glob("part-*")) for row in parquet.read_table(part).to_pylist()]
    return sorted(rows, key=lambda row: row["path"])


def descendants(parent):
    """Command line of every living process below this one, by its id."""
    above, lines = {}, {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            state, number = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:2]
            line = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if state != "Z":
            above[int(name)], lines[int(name)] = int(number), line
    found = {parent}
    while more := {one for one, number in above.items() if number in found} - found:
        found |= more
    return {one: lines[one] for one in found if one in lines}


def wait_for_rows(process, folder):
    limit = time.monotonic() + 180
    while not any(file.stat().st_size for file in Path(folder).glob(".part-*.jsonl")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < limit
        time.sleep(0.01)


def wait_for_end(ids):
    limit = time.monotonic() + 60
    while left := {one: line for one, line in descendants(1).items() if one in ids}:
        assert time.monotonic() < limit, f"processes are left: {left}"
        time.sleep(0.1)


def test_killed_actor_loses_nothing(words, whole, tmp_path):
    process = start(*words, tmp_path / "out", "--ray", "local")
    wait_for_rows(process, tmp_path / "out")
    actors = [one for one, line in descendants(process.pid).items() if line.startswith("ray::Worker")]
    assert actors
    os.kill(actors[0], signal.SIGKILL)
    err = finish(process, 3)
    assert f"{FILES} recordings classified" in err and rows_of(tmp_path / "out") == whole


def test_killed_command_goes_on_without_ray_and_leaves_no_worker(words, whole, tmp_path):
    process = start(*words, tmp_path / "out", "--ray", "local")
    wait_for_rows(process, tmp_path / "out")
    below = descendants(process.pid)
    process.kill()
    process.communicate(timeout=60)
    wait_for_end([one for one, line in below.items() if line.startswith("ray::Worker")])
    assert "were there before" in finish(start(*words, tmp_path / "out"), 3)
    assert rows_of(tmp_path / "out") == whole


def test_ctrl_c_ends_cleanly(words, tmp_path):
    process = start(*words, tmp_path / "out", "--ray", "local", start_new_session=True)
    wait_for_rows(process, tmp_path / "out")
    below = descendants(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all processes
    assert finish(process, 130).splitlines()[-1] == "stopped"
    wait_for_end(below)
    assert rows_of(tmp_path / "out") and not list((tmp_path / "out").glob(".*"))


@pytest.mark.parametrize("address, said", [("127.0.0.1:1", "no cluster answers at 127.0.0.1:1"), ("head", "HOST:PORT")])
def test_cluster_that_does_not_answer_is_one_line(words, tmp_path, address, said):
    err = finish(start(*words, tmp_path / "out", "--ray", address), 1)
    assert err.count("\n") == 1 and said in err


# -- the pool


def test_item_that_kills_every_worker_is_given_up_alone():
    def die_at_3():
        return lambda number: os.kill(os.getpid(), signal.SIGKILL) if number == 3 else 2 * number

    found = dict(map_on_ray(range(40), die_at_3, "local", 2))
    assert isinstance(found.pop(3), Died) and found == {number: 2 * number for number in range(40) if number != 3}


def test_refusal_of_the_set_up_is_raised():
    def refuse():
        raise UserError("no model")

    with pytest.raises(UserError, match="^no model$"):
        list(map_on_ray(range(8), refuse, "local", 2))


def set_up_here():
    """Of a module that the workers cannot import."""
    return abs


def test_worker_that_lacks_a_module_is_one_line():
    with pytest.raises(UserError, match="a worker cannot start: .*No module named 'test_classify_on_ray'"):
        list(map_on_ray(range(8), set_up_here, "local", 2))
