"""The text mini: its captions say what its world shows, its words are known, its networks are the genuine classes."""

import json
import sys
import unicodedata
from random import Random

import pytest
import torch

from svd_lab.mini.catalogue import catalogue
from svd_lab.mini.lexicon import unknown_words
from svd_lab.training.measure import evaluate_text, text_scores
from svd_lab.training.networks.text import (
    encode_prompts,
    encode_text,
    from_video_vae,
    make_text_encoder,
    make_text_unet,
    make_text_vae,
    tokenizer_for_training,
)
from svd_lab.training.stages.judge import Judge, judge_loss, look
from svd_lab.training.stages.text import noise_levels
from svd_lab.training.text import place_words as words
from svd_lab.training.text.captions import CLASS_PROMPTS, caption, particle, plural
from svd_lab.training.text.scene_grammar import RELATIONS, draw_scene, held_out, place_words, scene_of, things
from svd_lab.training.text.tokenizer import LENGTH, SIZE
from svd_lab.training.world.stills import Stills, labels


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return tokenizer_for_training(tmp_path_factory.mktemp("tokenizer"))


def test_the_world_has_many_things_riders_mounts_and_places():
    assert len(things()) >= 150 and len(place_words()) >= 12
    assert not any(catalogue()[t.index]["held_out"] for t in things()), "the video mini must know all of them"
    assert sum(bool(t.rider) for t in things()) >= 20 and sum(t.saddle is not None for t in things()) >= 15
    for language in ("en", "ko"):
        names = [n for t in things() for n in getattr(t, language)]
        assert len(names) == len(set(names)), "one word must not name two things"


def test_captions_name_what_is_in_the_scene_in_both_languages():
    rng = Random(5)
    for relation in (*RELATIONS, "nothing"):
        for _ in range(30):
            scene = draw_scene(rng, relation)
            en, ko = (caption(scene, rng, language, plain=True) for language in ("en", "ko"))
            for item in scene.items:
                thing = things()[item.thing]
                assert any(n in en or plural(n) in en for n in thing.en), (scene, en)
                assert any(n in ko for n in thing.ko), (scene, ko)
                assert not item.colour or item.colour in en
            if scene.placed:
                nouns, adverbials, nouns_ko, stems = place_words()[scene.place]
                assert any(p in en for p in nouns + adverbials) and any(p.strip("*") in ko for p in nouns_ko + stems)


def test_training_never_sees_a_held_out_combination_and_evaluations_do():
    rng = Random(6)
    assert not any(held_out(draw_scene(rng)) for _ in range(500))
    assert all(held_out(draw_scene(rng, "riding", training=False)) for _ in range(50))
    assert not held_out(scene_of("astronaut", other="horse", relation="riding")), "a prompt of the lessons"


def test_korean_particles_follow_the_last_syllable():
    assert particle("말", "을를") == "말을" and particle("고양이", "을를") == "고양이를"
    assert particle("곰", "과와") == "곰과" and particle("개", "과와") == "개와"
    rng = Random(0)
    said = {caption(scene_of("astronaut", other="horse", relation="riding"), rng, "ko", plain=True) for _ in range(200)}
    assert any("말을 타는 우주비행사" in s for s in said) and not any("말를" in s for s in said)


def test_unknown_names_are_refused_with_a_choice():
    with pytest.raises(ValueError, match="'wombat' is not in the world; choose one of dog"):
        scene_of("wombat")


def test_words_without_a_picture_are_named_and_only_those():
    assert unknown_words(CLASS_PROMPTS[0]) == []
    assert unknown_words(CLASS_PROMPTS[1]) == ["long", "exposure", "instagram", "contest"]
    assert unknown_words("Two wombats riding a horse, wombats!") == ["wombats"]
    assert unknown_words("말을 타고 있는 너구리 사진") == ["너구리"]
    assert unknown_words("") == [] and unknown_words("🐴 ... !!") == []
    rng, allowed = Random(3), set((words.ADJECTIVES_EN + " " + words.ADJECTIVES_KO).split())
    for _ in range(300):
        scene = draw_scene(rng)
        for language in ("en", "ko"):
            said = set(unknown_words(caption(scene, Random(0), language, plain=True)))
            assert said <= allowed, said


@pytest.mark.parametrize(
    "prompt",
    ["", "a dog", "뷁쀍", "🐴\x00\u202e", "Ünïcödé 中国 \ud55c\uae00", "x" * 10_000, "말 " * 200],
    ids=range(7),
)
def test_any_prompt_becomes_77_tokens_and_never_an_error(tokenizer, prompt):
    ours = encode_prompts(tokenizer, [prompt])
    theirs = tokenizer(
        [prompt], padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
    ).input_ids
    assert ours.shape == (1, 77) and torch.equal(ours, theirs)
    assert ours[0, 0] == SIZE - 2 and ours[0, -1] == SIZE - 1


def test_case_and_unicode_form_do_not_matter_and_names_are_few_tokens(tokenizer):
    assert tokenizer.tokenize("A Dog") == tokenizer.tokenize("a dog")
    assert tokenizer.tokenize(unicodedata.normalize("NFD", "우주비행사")) == tokenizer.tokenize("우주비행사")
    counts = [len(tokenizer.tokenize(n)) for t in things() for n in (*t.en, *t.ko)]
    assert sum(counts) / len(counts) < 2.5


def test_training_encodes_text_exactly_as_the_genuine_encoder(tokenizer):
    torch.manual_seed(0)
    encoder = make_text_encoder().eval()
    ids = encode_prompts(tokenizer, ["a dog on a chair", "말을 타는 우주비행사", ""])
    with torch.no_grad():
        assert (encode_text(encoder, ids) - encoder(ids)[0]).abs().max() < 1e-5


def test_all_networks_together_stay_below_22_megabytes():
    parameters = sum(
        p.numel() for m in (make_text_unet(), make_text_vae(), make_text_encoder()) for p in m.parameters()
    )
    assert 2 * parameters < 22.5e6


def test_the_text_vae_starts_with_the_video_vaes_encoder():
    from svd_lab.training.networks.video import make_vae

    torch.manual_seed(0)
    video = make_vae().eval()
    ours = from_video_vae(video).eval()
    x = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        assert torch.equal(ours.encode(x).latent_dist.mode(), video.encode(x).latent_dist.mode())
        z = torch.randn(1, 8, 4, 6)
        assert torch.allclose(ours.post_quant_conv(z), z)


def test_noise_levels_stay_where_sampling_goes():
    torch.manual_seed(0)
    sigma = noise_levels(2000, "cpu")
    assert sigma.shape == (2000,) and 0.0199 < sigma.min() and sigma.max() < 80.1
    assert (sigma > 10).float().mean() > 0.1, "the first steps decide what the picture shows"


def test_stills_repeat_for_a_seed_and_show_their_things():
    first, again = (Stills(seed=9).draw(12) for _ in range(2))
    assert first[0] == again[0] and torch.equal(first[1], again[1])
    scenes, pictures, mask = first
    assert pictures.shape == (12, 3, 128, 224) and 0 <= pictures.min() and pictures.max() <= 1
    for scene, m in zip(scenes, mask, strict=True):
        share = (m > 0.5).float().mean()
        assert (share == 0) == (not scene.items) and share < 0.6


def test_a_rider_sits_above_the_middle_of_its_mount_and_is_seen():
    stills = Stills(seed=2)
    riding, alone = scene_of("astronaut", other="horse", relation="riding"), scene_of("horse")
    _, together = stills.render([riding] * 6)
    _, horse = stills.render([alone] * 6)
    rows = torch.arange(128.0)[:, None]
    centre = lambda m: (m * rows).sum((1, 2, 3)) / m.sum((1, 2, 3))  # noqa: E731
    assert (together.sum((1, 2, 3)) > 1500).all()
    top = lambda m: torch.tensor([int(torch.nonzero(x[0].amax(1) > 0.5)[0]) for x in m])  # noqa: E731
    assert (top(together) < 60).all() and horse.sum() > 0 and centre(together).mean() < 110


def test_colours_change_the_thing_and_not_the_wheels():
    red, blue = (scene_of("car", place="studio", colour=c) for c in ("red", "blue"))
    pictures, mask = Stills(seed=4).render([red, blue])
    mean = [(p * m).sum((1, 2)) / m.sum() for p, m in zip(pictures, mask, strict=True)]
    assert mean[0][0] > mean[0][2] + 0.1 and mean[1][2] > mean[1][0] + 0.1
    dark = [((p.amax(0) < 0.35) & (m[0] > 0.9)).float().sum() / m.sum() for p, m in zip(pictures, mask, strict=True)]
    assert min(dark) > 0.05, "tyres stay dark"


def test_the_judge_learns_its_labels_and_the_scores_read_it_right():
    torch.manual_seed(0)
    scenes = [scene_of("dog", place="plain red"), scene_of("house", place="space")] * 4
    pictures, _ = Stills(seed=8).render(scenes)
    truth, judge = labels(scenes), Judge(width=16)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=3e-3)
    for _ in range(25):
        optimiser.zero_grad()
        judge_loss(judge(pictures), truth).backward()
        optimiser.step()
    rows = text_scores.score(judge.eval(), scenes, pictures)
    assert text_scores.mean(rows, "place") == 1.0 and text_scores.mean(rows, "best") == 1.0
    wrong = text_scores.score(judge, scenes[1:] + scenes[:1], pictures)
    assert text_scores.mean(wrong, "place") == 0.0 and text_scores.mean(wrong, "present") == 0.0
    assert look(judge, pictures).things.shape == (8, len(things()))


def test_half_of_the_measured_prompts_are_held_out_the_same_every_time():
    for relation in ("alone", "riding"):
        first, again = (text_scores.prompts_for(relation, 12, 1) for _ in range(2))
        assert first == again and [held_out(s) for s in first] == [False, True] * 6


def test_the_table_says_what_is_missed():
    table = {name: 0.8 for name in text_scores.FLOORS} | {"relation right": None}
    text = text_scores.markdown(dict(table=table, cost=dict(image=3.0, text_to_video=26.0, rss=1.0)))
    assert (
        text.count("missed") == 4
        and "| place right | 80.0% | 90% **missed** |" in text
        and "| relation right | – |" in text
    )


@pytest.mark.slow
def test_three_steps_of_every_text_stage_give_a_genuine_pipeline(tmp_path, monkeypatch, capsys):
    """In this process, so that imports and the atlas are loaded once; training resumes where it stopped, and can be softened."""
    from svd_lab.training import train

    def stage(*args):
        monkeypatch.setattr(sys, "argv", ["train", *map(str, args)])
        train.main()
        said = capsys.readouterr().out
        assert "nan" not in said
        return said

    common = ("--steps", 3, "--out", tmp_path)
    assert "TEXT-VAE {" in stage(
        "text-vae", *common, "--batch", 1, "--pool", 2, "--vae", "none", "--state", tmp_path / "v"
    )
    vae, weights = tmp_path / "text_vae.pt", tmp_path / "text.pt"
    bank = ("--batch", 2, "--bank", 4, "--prefill", 4, "--part", 4, "--vae", vae)
    assert "text 1 " in stage("text", *common, *bank, "--state", tmp_path / "t")
    on = stage("text", *common, *bank, "--state", tmp_path / "t2", "--resume", tmp_path / "t")
    assert "text 4 " in on, "training resumes where it stopped"
    assert "text 1 " in stage("text", *common, *bank, "--state", tmp_path / "t3", "--weights", weights, "--soften", 0.4)
    assert "JUDGE {" in stage("judge", *common, "--batch", 2, "--pool", 4, "--vae", vae)
    stage("export-text", "--vae", vae, "--weights", weights, "--folder", tmp_path / "w")

    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(tmp_path / "w", dtype=torch.float32)
    picture = pipe("a dog", num_inference_steps=1).images[0]
    assert picture.size == (224, 128), "the video mini's own size"
    files = ["--folder", tmp_path / "w", "--judge", tmp_path / "judge.pt", "--json", tmp_path / "e.json"]
    small = "--single 2 --pairs 1 --sweep 1 --truth 4 --steps 1 --places 2 --class-seeds 1 --quick --device cpu"
    result = evaluate_text.main([*map(str, files), *small.split()])
    assert set(text_scores.FLOORS) <= set(result["table"])
    assert json.loads((tmp_path / "e.json").read_text())["table"] == result["table"]


def test_soft_guidance_is_the_teachers_at_a_lower_scale():
    """The arithmetic behind `--soften`: guidance g of u + K (c - u) is guidance K g of c."""
    c, u, k, g = torch.randn(5), torch.randn(5), 0.4, 7.5
    soft = u + k * (c - u)
    assert torch.allclose(u + g * (soft - u), u + k * g * (c - u), atol=1e-5)
