"""A tiny set in the official layout, for tests."""

import numpy as np
import soundfile


def write_dcase_folder(folder, clips, seconds=1.0, sample_rate=16000):
    """A tiny set in the official layout. ``clips``: (list name, class, city, location, segment) tuples."""
    (folder / "audio").mkdir(parents=True)
    (folder / "evaluation_setup").mkdir()
    rng = np.random.default_rng(0)
    meta = ["filename\tscene_label\tidentifier\tsource_label"]
    lists = {"train": ["filename\tscene_label"], "evaluate": ["filename\tscene_label"]}
    for list_name, label, city, location, segment in clips:
        name = f"audio/{label}-{city}-{location}-{segment}-a.wav"
        tone = np.sin(2 * np.pi * (200 + 60 * len(label)) * np.arange(round(seconds * sample_rate)) / sample_rate)
        noise = rng.normal(size=len(tone))
        soundfile.write(folder / name, (0.02 * tone + 0.01 * noise).astype(np.float32), sample_rate, subtype="PCM_24")
        meta.append(f"{name}\t{label}\t{city}-{location}\ta")
        lists[list_name].append(f"{name}\t{label}")
    (folder / "meta.csv").write_text("\n".join(meta) + "\n")
    for name, lines in lists.items():
        (folder / f"evaluation_setup/fold1_{name}.csv").write_text("\n".join(lines) + "\n")
    return folder
