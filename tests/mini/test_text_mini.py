"""The shipped image miniature: it follows simple prompts in both languages, and warns of words that it cannot draw."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from svd_lab import generate_text2video, load_image_pipeline, load_video_pipeline, prompts
from svd_lab.bundled import mini_folder, text_mini_folder
from svd_lab.pipe_facts import native_size
from svd_lab.training.text import tokenizer


@pytest.fixture(scope="module")
def mini():
    pipe = load_image_pipeline("mini", device="cpu")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe, prompt, seed=0):
    """The picture as floats [128,224,3] in 0..1; 12 steps are enough to recognise it."""
    generator = torch.Generator().manual_seed(seed)
    image = pipe(prompt, width=224, height=128, num_inference_steps=12, generator=generator).images[0]
    return np.asarray(image, dtype=float) / 255


def redness(picture):
    red, green, blue = np.moveaxis(picture, -1, 0)
    return float(((red > 0.6) & (green < 0.4) & (blue < 0.4)).mean())


@pytest.mark.parametrize("language", ["en", "ko"])
def test_it_draws_the_colour_and_the_place_of_the_prompt(mini, language):
    on_white = {"en": "a {} balloon on a white background", "ko": "하얀 배경의 {} 풍선"}[language]
    red, blue = {"en": ("red", "blue"), "ko": ("빨간", "파란")}[language]
    asked, other = draw(mini, on_white.format(red)), draw(mini, on_white.format(blue))
    assert redness(asked) > 0.04 > 0.005 > redness(other)
    assert np.median(asked[:20]) > 0.9, "white above"
    night = draw(mini, {"en": "a rabbit at night", "ko": "밤의 토끼"}[language])
    day = draw(mini, {"en": "a rabbit in a meadow", "ko": "들판의 토끼"}[language])
    assert night[:20].mean() < 0.3 and day[:20, :, 2].mean() > 0.6, "a dark sky, and a blue one"
    assert day[-20:, :, 1].mean() > day[-20:, :, 2].mean() + 0.15, "grass below"


def test_any_prompt_gives_a_smooth_picture_of_the_video_minis_size(mini):
    assert native_size(mini) == native_size(load_video_pipeline("mini", device="cpu")) == (224, 128)
    for prompt in ("quantum entanglement", "👾", "나의 할머니의 비밀 요리법"):
        picture = draw(mini, prompt)
        rough = np.abs(np.diff(picture, axis=1)).mean()
        assert 0.02 < picture.std() and rough < 0.05, (prompt, picture.std(), rough)


def test_it_warns_of_words_that_it_cannot_draw(mini, tiny_pipe, tmp_path):
    assert len(mini.tokenizer) == tokenizer.SIZE == prompts._MINI_VOCABULARY
    small = dict(image_pipe=mini, pipe=tiny_pipe, image_num_inference_steps=1, num_frames=2, num_inference_steps=1)
    with pytest.warns(prompts.PromptWarning, match="cannot draw 'wombat', 'chess'") as caught:
        generate_text2video("a cute wombat at chess in space", tmp_path / "a.mp4", 1, **small)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error", prompts.PromptWarning)
        for prompt in ("a photograph of an astronaut riding a horse", "말을 탄 우주비행사 사진"):
            generate_text2video(prompt, tmp_path / "a.mp4", 1, **small)
        city = "An aerial view of a city at night, long exposure, instagram contest"
        generate_text2video(city, tmp_path / "a.mp4", 1, **small)


def test_it_knows_every_word_of_its_own_list_in_both_languages():
    for language in ("en", "ko"):
        words = prompts.miniature_words(language)
        assert [len(words[kind]) for kind in ("things", "colours", "places")] == [242, 10, 36]
        assert not [name for names in words.values() for name in names if prompts.undrawn_words(name)]
    with pytest.raises(ValueError, match='"en" or "ko"'):
        prompts.miniature_words("fr")


def test_the_miniatures_are_below_60_megabytes_and_hold_safetensors_only():
    files = [
        path for folder in (mini_folder(), text_mini_folder()) for path in Path(folder).rglob("*") if path.is_file()
    ]
    assert sum(path.stat().st_size for path in files) < 60e6
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".txt", ".md"}
