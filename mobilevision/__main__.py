"""``python -m mobilevision``: the command ``mobilevision``."""

from mobilevision.runs.commands import main

if __name__ == "__main__":
    main()
