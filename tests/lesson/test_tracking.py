"""Where a clip's thing is: found in drawn clips whose truth is known."""

import numpy as np
import pytest
from PIL import Image

from svd_lab.lesson.tracking import centroids, displacement, median_background, travelled


def drawn_clips():
    from svd_lab.world.scenes import World

    truth = World(seed=1).clips(12, bucket=127, fps=7, two=0, nothing=0)
    return truth[~truth.camera]


def as_frames(video):
    """[..., 3, height, width] in 0..1 to [..., height, width, 3] in 0..255."""
    return (video.movedim(-3, -1) * 255).round().byte().numpy()


def test_the_centroid_of_a_drawn_thing_is_found_within_four_pixels():
    from svd_lab.world.measures import centroid

    clips = drawn_clips()
    assert len(clips) >= 3
    for i in range(len(clips)):
        found = centroids(as_frames(clips.video[i]), as_frames(clips.background[i]))
        true = centroid(clips.alpha[i] > 0.5).numpy()
        seen = (clips.alpha[i] > 0.5).sum((1, 2)).numpy() > 60
        assert np.abs(found - true)[seen].max() < 4  # measured 3.9, where a thing has its background's colours


def square(places, size=10):
    frames = np.full((len(places), 64, 96, 3), 200, dtype=np.uint8)
    for frame, (x, y) in zip(frames, places, strict=True):
        frame[y : y + size, x : x + size] = 30
    return frames


def test_a_square_that_moves_is_followed_exactly():
    places = [(5 + 15 * i, 40 - 6 * i) for i in range(5)]
    frames = square(places)
    background = median_background(frames)
    assert (background == 200).all()
    path = centroids(frames, background)
    assert np.allclose(path, np.array(places) + 4.5)
    assert travelled(path) == pytest.approx(np.hypot(60, 24))


def test_brightness_and_a_faint_change_are_no_motion():
    frames = square([(20, 20)] * 3)
    frames[1] += 25
    assert travelled(centroids(frames, square([(20, 20)])[0] * 0 + 200)) == 0


def test_a_frame_without_the_thing_has_no_place():
    frames = square([(20, 20), (20, 20)])
    frames[1] = 200
    path = centroids(frames, np.full((64, 96, 3), 200))
    assert np.isnan(path[1]).all() and np.isnan(travelled(path))


def test_a_part_of_a_drawn_rocket_is_followed_within_two_pixels():
    from svd_lab.world.measures import centroid
    from svd_lab.world.motion import INDEX
    from svd_lab.world.scenes import World

    clips = World(seed=2).clips(60, bucket=127, fps=7, two=0, nothing=0)
    clips = clips[(clips.kind[:, 0] == INDEX["slant"]) & ~clips.camera]
    assert len(clips) >= 2
    for i in range(len(clips)):
        rows, columns = np.nonzero((clips.alpha[i, 0] > 0.9).numpy())
        middle, centre = rows.mean(), columns.mean()
        box = (centre - 14) / 224, (middle - 14) / 128, (centre + 14) / 224, (middle + 14) / 128
        frames = as_frames(clips.video[i])
        last = 9
        true = np.diff(centroid(clips.alpha[i][[0, last]] > 0.5).numpy(), axis=0)[0]
        found = displacement(Image.fromarray(frames[0]), Image.fromarray(frames[last]), box)
        assert np.abs(found - true).max() < 2


def test_a_part_of_a_large_picture_is_followed_on_its_own_scale():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 56, 3), dtype=np.uint8))
    first = noise.resize((448, 256), Image.Resampling.NEAREST)
    last = first.transform(first.size, Image.Transform.AFFINE, (1, 0, -24, 0, 1, 16))
    assert displacement(first, last, (0.4, 0.4, 0.7, 0.7)).tolist() == [24, -16]
