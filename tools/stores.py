"""List waveform stores, and free those that are not used: python tools/stores.py [FOLDER ...] [--free]

A store holds the decoded clips of one data set. A run that needs a store that was freed decodes the clips again.
FOLDER is a cache folder or one store; by default the cache folders of all recipes (recipes/*/results/waveforms).
``--older_than DAYS`` leaves out what was used since.
"""

import argparse
import sys
import time
from pathlib import Path

from mil_asc.errors import UserError
from mil_asc.runtime.files import size_text
from mil_asc.runtime.program import run_program
from mil_asc.store.inventory import free_store, is_in_use, list_stores

CACHE_FOLDERS = "recipes/*/results/waveforms"
DAY_SECONDS = 24 * 3600


def main(arguments=None):
    """Do what the command line says; returns the exit status."""
    options = parse(arguments)
    folders = options.folders or sorted(Path(__file__).resolve().parents[1].glob(CACHE_FOLDERS))
    try:
        if not options.older_than >= 0:
            raise UserError(f"--older_than must be a number of days from 0 up, got {options.older_than}")
        found = {store.folder.resolve(): store for folder in folders for store in list_stores(folder)}
        chosen = [store for store in found.values() if age_days(store) >= options.older_than]
        used = {store.folder for store in chosen if is_in_use(store.folder)}
        for store in chosen:
            print(describe(store) + (", in use" if store.folder in used else ""))
        unused = [store for store in chosen if store.folder not in used]
        total = size_text(sum(store.nbytes for store in unused))
        if options.free:
            for store in unused:
                free_store(store.folder)
            print(f"freed {total} in {len(unused)} of {len(chosen)} store(s)")
        else:
            print(f"{len(chosen)} store(s); {total} in {len(unused)} not in use, which --free deletes")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse(arguments):
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].partition(":")[0], allow_abbrev=False)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="cache folder or store")
    parser.add_argument(
        "--older_than", type=float, default=0.0, metavar="DAYS", help="only stores not used for so long"
    )
    parser.add_argument("--free", action="store_true", help="delete the stores that are listed and not in use")
    return parser.parse_args(arguments)


def age_days(store):
    """Days since the last use of a store."""
    return (time.time() - store.last_use) / DAY_SECONDS


def describe(store):
    """One line about a store."""
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(store.last_use))
    content = f"{store.clips} clips of {store.source}" if store.clips is not None else "unfinished, or not readable"
    return f"{store.folder}: {size_text(store.nbytes)}, {content}, last used {used}"


if __name__ == "__main__":
    sys.exit(run_program(main))
