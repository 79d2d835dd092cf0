"""Great-circle distances in kilometres."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

EARTH = 6371.0088  # km, the mean radius of the IUGG
# km: street, city, region, country, continent (the rows of arXiv:1704.04861's Table 11)
RADII = (1, 25, 200, 750, 2500)


def haversine(
    latitude: ArrayLike, longitude: ArrayLike, other_latitude: ArrayLike, other_longitude: ArrayLike
) -> NDArray[np.float64]:
    """Distance between places along the surface of a sphere of Earth's mean radius, 6371.0088 km.

    It is computed in float64 whatever comes in, since float32 errs by up to 0.34 km. Between opposite ends of the Earth
    the formula keeps about a metre.

    Args:
        latitude: degrees north.
        longitude: degrees east; any full turns may be added.
        other_latitude: of the other places; all four broadcast.
        other_longitude: likewise.

    Returns:
        float64 kilometres, of the broadcast shape; NaN where a coordinate is.
    """
    values = (latitude, longitude, other_latitude, other_longitude)
    phi, theta, other_phi, other_theta = (np.radians(np.asarray(each, dtype=np.float64)) for each in values)
    half = np.sin((other_phi - phi) / 2) ** 2
    half = half + np.cos(phi) * np.cos(other_phi) * np.sin((other_theta - theta) / 2) ** 2
    distance: NDArray[np.float64] = 2 * EARTH * np.arcsin(np.sqrt(np.clip(half, 0, 1)))
    return distance


def unit_vectors(latitude: ArrayLike, longitude: ArrayLike) -> NDArray[np.float64]:
    """Places as points of the unit sphere.

    Args:
        latitude: degrees north, any shape.
        longitude: degrees east, of the same shape.

    Returns:
        float64 [3, ...]: x through (0, 0), y through (0, 90 east), z through the north pole.
    """
    phi = np.radians(np.asarray(latitude, dtype=np.float64))
    theta = np.radians(np.asarray(longitude, dtype=np.float64))
    level = np.cos(phi)
    return np.stack([np.cos(theta) * level, np.sin(theta) * level, np.sin(phi)])


def directions(vectors: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where vectors from the centre of the Earth meet its surface.

    Args:
        vectors: [3, ...], of any length; a mean of unit vectors gives the mean place.

    Returns:
        Latitude and longitude in degrees, float64 [...]; (0, 0) for a vector without a length.
    """
    x, y, z = np.asarray(vectors, dtype=np.float64)
    return np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))
