"""What a prompt may be, and what a tokenizer makes of it: refuse what is no prompt, warn about what will not be read.

Knows tokenizers, no models; imports no torch.
"""

from __future__ import annotations

import logging
import unicodedata
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from svd_lab.mini.lexicon import names, style_words, unknown_words

MAX_CHARACTERS = 100_000  #: beyond it a "prompt" is a file read by mistake
_OPENAI_VOCABULARY = (
    49408  # of CLIP's byte-pair encoding, which OpenAI's models, OpenCLIP's and every Stable Diffusion share
)
_MINI_VOCABULARY = (
    2816  # of the image miniature's tokenizer: svd_lab.training.text.tokenizer.SIZE, to which a test holds it
)
_SCRIPT_TOLD: weakref.WeakSet[Any] = weakref.WeakSet()  # tokenizers for which the word about scripts was said
# Loggers of diffusers and transformers, and the words in which they tell about a long prompt.
_TRUNCATION_LOGGERS = (
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
    "transformers.tokenization_utils_base",
)
_TRUNCATION_WORDS = ("input was truncated because CLIP", "sequence length is longer than")


class PromptWarning(UserWarning):
    """A prompt, or a part of it, that the model will not read as it was meant."""


def check_prompt(name: str, prompt: Any) -> str:
    """`prompt` as a plain str, unchanged: any text that says something, in any script, emoji included.

    Line breaks and tabs are fine: the tokenizer reads them as spaces. Raises TypeError for what is no str (None, numbers, bytes,
    lists), ValueError for an empty or blank one, one of more than MAX_CHARACTERS, control characters, and halves of characters.
    """
    example = f'Give a text, for example {name}="a photograph of an astronaut riding a horse"'
    if isinstance(prompt, list | tuple):
        raise TypeError(f"{name} must be one text, not a {type(prompt).__name__} of {len(prompt)}: make one call each")
    if isinstance(prompt, bytes | bytearray):
        raise TypeError(f"{name} must be a text, not {type(prompt).__name__}: decode it, {name}.decode('utf-8')")
    if not isinstance(prompt, str):
        raise TypeError(f"{name} must be a text (str), not {str(prompt)[:40]!r} ({type(prompt).__name__}). {example}")
    if len(prompt) > MAX_CHARACTERS:
        raise ValueError(
            f"{name} has {len(prompt):,} characters; at most {MAX_CHARACTERS:,} are taken, and a model reads the first few "
            "hundred. Shorten it"
        )
    for place, character in enumerate(prompt, 1):
        category = unicodedata.category(character)
        if category == "Cs":
            raise ValueError(
                f"{name} holds half a character ({ascii(character)}, number {place} of {len(prompt)}): type it again"
            )
        if category == "Cc" and character not in "\t\n\v\f\r\x85":
            raise ValueError(
                f"{name} holds the control character {ascii(character)} (number {place} of {len(prompt)}), which comes from "
                "copying: take it out"
            )
    if not any(unicodedata.category(character)[0] not in "ZC" for character in prompt):
        raise ValueError(f"{name} is empty{' (only spaces)' if prompt else ''}. {example}")
    return str(prompt)


def check_prompts(prompt: Any, negative_prompt: Any) -> dict[str, str | None]:
    """{"prompt", "negative_prompt"}, both checked; a negative prompt may be None, and an empty one counts as None."""
    blank = negative_prompt is None or (isinstance(negative_prompt, str) and not negative_prompt.strip())
    return {
        "prompt": check_prompt("prompt", prompt),
        "negative_prompt": None if blank else check_prompt("negative_prompt", negative_prompt),
    }


def cut_off(prompt: str, tokenizer: Any) -> str:
    """The end of `prompt` that lies beyond the tokenizer's limit, which the model never sees; "" when nothing does.

    The limit (model_max_length, 77 for CLIP) counts a token for the beginning and one for the end of the text.
    """
    limit = tokenizer.model_max_length
    with quiet_about_length():
        encoded = tokenizer(prompt, return_offsets_mapping=tokenizer.is_fast)
    if len(encoded.input_ids) <= limit:
        return ""
    if tokenizer.is_fast:
        return prompt[encoded["offset_mapping"][limit - 1][0] :].strip()
    return tokenizer.decode(encoded.input_ids[limit - 1 : -1]).strip()


def warn_about_prompt(prompt: str, tokenizer: Any, name: str = "prompt", stacklevel: int = 3) -> None:
    """Warn (PromptWarning) about what the model behind `tokenizer` will not read of `prompt`.

    That is an end beyond the tokenizer's limit, named. For the miniature, words that it has no picture for. And, once for each
    tokenizer, a script that CLIP does not know: OpenAI's vocabulary, which Stable Diffusion has, was made of English text. It takes
    Korean apart into single syllables and pieces of UTF-8 bytes, nearly two tokens a syllable, which the text encoder has hardly
    met in training: the image has little to do with such a prompt, and the limit is reached after some 40 syllables. Common emoji
    are tokens of that vocabulary.
    """
    lost = cut_off(prompt, tokenizer)
    if lost:
        shown = lost if len(lost) <= 80 else f"{lost[:60]}… (and {len(lost) - 60:,} more characters)"
        warnings.warn(
            f"{name} is longer than the {tokenizer.model_max_length} tokens that the model reads. It does not see the end: "
            f"{' '.join(shown.split())!r}",
            PromptWarning,
            stacklevel=stacklevel,
        )
    if len(tokenizer) == _MINI_VOCABULARY and (words := undrawn_words(prompt)):
        shown = ", ".join(map(repr, words[:8])) + (f" and {len(words) - 8} more" if len(words) > 8 else "")
        warnings.warn(
            f"the miniature has no picture for {shown} in {name}: it draws the rest, or something else of its small world. "
            "svd_lab.prompts.miniature_words() lists what it can draw",
            PromptWarning,
            stacklevel=stacklevel,
        )
    letters = [character for character in prompt if character.isalpha()]
    foreign = sum(not _latin(character) for character in letters)
    if len(tokenizer) == _OPENAI_VOCABULARY and 2 * foreign > len(letters) and tokenizer not in _SCRIPT_TOLD:
        _SCRIPT_TOLD.add(tokenizer)
        warnings.warn(
            f"{name} is mostly not in Latin letters. This model learnt English: its tokenizer takes Korean and other scripts "
            "apart into syllables and bytes that mean next to nothing to it; the image will hardly follow. Write it in English",
            PromptWarning,
            stacklevel=stacklevel,
        )


def undrawn_words(prompt: str) -> list[str]:
    """The words of `prompt` that the image miniature has no picture for, in their order, each once, lower case.

    Words of style and mood ("long exposure", "cute") are not among them: it has read many, and learnt that they change nothing.
    """
    return [word for word in unknown_words(prompt) if word not in style_words()]


def miniature_words(language: str = "en") -> dict[str, list[str]]:
    """What the image miniature can draw: {"things", "colours", "places"}, each a list of names in "en" or "ko".

    Besides, it knows "two", "small" and "big", and for two things "beside", "on", "above" and "riding".
    """
    if language not in ("en", "ko"):
        raise ValueError(f'language must be "en" or "ko", not {language!r}')
    return names(language)


def _latin(letter: str) -> bool:
    return ord(letter) < 0x250 or 0x1E00 <= ord(letter) < 0x1F00  # Latin, its supplements and extensions


@contextmanager
def quiet_about_length() -> Iterator[None]:
    """Without diffusers' and transformers' own words about a long prompt: ours name what was cut, once."""

    def keep(record: logging.LogRecord) -> bool:
        return not any(words in str(record.msg) for words in _TRUNCATION_WORDS)

    loggers = [logging.getLogger(name) for name in _TRUNCATION_LOGGERS]
    for logger in loggers:
        logger.addFilter(keep)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(keep)
