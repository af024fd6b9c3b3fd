"""English and Korean captions for scenes, as people write prompts.

Example:
    >>> scene = scene_of("astronaut", other="horse", relation="riding")
    >>> caption(scene, Random(4), "ko", plain=True)
    '말을 타는 우주비행사 사진'
"""

import re
from collections.abc import Callable
from random import Random

from svd_lab.training.text import place_words as words
from svd_lab.training.text.scene_grammar import Item, Scene, place_words, things

#: {the kind of a thing: its Korean counter}.
COUNTERS = dict(a="마리", p="명", v="대", b="척", f="송이", t="그루", k="권", o="개")
PLURALS = {
    "mouse": "mice", "goose": "geese", "sheep": "sheep", "fish": "fish", "deer": "deer", "shrimp": "shrimp", "wolf": "wolves",
    "tropical fish": "tropical fish", "bison": "bison", "man": "men", "woman": "women", "child": "children", "elf": "elves",
    "fireman": "firemen", "policeman": "policemen", "spaceman": "spacemen", "old man": "old men", "squid": "squid",
    "cup of coffee": "cups of coffee", "cup of tea": "cups of tea", "glass of wine": "glasses of wine",
    "mug of beer": "mugs of beer", "ox": "oxen", "tomato": "tomatoes", "snowman": "snowmen", "maple leaf": "maple leaves",
    "statue of liberty": "statues of liberty", "pile of books": "piles of books", "blowfish": "blowfish",
    "pufferfish": "pufferfish", "jellyfish": "jellyfish",
}  # fmt: skip
ALWAYS_PLURAL = ("books", "jeans", "trousers", "glasses", "fries", "scissors", "cherries", "gloves")
#: The prompts of the lessons.
CLASS_PROMPTS = (
    "a photograph of an astronaut riding a horse",
    "An aerial view of a city at night, long exposure, instagram contest",
)


def plural(noun: str) -> str:
    """The English plural of a noun."""
    if noun in PLURALS:
        return PLURALS[noun]
    if noun.split()[-1] in ALWAYS_PLURAL:
        return noun
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "sh", "ch")) else "s")


def _article(noun: str) -> str:
    """The noun with "a" or "an", or without an article if it is always plural."""
    if noun.split()[-1] in ALWAYS_PLURAL:
        return noun
    return f"an {noun}" if noun[0] in "aeiou" and not noun.startswith(("uni", "ufo")) else f"a {noun}"


def _english(item: Item, rng: Random, two: bool, name: str = "") -> str:
    """An English phrase for a thing, or for two of them; `name` replaces its own."""
    noun = name or _usual_name(things()[item.thing].en, rng)
    before = []
    if item.size:
        sizes = dict(small=rng.choice(("small", "tiny", "little")), big=rng.choice(("big", "large", "huge")))
        before.append(sizes[item.size])
    before += [rng.choice(words.ADJECTIVES_EN.split())] if rng.random() < 0.08 else []
    before += [item.colour] if item.colour else []
    if two:
        how = rng.choice(("two {}", "two {}", "a pair of {}", "2 {}", "{}"))
        return how.format(" ".join([*before, plural(noun)]))
    phrase = " ".join([*before, noun])
    draw = rng.random()
    return _article(phrase) if draw < 0.75 else f"the {phrase}" if draw < 0.85 else phrase


def _usual_name(names: tuple[str, ...], rng: Random) -> str:
    """One of a thing's names, the first most often."""
    return rng.choices(names, [3] + [1] * (len(names) - 1))[0]


def _final(word: str) -> bool:
    """Whether the last Korean syllable ends in a consonant, which decides the particles."""
    last = word[-1]
    return "가" <= last <= "힣" and (ord(last) - 0xAC00) % 28 > 0


def particle(word: str, pair: str) -> str:
    """Append a Korean particle.

    Args:
        word: What it follows.
        pair: Its two forms, the one after a consonant first: "을를", "이가", "과와", "은는".
    """
    return word + pair[0 if _final(word) else 1]


def _korean(item: Item, rng: Random, two: bool, name: str = "") -> str:
    """A Korean phrase for a thing, or for two of them; `name` replaces its own."""
    thing = things()[item.thing]
    noun = name or _usual_name(thing.ko, rng)
    before = [dict(small="작은", big=rng.choice(("큰", "커다란")))[item.size]] if item.size else []
    before += [rng.choice(words.ADJECTIVES_KO.split())] if rng.random() < 0.08 else []
    if item.colour:
        more = words.COLOURS_KO.get(item.colour)
        before.append(rng.choice([words.COLOURS[item.colour][0]] * 2 + (more.split(",") if more else [])))
    if two:
        unit = COUNTERS[thing.kind]
        how = rng.choice((f"{{}} 두 {unit}", f"{{}} 두 {unit}", f"두 {unit}의 {{}}", f"{{}} 2{unit}", "{}들"))
        return how.format(" ".join([*before, noun]))
    return " ".join([*before, noun])


ENGLISH = dict(
    beside=("{a} and {b}", "{a} and {b}", "{a} next to {b}", "{a} beside {b}", "{a} with {b}", "{b} and {a}"),
    on=("{a} on {b}", "{a} on {b}", "{a} on top of {b}", "{a} sitting on {b}", "{a} standing on {b}"),
    above=("{a} above {b}", "{a} over {b}", "{a} flying over {b}", "{b} under {a}", "{b} below {a}"),
    riding=("{a} riding {b}", "{a} riding {b}", "{a} riding {b}", "{a} rides {b}", "{a} riding on {b}", "{a} on the back of {b}",
            "{b} ridden by {a}"),
)  # fmt: skip
KOREAN = dict(
    beside=("{a과와} {b}", "{a과와} {b}", "{a}하고 {b}", "{a} 옆의 {b}", "{a} 옆에 있는 {b}", "{a} 그리고 {b}", "{b과와} {a}"),
    on=("{b} 위의 {a}", "{b} 위에 있는 {a}", "{b} 위에 앉은 {a}", "{b} 위에 올라간 {a}"),
    above=("{b} 위를 나는 {a}", "{b} 위에 떠 있는 {a}", "{a} 아래의 {b}", "{a} 아래에 있는 {b}"),
    riding=("{b을를} 타는 {a}", "{b을를} 탄 {a}", "{b을를} 타고 있는 {a}", "{a이가} {b을를} 타고 있다",
            "{a이가} {b을를} 타는 모습", "{b}에 탄 {a}"),
)  # fmt: skip


def _fill(template: str, **phrases: str) -> str:
    """Put phrases into a template of ENGLISH or KOREAN, with the right particles."""
    one = lambda m: particle(phrases[m[1]], m[2]) if m[2] else phrases[m[1]]  # noqa: E731
    return re.sub(r"\{([ab])(\W?[가-힣]*)\}", one, template)


def _nonsense(rng: Random, language: str) -> str:
    """A made-up word."""
    if language == "ko":
        return "".join(chr(0xAC00 + rng.randrange(11172)) for _ in range(rng.randint(2, 4)))
    return "".join(
        rng.choice("bcdfghklmnprstvwz") + rng.choice("aeiou") + rng.choice(("", "", "n", "r", "x"))
        for _ in range(rng.randint(1, 3))
    )


def caption(scene: Scene, rng: Random, language: str, plain: bool = False) -> str:
    """Describe a scene.

    Args:
        scene: What to describe.
        rng: Chooses among wordings.
        language: "en" or "ko".
        plain: Without made-up words and added words of style. Otherwise one name in thirty is a made-up word, so that the model
            learns to draw something of its world for an unknown thing.

    Returns:
        A caption like a prompt that people write.
    """
    english, two = language == "en", scene.relation == "two"
    made_up = lambda: _nonsense(rng, language) if not plain and scene.placed and rng.random() < 0.03 else ""  # noqa: E731
    phrases = [(_english if english else _korean)(item, rng, two, made_up()) for item in scene.items]
    if len(phrases) == 2:
        x = _fill(rng.choice((ENGLISH if english else KOREAN)[scene.relation]), a=phrases[0], b=phrases[1])
    else:
        x = phrases[0] if phrases else ""
    media = words.MEDIA_EN if english else words.MEDIA_KO
    wrap = rng.choice(media).format if plain or rng.random() < 0.75 else "{x}".format
    if not scene.placed:
        x = wrap(x=x)
    elif english:
        x = _placed_english(scene.place, x, wrap, rng)
    else:
        x = _placed_korean(scene.place, x, wrap, rng)
    return x if plain else _with_tags(x, rng, language)


def _placed_english(place: str, x: str, wrap: Callable[..., str], rng: Random) -> str:
    """The phrase `x` with its place in English; `wrap` makes it a photograph, a painting and so on."""
    nouns, adverbials, _, _ = place_words()[place]
    noun, adverbial = rng.choice(nouns), rng.choice(adverbials)
    after = (f"{x} {adverbial}", f"{x} {adverbial}", f"{x} {adverbial}", f"{x}, {noun}")
    return rng.choice((*(wrap(x=a) for a in after), f"{adverbial}, {wrap(x=x)}")) if x else wrap(x=noun)


def _placed_korean(place: str, x: str, wrap: Callable[..., str], rng: Random) -> str:
    """The phrase `x` with its place in Korean; `wrap` makes it a photograph, a painting and so on."""
    _, _, nouns, stems = place_words()[place]
    noun, stem = rng.choice(nouns), rng.choice(stems)
    if stem[0] == "*":  # a time
        ways = (f"{stem[1:]}의 {x}", f"{stem[1:]}에 {x}")
    else:
        ways = (f"{stem}에 있는 {x}", f"{stem}의 {x}", f"{stem}에서 {x}")
    return wrap(x=rng.choice((*ways, *ways, f"{x}, {noun}", f"{noun}, {x}")) if x else noun)


def _with_tags(x: str, rng: Random, language: str) -> str:
    """A caption and, at times, words of style, made-up words and words without a picture."""
    english, tags = language == "en", []
    if rng.random() < 0.3:
        source = words.STYLE_EN if english or rng.random() < 0.2 else words.STYLE_KO
        tags += rng.sample(source.replace("\n", "|").split("|"), rng.randint(1, 4))
    if rng.random() < 0.08:
        tags.append(" ".join(_nonsense(rng, language) for _ in range(rng.randint(1, 3))))
    if rng.random() < 0.06:
        tags.append(" ".join(rng.sample((words.WORDS_EN if english else words.WORDS_KO).split(), rng.randint(1, 3))))
    return ", ".join([x, *tags]) + ("." if rng.random() < 0.08 else "")
