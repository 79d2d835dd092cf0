"""Train a model: ``python train.py task=classification``; ``--help`` shows every option."""

from mobilevision.cli.main import main

if __name__ == "__main__":
    main()
