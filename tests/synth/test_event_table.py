"""A table of events that is broken or contradicts the lists is refused with its line."""

import pytest

from mil_asc.corpora.manifest import Clip, Event
from mil_asc.errors import UserError
from mil_asc.synth.event_table import read_events
from mil_asc.synth.write import generate_synth_scenes, prepare_synth_scenes

CLIPS = [Clip("audio/park.wav", "park", "lisbon", "lisbon-1", "a"), Clip("audio/bus.wav", "bus", "lyon", "lyon-1", "a")]
HEADER = "filename\tonset\toffset\tkind\trole"
GOOD = "audio/park.wav\t1.0\t2.5\tbird_chirps\tdistinct"


@pytest.fixture
def read(tmp_path):
    def read(*lines, header=HEADER):
        path = tmp_path / "events.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        return read_events(path, CLIPS, 10.0)

    return read


def test_events_are_read_clip_by_clip(read):
    assert read(GOOD, "./audio/park.wav\t0\t10\tbabble\tambiguous") == {
        "audio/park.wav": [Event(1.0, 2.5, "bird_chirps", "distinct"), Event(0.0, 10.0, "babble", "ambiguous")]
    }


@pytest.mark.parametrize(
    "old, new, part",
    [
        ("1.0", "soon", "line 3: onset must be a number of seconds, got 'soon'"),
        ("2.5", "nan", "line 3: offset must be a number of seconds, got 'nan'"),
        ("2.5", "inf", "line 3: offset must be a number of seconds, got 'inf'"),
        ("2.5", "1.0", "line 3: an event must begin at 0 s or later and end after that, at 10 s at the latest"),
        ("2.5", "0.5", "line 3: an event must begin at 0 s or later"),
        ("2.5", "10.5", "line 3: an event must begin at 0 s or later"),
        ("1.0", "-1.0", "line 3: an event must begin at 0 s or later"),
        ("distinct", "clear", "line 3: unknown role 'clear'; legal: distinct, ambiguous"),
        ("bird_chirps", "bird", "line 3: park has no distinct event 'bird'; legal: bird_chirps, pigeon_coo"),
        ("bird_chirps", "door_hiss", "line 3: park has no distinct event 'door_hiss'"),
        ("park.wav", "tram.wav", "line 3: audio/tram.wav is in none of the lists"),
        ("audio/park.wav", "../park.wav", "line 3: '../park.wav' must be a path below the data folder"),
        ("\tdistinct", "", "line 3: 5 tab-separated values are needed (filename, onset, offset, kind, role)"),
        ("park.wav", "pa\0rk.wav", "line 3: a control character"),
    ],
)
def test_broken_line_is_named(read, old, new, part):
    with pytest.raises(UserError) as caught:
        read(GOOD, GOOD.replace(old, new))
    assert part in str(caught.value) and "\n" not in str(caught.value)


def test_missing_column_is_named(read):
    with pytest.raises(UserError, match="line 1: no column 'offset'"):
        read(GOOD, header=HEADER.replace("offset", "end"))


def test_damaged_or_lost_table_of_a_set_is_named(tmp_path):
    generate_synth_scenes(tmp_path / "set", train_clips=10, evaluate_clips=10, seconds=2.0, progress=False)
    options = {"train_clips": 10, "evaluate_clips": 10, "seconds": 2.0}
    assert len(prepare_synth_scenes(tmp_path / "set", **options).events) == 20
    table = tmp_path / "set/events.csv"
    table.write_text(table.read_text().replace("\tdistinct", "\tdistnct", 1))
    with pytest.raises(UserError, match="events.csv, line [0-9]+: unknown role 'distnct'"):
        prepare_synth_scenes(tmp_path / "set", **options)
    table.unlink()
    with pytest.raises(UserError, match="events.csv cannot be read: No such file"):
        prepare_synth_scenes(tmp_path / "set", **options)
