"""The audio files below a folder of class sub-folders, each of them once and under its own class alone.

Links to files and to folders are followed, with two exceptions, which a warning names: a link to a folder that
leads into a class folder or around one (its files have their class already), and what was read before.
"""

import os
from pathlib import Path

from mil_asc.audio.ffmpeg import conversion_command, has_ffmpeg, needs_ffmpeg
from mil_asc.corpora.manifest import ANYWHERE, Clip
from mil_asc.errors import UserError, name_some

AUDIO = ("wav", "flac", "ogg", "oga", "opus", "mp3", "aiff", "aif", "aifc", "au", "snd", "caf", "w64", "rf64", "voc")
"""Endings of the files that are taken for audio, in upper or lower case; where ffmpeg is installed, also its own."""


OTHER_SOUND = tuple("3ga 3gp aac3 ac3 amr ape dts eac3 m4b mka mpc ra shn tta wma wv".split())
"""Endings of sound that is not taken, because nothing here reads it reliably."""


def is_other_sound(name):
    """Whether a file of this name is sound in a format that is not taken."""
    return not is_hidden(name) and Path(name).suffix.lower().lstrip(".") in OTHER_SOUND


def is_hidden(name):
    """Whether a file or folder of this name is none of the data."""
    return name.startswith(".") or name == "__MACOSX"


def is_audio(name):
    """Whether a file of this name is taken for audio, if need be with ffmpeg."""
    return not is_hidden(name) and (Path(name).suffix.lower().lstrip(".") in AUDIO or needs_ffmpeg(name))


def sub_folders(folder):
    """Names of the sub-folders that are not hidden, sorted."""
    return sorted(entry.name for entry in entries_of(folder) if _is_folder(entry) and not is_hidden(entry.name))


def files_beside(folder):
    """Paths of the files that lie in the folder itself, sorted."""
    return sorted(Path(folder) / entry.name for entry in entries_of(folder) if not _is_folder(entry))


def entries_of(folder):
    """What ``os.scandir`` finds; a ``UserError`` where the folder cannot be read."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {_reason(error)}") from error


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


class FolderTree:
    """Reads class folders one after the other, and remembers what it read and what it left out.

    Arguments
    ---------
    folder : Path
        The data folder, to which all paths are relative.
    homes : sequence of Path
        All class folders, also those that are not to be read.
    """

    def __init__(self, folder, homes):
        self.folder = folder
        self.homes = [os.path.join(os.path.realpath(home), "") for home in homes]
        self.left_out = []  # hidden, or no audio
        self._has_ffmpeg, self._unconverted = has_ffmpeg(), []
        self._unreadable, self._not_followed, self._again = [], [], []
        self._files = {}  # (device, inode) -> class folder and path

    def read(self, root):
        """The clips below the class folder ``root``: files of a folder before those of its sub-folders, sorted.

        Raises a ``UserError`` if it holds no audio, or a file that another class folder holds too.
        """
        clips, seen, waiting = [], set(), [root]
        while waiting:
            parent = waiting.pop()
            folders, files = self._list(parent, seen)
            waiting += [parent / name for name in reversed(folders)]
            for name in files:
                path = self._relative(parent / name)
                if not is_audio(name):
                    self.left_out.append(path)
                elif needs_ffmpeg(name) and not self._has_ffmpeg:
                    self._unconverted.append(path)
                elif self._is_new(root, parent / name, path):
                    below = parent.relative_to(root).parts
                    clips.append(Clip(path, root.name, ANYWHERE, below[0] if below else path, ANYWHERE))
        if not clips:
            unread = [text for text in self._unreadable if text.startswith(f"{self._relative(root)}/")]
            hint = f"; {len(unread)} folder(s) in it cannot be read: {name_some(unread)}" if unread else ""
            unconverted = [path for path in self._unconverted if path.startswith(f"{self._relative(root)}/")]
            hint += f"; {len(unconverted)} file(s) {_without_ffmpeg(unconverted)}" if unconverted else ""
            raise UserError(f"{root}: this class folder holds no audio file ({', '.join(AUDIO)}){hint}")
        return clips

    @property
    def warnings(self):
        """What is not in the lists although it may have been meant to be."""
        told = [
            ("folder(s) left out because they cannot be read", self._unreadable),
            (
                "link(s) to folders left out because they lead into or around a class folder, or to what was read",
                self._not_followed,
            ),
            ("file(s) left out because they are the same as another file of their class", self._again),
        ]
        if self._unconverted:
            told.append((f"file(s) left out which {_without_ffmpeg(self._unconverted)}", self._unconverted))
        return [f"{len(names)} {what}: {name_some(names)}" for what, names in told if names]

    def _list(self, parent, seen):
        """Names of the sub-folders and files of a folder that are to be read, sorted; ``seen`` are folders read."""
        identity = _identity(parent)
        if identity in seen:
            self._not_followed.append(f"{self._relative(parent)}/")
            return [], []
        seen.add(identity)
        try:
            with os.scandir(parent) as entries:
                entries = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._unreadable.append(f"{self._relative(parent)}/ ({_reason(error)})")
            return [], []
        folders = [entry for entry in entries if _is_folder(entry)]
        files = [entry.name for entry in entries if not _is_folder(entry)]
        self.left_out += [f"{self._relative(parent / entry.name)}/" for entry in folders if is_hidden(entry.name)]
        folders = [entry for entry in folders if not is_hidden(entry.name)]
        away = [entry for entry in folders if entry.is_symlink() and self._leads_home(entry.path)]
        self._not_followed += [f"{self._relative(parent / entry.name)}/" for entry in away]
        return [entry.name for entry in folders if entry not in away], files

    def _leads_home(self, link):
        """Whether a link leads into a class folder, to one, or to a folder that holds one."""
        target = os.path.join(os.path.realpath(link), "")
        return any(target.startswith(home) or home.startswith(target) for home in self.homes)

    def _is_new(self, root, file, path):
        """Whether this file was not read under another name; a ``UserError`` if that was for another class."""
        identity = _identity(file)
        other, name = self._files.setdefault(identity, (root, path)) if identity else (root, path)
        if other != root:
            raise UserError(
                f"{self.folder}: {name} and {path} are the same file in two class folders: keep it in one of them"
            )
        if name != path:
            self._again.append(f"{path} (it is {name})")
        return name == path

    def _relative(self, path):
        path = path.relative_to(self.folder).as_posix()
        try:
            path.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"{path!r}: a file name that is not UTF-8; rename it") from error
        return path


def _without_ffmpeg(paths):
    return f"require ffmpeg, not installed here (install it, or convert each: {conversion_command(paths[0])})"


def _identity(path):
    """Device and inode of a file or folder; None where the file system gives none."""
    try:
        status = os.stat(path)
    except OSError:  # a link to nowhere, which is reported when it cannot be decoded
        return None
    return (status.st_dev, status.st_ino) if status.st_ino else None


def _reason(error):
    return (error.strerror or str(error)).lower()
