"""An agent with a small disk of its own: `small_disk.py <folder> <size> run --config …`.

The folder is a tmpfs in a mount namespace, so that nobody else's disk is filled. Root is not needed
where the kernel lets users have namespaces of their own.
"""

import os
import sys
from pathlib import Path

MOUNT = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'


def main() -> None:
    """Mount it, and become the agent."""
    folder, size, *arguments = sys.argv[1:]
    Path(folder).mkdir(exist_ok=True)
    alone = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    agent = [sys.executable, "-P", "-m", "agent.cli", *arguments]
    os.execvp("unshare", [*alone, "sh", "-c", MOUNT, "sh", size, folder, *agent])


if __name__ == "__main__":
    main()
