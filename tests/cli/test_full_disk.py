"""A disk that is full: one line that names the file, nothing half-written beside the rows, and the rows stay."""

import resource
import signal

import pytest
from calls import start, write_noise

FORMATS = ["csv", "json", "parquet", "audacity"]


def limit_files(most):
    """Files of this process cannot grow beyond so many bytes; a write fails as on a full disk."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    return limit


@pytest.mark.parametrize("form", FORMATS)
def test_full_disk_is_one_line_with_the_file_and_the_same_command_goes_on(model, tmp_path, form):
    for i in range(3):
        write_noise(tmp_path / f"recordings/{'n' * 100}{i}.wav", 30.0, seed=i)
    to = tmp_path / "out" / f"a.{form}"
    to.parent.mkdir()
    words = ["classify", tmp_path / "recordings", "--model", model, "--format", form, "--to", to]
    most = {"audacity": 10, "csv": 620}.get(form, 1000)
    if form == "audacity":  # its settings are written first
        to.mkdir()
        settings = start(*words)
        assert settings.communicate() and settings.returncode == 0
        for path in to.glob("*.wav.txt"):
            path.unlink()
    process = start(*words, preexec_fn=limit_files(most))
    out, err = process.communicate()
    assert process.returncode == 1 and out == "" and err.count("\n") == 1, err
    assert str(to) in err and "File too large" in err
    assert not [path for path in to.parent.rglob("*partial*")]
    process = start(*words)
    _, err = process.communicate()
    assert process.returncode == 0, err
