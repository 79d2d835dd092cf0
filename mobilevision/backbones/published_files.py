"""Files of weights that others publish, fetched once into torch's cache."""

from __future__ import annotations

import re
import urllib.error
from pathlib import Path

import torch

from mobilevision.errors import UserError


def fetch(url: str, *, key: str, weights: str = "torchvision") -> Path:
    """A published file, in torch's cache; one that is fetched is compared with the hash in its name, if there is one.

    Args:
        url: of the file.
        key: of the configuration, which takes a file as well; for messages.
        weights: what was asked for there.

    Raises:
        UserError: it is not there and cannot be fetched.
    """
    name = url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        checksum = re.search(r"-([0-9a-f]{8,})\.", name)
        try:
            torch.hub.download_url_to_file(url, str(path), hash_prefix=checksum[1] if checksum else None)
        except (OSError, urllib.error.URLError, RuntimeError) as error:
            raise UserError(
                f"{key}={weights}: {name} cannot be fetched ({error}); where there is a network, fetch {url}, then"
                f" name the file: {key}=FOLDER/{name}"
            ) from error
    return path
