"""What a process can leave behind: descriptors, mappings of arrays, files in RAM."""

from __future__ import annotations

import gc
import os


def belongings() -> dict[str, list[str]]:
    """Return all of it. The same before and after: nothing is left.

    Collects garbage first.
    """
    gc.collect()
    return {
        "descriptors": open_descriptors(),
        "mapped": mapped_arrays(),
        "in RAM": files_in_ram(),
    }


def open_descriptors() -> list[str]:
    """Return each descriptor with what it refers to."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except OSError:
            continue  # the descriptor of `listdir` is closed
    return sorted(found)


def mapped_arrays() -> list[str]:
    """Return the array files, and the memory of teams, that are mapped here."""
    with open("/proc/self/maps", encoding="utf-8") as table:
        lines = [line.rstrip("\n").split(maxsplit=5) for line in table]
    return sorted(
        fields[5]
        for fields in lines
        if len(fields) == 6 and _is_of_an_array(fields[5], fields[1])
    )


def _is_of_an_array(name: str, permissions: str) -> bool:
    """Return whether a mapping shows an array file, or memory of a team.

    Look for the folder of arrays in RAM, not for the project's name in the path: every
    library of a checkout is below a folder with that name.
    """
    path = name.removesuffix(" (deleted)")
    in_ram = permissions.endswith("s") and f"/sharray-{os.getuid()}/" in path
    return in_ram or path.endswith(".npy") or path.startswith("/memfd:sharray")


def files_in_ram() -> list[str]:
    """Return the files below the RAM directory of the tests."""
    root = os.environ["SHARRAY_RAM_DIR"]
    return sorted(
        os.path.join(top, name) for top, _, names in os.walk(root) for name in names
    )
