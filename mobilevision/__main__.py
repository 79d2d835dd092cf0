"""``python -m mobilevision``: the command ``mobilevision``."""

from mobilevision.cli.commands import main

if __name__ == "__main__":
    main()
