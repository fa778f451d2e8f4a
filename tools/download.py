"""Fetch, check and unpack an official development set: python tools/download.py TAU2019 --to DIR

About 11 GB (TUT2018m) to 36 GB (TAU2019) of archives, and a little more when unpacked. The same command resumes
an interrupted download and fetches nothing twice. The recordings are for non-commercial use only.
"""

import argparse
import shlex
import sys

from tqdm import tqdm

from mil_asc.corpora.download import download
from mil_asc.errors import UserError
from mil_asc.runtime.program import run_program


def parse_arguments(argv):
    """The command line as a namespace."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("name", help="TUT2018m, TAU2019, TAU2020m or TAU2022m")
    parser.add_argument("--to", required=True, metavar="DIR", help="where archives and the unpacked set go")
    parser.add_argument("--only", metavar="LIST", help="archives to take, as in doc,meta,audio.1 (audio: all audio)")
    parser.add_argument("--base_url", metavar="URL", help="address of a mirror that has the archives side by side")
    parser.add_argument("--remove_archives", action="store_true", help="remove each archive once it is unpacked")
    parser.add_argument("--tries", type=int, default=6, help="repetitions after a failure (6)")
    arguments = parser.parse_args(argv)
    if arguments.tries < 0:
        parser.error(f"--tries must be at least 0, got {arguments.tries}")
    return arguments


def main(argv=None):
    """Download as the command line says; returns the exit status."""
    arguments = parse_arguments(argv)
    try:
        folder = download(
            arguments.name,
            arguments.to,
            only=arguments.only.split(",") if arguments.only is not None else None,
            base_url=arguments.base_url,
            remove_archives=arguments.remove_archives,
            tries=arguments.tries,
            announce=lambda line: tqdm.write(line, file=sys.stderr),
        )
    except UserError as error:
        tqdm.write(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        tqdm.write("stopped; downloaded parts are kept; run the same command again to resume", file=sys.stderr)
        return 130
    print(f"--data_folder={shlex.quote(str(folder.resolve()))}")
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
