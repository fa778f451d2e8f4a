"""A tiny set in the layout of ESC-50, for tests."""

import numpy as np
import soundfile


def write_tree(folder, classes=50, folds=(1, 2), seconds=0.6, sample_rate=16000):
    """A clip of every class in every fold, two of class 0; returns the folder."""
    (folder / "audio").mkdir(parents=True)
    (folder / "meta").mkdir()
    random = np.random.default_rng(0)
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for fold in folds:
        for number, target in enumerate([0, *range(classes)]):
            name, esc10 = f"{fold}-{100 * fold + number}-A-{target}.wav", "TRUE" if target % 5 == 0 else "FALSE"
            tone = np.sin(2 * np.pi * (100 + 70 * target) * np.arange(round(seconds * sample_rate)) / sample_rate)
            soundfile.write(folder / "audio" / name, 0.1 * tone + 0.01 * random.normal(size=len(tone)), sample_rate)
            lines.append(f"{name},{fold},{target},sound_{target:02d},{esc10},{100 * fold + number},A")
    (folder / "meta/esc50.csv").write_text("\n".join(lines) + "\n")
    return folder
