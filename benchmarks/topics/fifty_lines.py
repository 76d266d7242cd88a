"""A kernel of fifty lines, which numba needs about a second to compile."""

from __future__ import annotations

import math
from typing import Any


def move(
    place: Any, speed: Any, mass: Any, charge: Any, hits: Any, walls: Any, dt: float
) -> None:
    """Move charged particles through a field, between walls."""
    for i in range(place.shape[0]):
        x = place[i]
        v = speed[i]
        m = mass[i]
        q = charge[i]
        # The field, and what it does to the particle.
        near = math.exp(-x * x)
        far = 1.0 / (1.0 + abs(x))
        if q > 0:
            force = q * (near - 0.5 * far)
        elif q < 0:
            force = q * (far - 0.5 * near)
        else:
            force = 0.0
        force -= 0.1 * v * abs(v)
        # Four small steps, each of which corrects the speed.
        for step in range(4):
            half = v + 0.5 * dt * force / m
            x += dt * half
            v = half + 0.5 * dt * force / m
            if step % 2 == 0:
                force *= 1.0 - 0.01 * math.sin(x)
            else:
                force *= 1.0 + 0.01 * math.cos(x)
        # The walls reflect it, and count the hits.
        low = walls[0]
        high = walls[1]
        width = high - low
        if x < low:
            x = low + (low - x) % width
            v = -v
            hits[i] += 1
        elif x > high:
            x = high - (x - high) % width
            v = -v
            hits[i] += 1
        # Nothing is faster than light.
        energy = 0.5 * m * v * v
        limit = 0.5 * m
        if energy > limit:
            v *= math.sqrt(limit / energy)
        # Slow ones come to rest.
        if abs(v) < 1e-9 and abs(force) < 1e-9:
            v = 0.0
        place[i] = x
        speed[i] = v
