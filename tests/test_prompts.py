"""What becomes of a prompt: what is refused, what is read as it is, what a person is warned about."""

import logging
import warnings

import pytest

from svd_lab import generate_text2video
from svd_lab.prompts import MAX_CHARACTERS, PromptWarning, check_prompt, check_prompts, cut_off, warn_about_prompt

SMALL = {"image_num_inference_steps": 1, "num_frames": 2, "num_inference_steps": 1}
HORSE = "a photograph of an astronaut riding a horse"


@pytest.mark.parametrize(
    ("prompt", "kind", "words"),
    [
        ("", ValueError, "prompt is empty. Give a text, for example"),
        (" \t\n", ValueError, "only spaces"),
        ("\u200b\u3000", ValueError, "only spaces"),
        (None, TypeError, r"not 'None' \(NoneType\). Give a text"),
        (42, TypeError, r"\(int\)"),
        (True, TypeError, r"\(bool\)"),
        (["a", "b"], TypeError, "a list of 2: make one call each"),
        (b"horse", TypeError, r"prompt.decode\('utf-8'\)"),
        ("a\x00horse", ValueError, r"control character '\\x00' \(number 2 of 7\)"),
        ("a \x1b[31mred\x1b[0m rocket", ValueError, r"'\\x1b' \(number 3"),
        ("half \ud83d", ValueError, r"half a character \('\\ud83d', number 6"),
        ("x" * (MAX_CHARACTERS + 1), ValueError, "100,001 characters"),
    ],
)
def test_what_is_no_prompt_is_refused(tiny_image_pipe, tiny_pipe, tmp_path, prompt, kind, words):
    pipes = {"image_pipe": tiny_image_pipe, "pipe": tiny_pipe}
    with pytest.raises(kind, match=words) as caught:
        generate_text2video(prompt, tmp_path / "a.mp4", 1, **pipes, **SMALL)
    assert str(caught.value).isprintable(), "no control character reaches the terminal"
    assert len(str(caught.value)) < 300 and not list(tmp_path.iterdir())
    if prompt is not None and not (isinstance(prompt, str) and not prompt.strip()):
        with pytest.raises(kind, match="negative_prompt"):
            check_prompts(HORSE, prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        "a",
        "말을 탄 우주인의 사진",
        "👩‍🚀 rides 🐎",
        "a café, 宇宙飛行士 и лошадь, مدينة",
        "two\nlines\tand a tab",
        "<|endoftext|> \\u0000 %s {prompt} ' \"",
        "'; DROP TABLE prompts; --",
    ],
)
def test_any_text_is_taken_unchanged_and_makes_a_video(tiny_image_pipe, tiny_pipe, tmp_path, prompt):
    with warnings.catch_warnings():
        warnings.simplefilter("error", PromptWarning)
        clip = generate_text2video(prompt, tmp_path / "a.mp4", 1, image_pipe=tiny_image_pipe, pipe=tiny_pipe, **SMALL)
    assert clip.recipe["prompt"] == prompt and len(clip.frames) == 2


def test_a_kind_of_str_becomes_a_plain_one():
    import numpy as np

    assert type(check_prompt("prompt", np.str_("horse"))) is str
    assert check_prompts("horse", None)["negative_prompt"] is None
    assert check_prompts("horse", " ")["negative_prompt"] is None


def longest(tokenizer, word="horse "):
    """As many words as the tokenizer's limit takes."""
    count = 1
    while len(tokenizer(word * (count + 1)).input_ids) <= tokenizer.model_max_length:
        count += 1
    return word * count


def test_a_prompt_of_just_the_limit_is_not_called_cut(tiny_image_pipe, recwarn):
    fits = longest(tiny_image_pipe.tokenizer, "a ")
    assert len(tiny_image_pipe.tokenizer(fits).input_ids) == 77
    assert cut_off(fits, tiny_image_pipe.tokenizer) == ""
    assert cut_off(fits + "rocket", tiny_image_pipe.tokenizer) == "rocket"
    warn_about_prompt(fits, tiny_image_pipe.tokenizer)
    assert not recwarn.list


def test_what_is_cut_off_is_named_in_the_callers_own_line(tiny_image_pipe, tiny_pipe, tmp_path, caplog, capfd):
    prompt = longest(tiny_image_pipe.tokenizer, "a ") + "Straße, 말 🐎"
    for name in ("diffusers", "transformers"):
        logging.getLogger(name).propagate = True  # so that caplog hears them
    try:
        with pytest.warns(PromptWarning) as told:
            generate_text2video(prompt, tmp_path / "a.mp4", 1, image_pipe=tiny_image_pipe, pipe=tiny_pipe, **SMALL)
    finally:
        for name in ("diffusers", "transformers"):
            logging.getLogger(name).propagate = False
    [warning] = [entry for entry in told if entry.category is PromptWarning]
    assert "77 tokens" in str(warning.message) and "'Straße, 말 🐎'" in str(warning.message)
    assert warning.filename == __file__
    assert "truncated" not in caplog.text and "truncated" not in capfd.readouterr().err, "said once, by us"


@pytest.mark.parametrize("prompt", ["horse " * 1667, "말" * 10_000, "🐎" * 10_000, "x" * 10_000])
def test_ten_thousand_characters_are_read_up_to_the_limit(tiny_image_pipe, tiny_pipe, tmp_path, prompt):
    pipes = {"image_pipe": tiny_image_pipe, "pipe": tiny_pipe}
    with pytest.warns(PromptWarning, match="more characters") as told:
        clip = generate_text2video(prompt, tmp_path / "a.mp4", 1, **pipes, **SMALL)
    assert max(len(str(entry.message)) for entry in told if entry.category is PromptWarning) < 300
    kept = prompt[: len(prompt) - len(cut_off(prompt, tiny_image_pipe.tokenizer))]
    assert 0 < len(kept) < 600
    assert clip.recipe["prompt"] == prompt


def test_a_tokenizer_without_offsets_names_the_end_too(tiny_image_pipe):
    class Slow:
        """As CLIPTokenizer was before transformers 5: no offsets."""

        is_fast, model_max_length = False, tiny_image_pipe.tokenizer.model_max_length
        decode = staticmethod(tiny_image_pipe.tokenizer.decode)

        def __call__(self, prompt, return_offsets_mapping=False):
            assert not return_offsets_mapping
            return tiny_image_pipe.tokenizer(prompt)

    fits = longest(tiny_image_pipe.tokenizer, "a ")
    assert cut_off(fits, Slow()) == "" and cut_off(fits + "Rocket", Slow()) == "rocket"


def test_a_negative_prompt_that_is_cut_or_has_no_effect_warns(tiny_image_pipe, tiny_pipe, tmp_path):
    call = {"image_pipe": tiny_image_pipe, "pipe": tiny_pipe, **SMALL}
    with pytest.warns(PromptWarning, match="negative_prompt is longer than the 77 tokens"):
        generate_text2video(HORSE, tmp_path / "a.mp4", 1, negative_prompt="rain " * 99, **call)
    with pytest.warns(PromptWarning, match="no effect without guidance") as told:
        generate_text2video(HORSE, tmp_path / "a.mp4", 1, negative_prompt="rain", guidance_scale=1, **call)
    assert {entry.filename for entry in told if entry.category is PromptWarning} == {__file__}


class OpenAIs:
    """A tokenizer with the number of tokens of OpenAI's vocabulary, which is not in this repository."""

    is_fast, model_max_length = True, 77

    def __len__(self):
        return 49408

    def __call__(self, prompt, return_offsets_mapping=False):
        ids = range(min(77, 2 + len(prompt)))
        return type("Encoded", (dict,), {"input_ids": ids})(offset_mapping=[(0, 0)] * len(ids))


def test_korean_is_warned_about_once_for_each_clip_tokenizer():
    tokenizer = OpenAIs()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        warn_about_prompt("a horse, café, 🐎🐎🐎🐎 1234 Łódź", tokenizer)
        warn_about_prompt("a photograph of a horse 말", tokenizer)
        assert told == []
        warn_about_prompt("말을 탄 우주인, 4k", tokenizer)
        warn_about_prompt("밤의 도시", tokenizer)
        assert len(told) == 1 and "Write it in English" in str(told[0].message)
        warn_about_prompt("город ночью", OpenAIs())
        assert len(told) == 2


def test_korean_for_a_vocabulary_of_ones_own_is_not_warned_about(tiny_image_pipe, recwarn):
    warn_about_prompt("말을 탄 우주인", tiny_image_pipe.tokenizer)
    assert not recwarn.list
