"""Training data of stage `text`: stills as latents, with captions; and the head that asks the text encoder what they say."""

import torch
import torch.nn.functional as F
from torch import nn

from svd_lab.training.loop.ring import Ring
from svd_lab.training.networks.text import CROSS, encode_prompts
from svd_lab.training.networks.video import LATENT
from svd_lab.training.text.captions import caption
from svd_lab.training.text.place_words import COLOURS
from svd_lab.training.text.scene_grammar import RELATIONS, Scene, scene_of, things
from svd_lab.training.world.stills import Stills, labels, place_keys


class CaptionedBank(Ring):
    """Encoded stills: latents (scaled), where things are, an English and a Korean caption, and labels.

    Args:
        vae: Frozen.
        stills: Draws the pictures; its device is the bank's.
        tokenizer: Of the captions.
        size: Stills to keep.
        batch: Stills of each `fill`.
    """

    def __init__(self, vae: nn.Module, stills: Stills, tokenizer, size: int, batch: int):
        super().__init__(size, batch)
        self.vae, self.stills, self.tokenizer = vae, stills, tokenizer

    @torch.no_grad()
    def fill(self) -> None:
        """Draw and encode a batch; in a full bank it replaces the oldest."""
        scenes, picture, mask = self.stills.draw(self.batch)
        texts = [caption(s, self.stills.rng, language) for s in scenes for language in ("en", "ko")]
        x = (picture * 2 - 1).to(next(self.vae.parameters()).dtype).contiguous(memory_format=torch.channels_last)
        z = torch.cat([self.vae.quant_conv(self.vae.encoder(q))[:, :LATENT].float() for q in x.split(256)])
        truth, device = labels(scenes), z.device
        placed = torch.tensor([s.placed for s in scenes])
        place = torch.where(placed, truth["place"], -1)  # a caption that does not say where teaches nothing about it
        self.add(
            (z * self.vae.config.scaling_factor).half(),
            F.max_pool2d(F.max_pool2d(mask, 8), 3, 1, 1).half(),
            encode_prompts(self.tokenizer, texts).view(-1, 2, 77).to(device, torch.int16),
            truth["things"].to(device, torch.uint8),
            torch.stack([place, truth["relation"], truth["colour"]], 1).to(device, torch.int16),
        )

    def draw(self, n: int) -> list[torch.Tensor]:
        """Return latents [n,8,16,28], masks [n,1,16,28], ids [n,77] (half Korean), things [n,242]; place, relation, colour
        [n,3]."""
        latents, masks, ids, present, rest = self.sample(n)
        language = torch.randint(2, (n,), device=ids.device)
        ids = ids[torch.arange(n, device=ids.device), language]
        return [latents.float(), masks.float(), ids.long(), present.float(), rest.long()]


class Head(nn.Module):
    """Text vectors [n,77,128] -> logits of things, place, relation and colour."""

    def __init__(self):
        super().__init__()
        self.sizes = [len(things()), len(place_keys()), len(RELATIONS), len(COLOURS) + 1]
        self.out = nn.Linear(CROSS, sum(self.sizes))
        nn.init.constant_(self.out.bias[: self.sizes[0]], -5.0)  # most things are absent

    def loss(
        self, text: torch.Tensor, present: torch.Tensor, rest: torch.Tensor, given: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss, and the shares of places and of things that are known.

        Args:
            text: The encoder's vectors [n,77,128].
            present: Things [n,242], 0 or 1.
            rest: Place (-1: not in the caption), relation and colour [n,3].
            given: 0 without a caption, [n].
        """
        prediction, *others = self.out(text.mean(1)).float().split(self.sizes, 1)
        each = F.binary_cross_entropy_with_logits(prediction, present, reduction="none").sum(1)
        for logits, truth in zip(others, rest.T, strict=True):
            each = each + F.cross_entropy(logits, truth.clamp(min=0), reduction="none") * (truth >= 0)
        placed = given * (rest[:, 0] >= 0)
        right = ((others[0].argmax(1) == rest[:, 0]) * placed).sum() / placed.sum().clamp(min=1)
        best = present.gather(1, prediction.argmax(1, keepdim=True))[:, 0] * given
        best = best.sum() / (present.amax(1) * given).sum().clamp(min=1)
        return (each * given).mean(), torch.stack([right, best]).detach()


def few_scenes(n: int) -> list[Scene]:
    """Return a tiny world for trying out: n things in three places."""
    names = [t.name for t in things()[:n]]
    return [scene_of(name, place=place) for name in names for place in ("meadow", "night", "plain red")]
