"""A batch of rendered clips, and all that is known about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from PIL import Image

from svd_lab.mini.catalogue import catalogue
from svd_lab.world.backgrounds import name

FRAMES = 14  # of a clip by default, as many as Stable Video Diffusion generates


@dataclass
class Clips:
    """n clips of T frames. Indexing with a mask, a slice or indices gives some of the clips, as `Clips` again.

    Attributes:
        video: [n,T,3,128,224] in 0..1.
        alpha: [n,T,128,224] in 0..1, how much of each pixel is a thing.
        background: [n,3,128,224] in 0..1, frame 0 without the things.
        bucket: [n], the motion_bucket_id, 10..255 unless given.
        fps: [n], frames per second, 5..15 unless given.
        kind: [n,2], the motions of the first and second thing as indices into `motion.KINDS`; -1: no such thing.
        thing: [n,2], the first and second thing as indices into `catalogue()`; -1: no such thing, or a random shape.
        height: [n], the longest side of the first thing in pixels.
        camera: [n] bool, the camera moves: it zooms in slowly where no thing moves by itself.
        facing: [n], of the first thing: 1 as drawn (left; rockets and airplanes: right), -1 mirrored, 0 if its motion has no
            direction.
        place: [n,2], palette and shape of the background (see `backgrounds.name`).
    """

    video: torch.Tensor
    alpha: torch.Tensor
    background: torch.Tensor
    bucket: torch.Tensor
    fps: torch.Tensor
    kind: torch.Tensor
    thing: torch.Tensor
    height: torch.Tensor
    camera: torch.Tensor
    facing: torch.Tensor
    place: torch.Tensor

    def __len__(self) -> int:
        return len(self.video)

    def __getitem__(self, which: Any) -> Clips:
        return Clips(*(getattr(self, f.name)[which] for f in fields(self)))

    @staticmethod
    def join(parts: Sequence[Clips]) -> Clips:
        """Concatenate batches whose clips have the same number of frames."""
        return Clips(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Clips)))

    def pictures(self) -> list[Image.Image]:
        """The input pictures of the clips: frame 0 as RGB, 224 x 128 pixels."""
        return [Image.fromarray(v) for v in (self.video[:, 0].permute(0, 2, 3, 1) * 255).round().byte().cpu().numpy()]

    def captions(self, painted: Sequence[tuple[str, str]] = ()) -> list[dict[str, str]]:
        """Describe each clip in English and Korean.

        Args:
            painted: English and Korean names of the places that a training world paints besides `backgrounds.PALETTES`.

        Returns:
            For each clip {"en": ..., "ko": ...}: its things and its background.
        """
        things = catalogue()
        something = dict(en="something", ko="무언가")
        captions = []
        rows = zip(self.thing.tolist(), self.kind[:, 0].tolist(), self.place.tolist(), strict=True)
        for (first, second), kind, (palette, shape) in rows:
            place_en, place_ko = name(palette, shape, painted)
            if first < 0 and kind < 0:
                captions.append(dict(en=place_en, ko=place_ko))
                continue
            one = things[first] if first >= 0 else something
            en, ko = one["en"], one["ko"]
            if second >= 0:
                en, ko = f"{en} and {things[second]['en']}", f"{ko} 그리고 {things[second]['ko']}"
            captions.append(dict(en=f"{en}, {place_en}", ko=f"{place_ko}, {ko}"))
        return captions
