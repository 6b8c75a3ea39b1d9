"""A hand that ripens: bones with their growth centres, and how far each is at a bone age.

Everything is in millimetres of one adult template, right-handed, ``x`` towards the thumb and ``y``
towards the finger tips, the wrist joint at the origin. A radiograph does not give its scale, so a
child's hand is this template with a child's proportions, not a smaller one.

Three things show the bone age, as in the atlas of Greulich and Pyle and in Gilsanz and Ratib ("Hand
Bone Age", 2005): carpal bones appear one after the other and grow; the epiphyses appear, widen
until they cap their shafts; the growth plates narrow and close, fingers first, radius last. Times
are those of boys; a girl's bones at a given age are those of an older boy. Each centre is off its
time by a few months, so that no single one gives the age, and all together do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

GIRLS = (0.0, 10, 21, 34, 48, 72, 108, 132, 150, 174, 204, 240)
BOYS = (0.0, 12, 30, 48, 66, 96, 138, 160, 178, 198, 222, 252)
"""Months of age at which girls and boys look the same."""

SPREAD_MONTHS = 3.0
"""How far a single growth centre is off its time (standard deviation)."""

CARPALS = (
    # name, centre, half axes, turn in degrees, onset in months, grown in months
    ("capitate", (1.5, 21.0), (6.6, 10.4), -4, 3, 150),
    ("hamate", (-10.0, 22.0), (7.4, 8.0), 20, 4, 150),
    ("triquetrum", (-11.5, 9.5), (6.4, 5.6), -30, 30, 156),
    ("lunate", (-0.5, 6.0), (6.8, 5.8), 0, 48, 156),
    ("trapezium", (20.0, 18.5), (6.4, 6.2), 30, 64, 158),
    ("trapezoid", (11.0, 23.0), (5.2, 5.8), 10, 68, 158),
    ("scaphoid", (11.5, 8.0), (9.0, 5.6), 35, 66, 160),
    ("pisiform", (-14.5, 9.0), (3.8, 4.2), 0, 120, 168),
)

FINGERS = (
    # carpal end of the ray, its angle from y in degrees, lengths from metacarpal to tip
    ((22.0, 24.5), 36.0, (44.0, 31.0, 23.0)),
    ((14.5, 31.5), 7.0, (65.0, 39.0, 23.0, 18.0)),
    ((3.5, 33.5), 0.0, (63.0, 43.0, 27.0, 19.0)),
    ((-7.0, 32.5), -7.5, (57.0, 40.0, 26.0, 19.0)),
    ((-16.0, 29.5), -16.0, (52.0, 32.0, 18.5, 17.0)),
)
"""Thumb to little finger."""


@dataclass(frozen=True)
class BoneStage:
    """How far one growth centre is.

    Args:
        grown: Share of its final size, 0 before it appears. ``[0, 1]``.
        fused: Share of the growth plate that is bone. ``[0, 1]``.
        plate: Height of the growth plate as a share of the epiphysis' room.
    """

    grown: float
    fused: float = 0.0
    plate: float = 0.0


@dataclass(frozen=True)
class LongBone:
    """A bone of hand or forearm, from ``start`` along a direction.

    Args:
        start: ``(2,)`` the end nearer to the elbow.
        along: ``(2,)`` unit vector towards the finger tips.
        length: Length with the epiphysis at its full size.
        widths: Half widths at the start, in the middle and at the end.
        distal: True where the epiphysis is at the far end.
        room: Length that epiphysis and growth plate take.
        stage: Stage of the growth centre.
    """

    start: Points
    along: Points
    length: float
    widths: tuple[float, float, float]
    distal: bool
    room: float
    stage: BoneStage


@dataclass(frozen=True)
class RoundBone:
    """A carpal bone: round when it appears, angular when grown."""

    centre: Points
    axes: Points
    turn: float
    stage: BoneStage


@dataclass(frozen=True)
class Hand:
    """All bones at an age, and the soft tissue as capsules ``(from, to, radius, radius)``."""

    long: tuple[LongBone, ...]
    round: tuple[RoundBone, ...]
    flesh: tuple[tuple[Points, Points, float, float], ...]


def skeletal_months(months: float, male: bool) -> float:
    """The age at which a boy's hand looks like this one."""
    return float(months) if male else float(np.interp(months, GIRLS, BOYS))


def draw_hand(months: float, male: bool, rng: np.random.Generator) -> Hand:
    """Draw an anatomy of that bone age.

    Args:
        months: Bone age, 0 to 228.
        male: True for boys.
        rng: Draws proportions, posture and the spread of the growth centres.
    """
    age = skeletal_months(months, male)
    youth = float(np.clip(1 - age / 200, 0, 1))
    stout = float((1.02 if male else 0.96) * np.exp(rng.normal(0, 0.05)) * (1 - 0.12 * youth))
    reach = float(np.exp(rng.normal(0, 0.03)) * (1 - 0.10 * youth))
    spread = rng.normal(1.0, 0.25)  # how far the fingers are held apart
    long: list[LongBone] = [*_forearm(age, stout, rng)]
    flesh = _palm(youth)
    for number, (start, angle, lengths) in enumerate(FINGERS):
        turn = np.radians(angle * (0.6 + 0.4 * spread) + rng.normal(0, 2.0))
        bones = _ray(np.asarray(start), turn, [x * reach for x in lengths], number, age, stout, rng)
        long += bones
        flesh += _finger_flesh(bones, number, youth)
    return Hand(tuple(long), _carpals(age, rng), tuple(flesh))


def _late(rng: np.random.Generator) -> float:
    return float(rng.normal(0, SPREAD_MONTHS))


def _share(age: float, start: float, end: float) -> float:
    return float(np.clip((age - start) / (end - start), 0, 1))


def _stage(age: float, onset: float, capped: float, closing: float, closed: float) -> BoneStage:
    """An epiphysis that appears, has its full width at ``capped``, fuses closing to closed."""
    grown = 0.22 + 0.78 * _share(age, onset, capped) if age > onset else 0.0
    return BoneStage(grown, _share(age, closing, closed), 0.46 - 0.22 * _share(age, onset, closing))


def _carpals(age: float, rng: np.random.Generator) -> tuple[RoundBone, ...]:
    bones: list[RoundBone] = []
    for _, centre, axes, turn, onset, grown in CARPALS:
        seen = age - _late(rng)
        share = 0.25 + 0.75 * _share(seen, onset, grown) ** 0.85 if seen > onset else 0.0
        position = np.asarray(centre) + rng.normal(0, 0.5, 2)
        size = np.asarray(axes) * share * np.exp(rng.normal(0, 0.025, 2))
        angle = float(np.radians(turn + rng.normal(0, 6)))
        bones.append(RoundBone(position, size, angle, BoneStage(share)))
    return tuple(bones)


def _forearm(age: float, stout: float, rng: np.random.Generator) -> tuple[LongBone, ...]:
    radius = _stage(age - _late(rng), 11, 130, 188, 220)
    ulna = _stage(age - _late(rng), 80, 172, 184, 212)
    up, long = np.array([0.0, 1.0]), 90.0
    return (
        LongBone(
            np.array([10.0, -long - 2]), up, long, (6.4 * stout, 6.6, 14.0), True, 11.0, radius
        ),
        LongBone(np.array([-14.0, -long - 4]), up, long, (5.0 * stout, 5.0, 8.0), True, 9.0, ulna),
    )


TIMES = {
    # onset, capped, closing, closed, by index in the ray
    "thumb": ((32, 132, 176, 200), (30, 128, 174, 196), (18, 124, 160, 184)),
    "finger": (
        (22, 134, 178, 202),
        (18, 128, 174, 196),
        (24, 130, 172, 194),
        (26, 126, 160, 184),
    ),
}


def _ray(
    start: Points,
    turn: float,
    lengths: list[float],
    number: int,
    age: float,
    stout: float,
    rng: np.random.Generator,
) -> list[LongBone]:
    """The bones of a finger from its metacarpal to its tip, each bent a little on the last."""
    times = TIMES["finger" if number else "thumb"]
    slim = 0.9 if number == 4 else 1.0
    bones: list[LongBone] = []
    for index, length in enumerate(lengths):
        along = np.array([np.sin(turn), np.cos(turn)])
        onset, capped, closing, closed = times[index]
        stage = _stage(age - _late(rng), onset, capped, closing, closed)
        first, tip = index == 0, index == len(lengths) - 1
        base = (7.2 if first else (6.9, 6.9, 5.8, 4.9)[index + (len(lengths) == 3)]) * stout * slim
        head = base * (0.95 if first else 0.55 if tip else 0.78)
        widths = (base, base * (0.56 if not tip else 0.5), head)
        distal = first and number > 0
        room = 6.0 + 0.06 * length
        bones.append(LongBone(start, along, length - 1.6, widths, distal, room, stage))
        start = start + along * length
        turn += float(np.radians(rng.normal(0, 2.5)))
    return bones


def _palm(youth: float) -> list[tuple[Points, Points, float, float]]:
    plump = 1 + 0.12 * youth
    outlines = (
        ((-1.0, -110.0), (-1.0, -12.0), 27.0, 25.0),
        ((0.0, -12.0), (2.0, 26.0), 25.0, 28.0),
        ((2.0, 26.0), (10.0, 85.0), 27.0, 15.0),
        ((-4.0, 26.0), (-14.0, 75.0), 26.0, 14.0),
        ((10.0, 20.0), (28.0, 50.0), 18.0, 13.0),
    )
    return [(np.array(a), np.array(b), r * plump, s * plump) for a, b, r, s in outlines]


def _finger_flesh(
    bones: list[LongBone], number: int, youth: float
) -> list[tuple[Points, Points, float, float]]:
    plump = (1 + 0.22 * youth) * (0.9 if number == 4 else 1.0)
    radii = (13.0, 11.0, 9.4, 8.4, 7.4) if number else (14.0, 12.0, 10.0, 8.6)
    flesh: list[tuple[Points, Points, float, float]] = []
    for index, bone in enumerate(bones):
        end = bone.start + bone.along * bone.length
        flesh.append((bone.start, end, radii[index] * plump, radii[index + 1] * plump))
    return flesh
