"""Check prompts, and warn about what a model will not read of them. Knows tokenizers but no models; imports no torch."""

from __future__ import annotations

import logging
import unicodedata
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from svd_lab.language import say
from svd_lab.mini.lexicon import names, style_words, unknown_words

MAX_CHARACTERS = 100_000  #: beyond it a "prompt" is a file read by mistake
_OPENAI_VOCABULARY = (
    49408  # of CLIP's byte-pair encoding, which OpenAI's models, OpenCLIP's and every Stable Diffusion share
)
_MINI_VOCABULARY = (
    2816  # of the text miniature's tokenizer; a test compares it with svd_lab.training.text.tokenizer.SIZE
)
_SCRIPT_TOLD: weakref.WeakSet[Any] = weakref.WeakSet()  # tokenizers whose warning about scripts was given
# Loggers of diffusers and transformers, and how their messages about a long prompt begin.
_TRUNCATION_LOGGERS = (
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
    "transformers.tokenization_utils_base",
)
_TRUNCATION_WORDS = ("input was truncated because CLIP", "sequence length is longer than")


class PromptWarning(UserWarning):
    """The model will not read a prompt, or a part of it, as it was meant."""


def check_prompt(name: str, prompt: Any) -> str:
    """Check a prompt and return it unchanged, as a plain str.

    Any script is fine, emoji included; the tokenizer reads line breaks and tabs as spaces.

    Raises:
        TypeError: Not a str.
        ValueError: Empty or blank, longer than MAX_CHARACTERS, or with control characters or lone surrogates.
    """
    example = say('Give a text, for example {name}="a photograph of an astronaut riding a horse"', name=name)
    if isinstance(prompt, list | tuple):
        raise TypeError(
            say(
                "{name} must be one text, not a {kind} of {count}: make one call each",
                name=name,
                kind=type(prompt).__name__,
                count=len(prompt),
            )
        )
    if isinstance(prompt, bytes | bytearray):
        raise TypeError(
            say(
                "{name} must be a text, not {kind}: decode it, {name}.decode('utf-8')",
                name=name,
                kind=type(prompt).__name__,
            )
        )
    if not isinstance(prompt, str):
        raise TypeError(
            say(
                "{name} must be a text (str), not {prompt!r} ({kind}). {example}",
                name=name,
                prompt=str(prompt)[:40],
                kind=type(prompt).__name__,
                example=example,
            )
        )
    if len(prompt) > MAX_CHARACTERS:
        raise ValueError(
            say(
                "{name} has {count:,} characters; at most {max_characters:,} are taken, and a model reads "
                "the first few hundred. Shorten it",
                name=name,
                count=len(prompt),
                max_characters=MAX_CHARACTERS,
            )
        )
    for place, character in enumerate(prompt, 1):
        category = unicodedata.category(character)
        if category == "Cs":
            raise ValueError(
                say(
                    "{name} holds half a character ({character}, number {place} of {count}): type it again",
                    name=name,
                    character=ascii(character),
                    place=place,
                    count=len(prompt),
                )
            )
        if category == "Cc" and character not in "\t\n\v\f\r\x85":
            raise ValueError(
                say(
                    "{name} holds the control character {character} (number {place} of {count}), which comes "
                    "from copying: take it out",
                    name=name,
                    character=ascii(character),
                    place=place,
                    count=len(prompt),
                )
            )
    if not any(unicodedata.category(character)[0] not in "ZC" for character in prompt):
        raise ValueError(
            say(
                "{name} is empty{spaces}. {example}",
                name=name,
                spaces=say(" (only spaces)") if prompt else "",
                example=example,
            )
        )
    return str(prompt)


def check_prompts(prompt: Any, negative_prompt: Any) -> dict[str, str | None]:
    """Check both and return {"prompt", "negative_prompt"}; a negative prompt may be None, and a blank one counts as None."""
    blank = negative_prompt is None or (isinstance(negative_prompt, str) and not negative_prompt.strip())
    return {
        "prompt": check_prompt("prompt", prompt),
        "negative_prompt": None if blank else check_prompt("negative_prompt", negative_prompt),
    }


def cut_off(prompt: str, tokenizer: Any) -> str:
    """Return the end of `prompt` beyond the tokenizer's limit, which the model never sees; "" if nothing is cut.

    The limit (model_max_length, 77 for CLIP) includes one token for the beginning and one for the end of the text.
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

    That is text beyond the tokenizer's limit; for the miniature, words that it cannot draw; and, once for each tokenizer, a script
    that CLIP does not know. CLIP's vocabulary, which Stable Diffusion uses, was built from English text: it splits Korean into
    syllables and UTF-8 bytes, nearly two tokens a syllable, that the text encoder has hardly seen in training. The image then has
    little to do with the prompt, and the limit is reached after about 40 syllables. Common emoji are tokens of that vocabulary.
    """
    lost = cut_off(prompt, tokenizer)
    if lost:
        shown = (
            lost
            if len(lost) <= 80
            else say("{lost}… (and {count:,} more characters)", lost=lost[:60], count=len(lost) - 60)
        )
        warnings.warn(
            say(
                "{name} is longer than the {tokens} tokens that the model reads. It does not see the end: {lost!r}",
                name=name,
                tokens=tokenizer.model_max_length,
                lost=" ".join(shown.split()),
            ),
            PromptWarning,
            stacklevel=stacklevel,
        )
    if len(tokenizer) == _MINI_VOCABULARY and (words := undrawn_words(prompt)):
        shown = ", ".join(map(repr, words[:8])) + (
            say(" and {count} more", count=len(words) - 8) if len(words) > 8 else ""
        )
        warnings.warn(
            say(
                "the miniature cannot draw {shown} in {name}: it draws the rest, or something else from its "
                "small world. svd_lab.prompts.miniature_words() lists what it can draw",
                shown=shown,
                name=name,
            ),
            PromptWarning,
            stacklevel=stacklevel,
        )
    letters = [character for character in prompt if character.isalpha()]
    foreign = sum(not _latin(character) for character in letters)
    if len(tokenizer) == _OPENAI_VOCABULARY and 2 * foreign > len(letters) and tokenizer not in _SCRIPT_TOLD:
        _SCRIPT_TOLD.add(tokenizer)
        warnings.warn(
            say(
                "{name} is mostly not in Latin letters. This model was trained on English: its tokenizer "
                "splits Korean and other scripts into syllables and bytes that mean little to it, so the "
                "image will hardly follow. Write it in English",
                name=name,
            ),
            PromptWarning,
            stacklevel=stacklevel,
        )


def undrawn_words(prompt: str) -> list[str]:
    """List the words of `prompt` that the text miniature cannot draw, in their order, each once, in lower case.

    Words of style and mood ("long exposure", "cute") are not among them: training taught it that they change nothing.
    """
    return [word for word in unknown_words(prompt) if word not in style_words()]


def miniature_words(language: str = "en") -> dict[str, list[str]]:
    """List what the text miniature can draw: {"things", "colours", "places"}, each a list of names in "en" or "ko".

    It also knows "two", "small" and "big", and for two things "beside", "on", "above" and "riding".
    """
    if language not in ("en", "ko"):
        raise ValueError(say('language must be "en" or "ko", not {language!r}', language=language))
    return names(language)


def _latin(letter: str) -> bool:
    return ord(letter) < 0x250 or 0x1E00 <= ord(letter) < 0x1F00  # Latin, its supplements and extensions


@contextmanager
def quiet_about_length() -> Iterator[None]:
    """Silence diffusers' and transformers' messages about a long prompt; ours quote what was cut, once."""

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
