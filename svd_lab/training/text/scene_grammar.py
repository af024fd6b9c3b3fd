"""The scenes of the text miniature's world: a place and up to two things in a relation, drawn at random. Imports no torch.

One in nine combinations (a thing in a place, two things in a relation) never occurs in training, so that evaluations can tell
combining from remembering; `held_out` says which. `captions` turns scenes into words, `svd_lab.training.world.stills` into pixels.
"""

from dataclasses import dataclass, replace
from functools import cache
from random import Random
from zlib import crc32

from svd_lab.mini.catalogue import catalogue
from svd_lab.training.text import place_words as words
from svd_lab.training.text.thing_words import THINGS, VARIANTS

RELATIONS = ("alone", "two", "beside", "on", "above", "riding")
#: Things that are not shown twice.
UNCOUNTED = (
    "bread", "broccoli", "corn", "jeans", "glasses", "french fries", "scissors", "fire", "books", "cherries", "sushi", "poo", "sun",
    "santa", "gloves", "statue of liberty", "beer",
)  # fmt: skip


@dataclass(frozen=True)
class Thing:
    """A thing of the text miniature's world: a line of thing_words.THINGS."""

    index: int  # in catalogue()
    en: tuple[str, ...]
    ko: tuple[str, ...]
    kind: str  # a key of captions.COUNTERS
    air: bool
    swims: bool
    tint: bool
    saddle: float | None  # where on its width a rider sits, 0 left .. 1 right; None: nobody rides it
    rider: str  # "" cannot ride, "sits" an animal, "bust" a person, "#rrggbb" a head and the colour of its body
    support: bool  # other things can be on it

    @property
    def name(self) -> str:
        """Its first English name."""
        return self.en[0]


@cache
def things() -> tuple[Thing, ...]:
    """All things of the text miniature's world, in a fixed order."""
    at, out = {t["en"]: i for i, t in enumerate(catalogue())}, []
    for line in THINGS.strip().splitlines():
        name, en, ko, flags = line.split("|")
        kind, *rest = flags.split()
        saddle = next((float(f[1:]) for f in rest if f[0] == "M"), None)
        rider = next((f for f in rest if f[0] == "R"), "")
        rider = rider[1:] or ("bust" if kind[0] == "p" else "sits") if rider else ""
        out.append(
            Thing(at[name], tuple(en.split(",")), tuple(ko.split(",")), kind[0], "s" in kind[1:], "w" in kind[1:],
                  "T" in rest or name in VARIANTS, saddle, rider, "S" in rest)
        )  # fmt: skip
    return tuple(out)


@cache
def place_words() -> dict[str, tuple[tuple[str, ...], ...]]:
    """{place: (English nouns, English adverbials, Korean nouns, Korean stems)}; the stems of times begin with *."""
    out = {}
    for line in words.PLACES.strip().splitlines():
        key, *lists = line.split("|")
        out[key] = tuple(tuple(part.split(",")) for part in lists)
    for colour in words.PLAIN:
        ko = (words.COLOURS[colour][0], *words.COLOURS_KO.get(colour, words.COLOURS[colour][0]).split(","))
        backs, a = tuple(f"{c} 배경" for c in dict.fromkeys(ko)), "an" if colour[0] in "aeiou" else "a"
        out[f"plain {colour}"] = (
            (f"{a} {colour} background", f"a plain {colour} background"), (f"on {a} {colour} background", f"on plain {colour}"),
            backs, tuple("*" + b for b in backs),
        )  # fmt: skip
    return out


@cache
def colours_of(thing: Thing) -> tuple[str, ...]:
    """The colours that a thing comes in, beside its own."""
    variants = VARIANTS.get(catalogue()[thing.index]["en"])
    if thing.tint and variants and thing.name != "cat":
        return tuple(variants)
    return tuple(words.COLOURS) if thing.tint else ()


@dataclass(frozen=True)
class Item:
    """A thing in a scene."""

    thing: int  # index into things()
    colour: str = ""  # one of colours_of(thing); "": its own
    size: str = ""  # "", "small", "big"


@dataclass(frozen=True)
class Scene:
    """A place and what is there."""

    place: str  # a key of place_words()
    items: tuple[Item, ...] = ()  # none, one or two: the first is beside, on, above or riding the second
    relation: str = "alone"  # one of RELATIONS
    placed: bool = True  # the caption names the place; otherwise it is a usual place of the thing


@cache
def _one_in_nine(*parts: str) -> bool:
    """Whether a combination is held out: decided by a hash."""
    return crc32("|".join(parts).encode()) % 9 == 0


def held_out(scene: Scene) -> bool:
    """Whether training never sees this combination. The lessons' astronaut on a horse is not held out."""
    names = [things()[i.thing].name for i in scene.items]
    if scene.placed and scene.items and any(_one_in_nine(n, scene.place) for n in names):
        return True
    if len(names) == 2 and scene.relation != "two" and names != ["astronaut", "horse"]:
        return _one_in_nine(*names, scene.relation)
    return False


@cache
def _groups() -> dict[str, list[int]]:
    """{what they can do in a scene: indices into things()}."""
    pick = lambda test: [i for i, thing in enumerate(things()) if test(thing)]  # noqa: E731
    return dict(
        all=pick(lambda x: True), counted=pick(lambda x: x.name not in UNCOUNTED), ground=pick(lambda x: not x.air),
        air=pick(lambda x: x.air), mounts=pick(lambda x: x.saddle), riders=pick(lambda x: x.rider),
        supports=pick(lambda x: x.support), small=pick(lambda x: not x.air and x.kind in "oakfp" and not x.swims),
    )  # fmt: skip


@cache
def _painted_places() -> list[str]:
    return [p for p in place_words() if not p.startswith("plain")]


def _usual_place(thing: Thing, rng: Random) -> str:
    """The place of a thing in a caption that names none."""
    if thing.swims:
        return rng.choice(("sea", "underwater"))
    if thing.air:
        return "sky"
    return rng.choice(("meadow", "meadow", "hills", "studio") if thing.kind != "v" else ("road", "road", "meadow"))


def draw_scene(rng: Random, relation: str = "", training: bool = True) -> Scene:
    """Draw a random scene.

    Args:
        rng: The random source.
        relation: One of RELATIONS, "nothing" for a place alone, or "" to draw it.
        training: True for combinations of training only, False for held-out ones only (places alone are in both).
    """
    relation = relation or rng.choices(("nothing", *RELATIONS), (8, 46, 9, 14, 7, 6, 10))[0]
    g = _groups()
    while True:
        place = f"plain {rng.choice(words.PLAIN)}" if rng.random() < 0.1 else rng.choice(_painted_places())
        if relation == "nothing":
            return Scene("aerial" if rng.random() < 0.12 else place)
        if relation in ("alone", "two"):
            chosen = [rng.choice(g["all" if relation == "alone" else "counted"])]
        elif relation == "beside":
            chosen = rng.sample(g["all"], 2)
        elif relation == "on":
            chosen = [rng.choice(g["small"]), rng.choice(g["supports"])]
        elif relation == "above":
            chosen = [rng.choice(g["air"]), rng.choice(g["ground"])]
        elif rng.random() < 0.06:
            chosen = [i for name in ("astronaut", "horse") for i, t in enumerate(things()) if t.name == name]
        else:
            chosen = [rng.choice(g["riders"]), rng.choice(g["mounts"])]
        if len(set(chosen)) < len(chosen):
            continue
        items = []
        for k in chosen:
            colours = colours_of(things()[k])
            colour = rng.choice(colours) if colours and rng.random() < 0.3 else ""
            items.append(
                Item(k, colour, rng.choice(("small", "big")) if relation == "alone" and rng.random() < 0.1 else "")
            )
        placed = rng.random() < 0.78
        if not placed:
            place = _usual_place(things()[chosen[-1]], rng)
        elif things()[chosen[-1]].swims and rng.random() < 0.5:
            place = rng.choice(("sea", "underwater", "lake"))
        elif place == "aerial" and rng.random() < 0.6:
            place = "city night"  # things are seldom seen from above
        scene = Scene(place, tuple(items), relation, placed)
        if held_out(scene) != training:
            return scene


def scene_of(thing: str, *, place: str = "", relation: str = "alone", other: str = "", colour: str = "") -> Scene:
    """Make a scene of English names.

    Args:
        thing: The first thing.
        place: A key of `place_words()`; "": a meadow that the caption does not name.
        relation: One of RELATIONS.
        other: The second thing, if there is one.
        colour: Of the first thing; "": its own.

    Raises:
        ValueError: A name is not in the world.
    """
    names = {t.name: i for i, t in enumerate(things())}
    for given, known in ((thing, names), (other or thing, names), (place or "meadow", place_words())):
        if given not in known:
            raise ValueError(f"{given!r} is not in the world; choose one of {', '.join(known)}")
    items = (Item(names[thing], colour),) + ((Item(names[other]),) if other else ())
    scene = Scene(place or "meadow", items, relation)
    return scene if place else replace(scene, placed=False)
