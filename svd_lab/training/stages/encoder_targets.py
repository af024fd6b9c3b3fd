"""Target embeddings of the image encoder's stage: one for each kind of motion and way to face."""

from dataclasses import dataclass

import torch
from torch import nn

from svd_lab.mini.catalogue import catalogue
from svd_lab.training.loop.latent_bank import embed
from svd_lab.world.clips import Clips
from svd_lab.world.motion import INDEX, KINDS
from svd_lab.world.scenes import World

NOTHING = -1  # as in Clips.thing
PLAIN = (0.62, 0.8, 0.95), (0.95, 0.95, 0.95), (0.3, 0.35, 0.4)  # a light blue, nearly white, a dark grey

Targets = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # embedding [n,64], its change when turned [n,64], facing [n]


def first_frames(world: World, n: int, **settings: object) -> Clips:
    """Draw n clips of one frame each; settings: of `world.clips`."""
    return world.clips(n, at=torch.zeros(n, 1, device=world.draw.device), **settings)


def on_plain(clips: Clips) -> torch.Tensor:
    """Return the first frames with a plain colour behind the things: [3,n,3,H,W] in 0 .. 1, one of PLAIN after the other."""
    picture, alpha = clips.video[:, 0], clips.alpha[:, 0, None]
    colours = torch.tensor(PLAIN, device=picture.device)[:, None, :, None, None]
    return picture * alpha + (1 - alpha) * colours


@torch.no_grad()
def embed_all(clip: nn.Module, pictures: torch.Tensor, batch: int = 256) -> torch.Tensor:
    """Return the embeddings [n,64] of pictures [n,3,H,W] in 0 .. 1, in float32."""
    return torch.cat([embed(clip, (p * 255).round()).float() for p in pictures.split(batch)])


@dataclass
class TargetEmbeddings:
    """What the encoder should embed pictures as."""

    kind: torch.Tensor  # [kinds of motion,3,64], by facing + 1; rows that cannot occur are zero
    nothing: torch.Tensor  # [2,64]: of a picture without a thing, and of one with an unknown shape
    spread: float  # variance of the rows of `kind`

    @staticmethod
    @torch.no_grad()
    def measured(clip: nn.Module, world: World, each: int, scale: float, at_once: int = 256) -> "TargetEmbeddings":
        """Average an encoder's embeddings on plain colours.

        Args:
            clip: The encoder.
            world: Draws the pictures.
            each: Pictures of every thing.
            scale: Factor on the means.
            at_once: Pictures drawn at once.
        """
        device = world.draw.device
        total = torch.zeros(len(KINDS), 3, clip.config.projection_dim, device=device)
        count = torch.zeros(len(KINDS), 3, 1, device=device)
        things = [i for i in world.keep for _ in range(each)]
        for begin in range(0, len(things), at_once):
            part = things[begin : begin + at_once]
            clips = first_frames(world, len(part), two=0, nothing=0, only=part)
            embedding = torch.stack([embed_all(clip, p) for p in on_plain(clips)]).mean(0)
            where = clips.kind[:, 0], clips.facing + 1
            total.index_put_(where, embedding, accumulate=True)
            count.index_put_(where, torch.ones_like(embedding[:, :1]), accumulate=True)
        mean = scale * total / count.clamp(min=1)
        clips = first_frames(world, max(64, 8 * each), two=0, nothing=1)
        embedding, shape = embed_all(clip, clips.video[:, 0]), clips.kind[:, 0] >= 0
        nothing = scale * torch.stack([embedding[~shape].mean(0), embedding[shape].mean(0)])
        return TargetEmbeddings(mean, nothing, mean[count[..., 0] > 0].var(0).sum().item())

    def for_clips(self, clip: nn.Module, clips: Clips) -> Targets:
        """Return the targets of drawn clips; facing 0: none, or unknown.

        Two things have no mean of their own: their target is what `clip` embeds these very two as on plain colours.
        """
        lone, known = clips.thing[:, 1] == NOTHING, clips.thing[:, 0] != NOTHING
        kind, side = clips.kind[:, 0].clamp(min=0), clips.facing * (lone & known)
        empty = self.nothing[(clips.kind[:, 0] >= 0).long()]
        wanted = torch.where(known[:, None], self.kind[kind, clips.facing + 1], empty)
        turned = (self.kind[kind, 2] - self.kind[kind, 0]) * (side != 0)[:, None]
        two = (~lone).nonzero()[:, 0]
        if len(two):
            wanted[two] = torch.stack([embed_all(clip, p) for p in on_plain(clips)[:, two]]).mean(0)
        return wanted, turned, side

    def for_things(self, things: torch.Tensor) -> Targets:
        """Return the targets of pictures of `things` [n] (catalogue indices, or NOTHING) that may face either way.

        Where the change is not zero although facing is, `loss` takes the nearer of the two targets.
        """
        kinds = torch.tensor([INDEX[t["kind"]] for t in catalogue()], device=things.device)
        known = things != NOTHING
        # The middle one is zero where the others are not.
        left, ahead, right = self.kind[kinds[things.clamp(min=0)]].unbind(1)
        turned = (right - left) * known[:, None]
        wanted = torch.where(known[:, None], left + ahead, self.nothing[0])
        return wanted, turned, torch.zeros_like(things)


def loss(
    embedding: torch.Tensor, wanted: torch.Tensor, turned: torch.Tensor, side: torch.Tensor, spread: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compare embeddings [n,64] with their targets.

    Facing is a small part of the distance and decides the whole clip, so it counts by itself: how far the embedding is along
    `turned`, from one way to the other.

    Returns:
        By picture [n]: the squared distance over `spread`; the squared error of facing, 1 for none at all; whether it is wrong.
    """
    directed = side != 0
    other = torch.where(directed[:, None], wanted, wanted + turned)  # TargetEmbeddings.for_things
    distance = torch.minimum((embedding - wanted).square().sum(1), (embedding - other).square().sum(1)) / spread
    length = turned.square().sum(1).clamp(min=1e-6)
    way = 1 + 2 * side * ((embedding - wanted) * turned).sum(1) / length
    return distance, (way - 1).square() * directed, (way < 0) & directed


@torch.no_grad()
def accuracy_on_drawings(clip: nn.Module, pictures: torch.Tensor, targets: Targets, means: TargetEmbeddings) -> str:
    """On pictures uint8 [n,3,H,W] with `for_things` targets: mean distance, and share nearest to a right mean."""
    embedding = embed_all(clip, pictures / 255)
    rows = torch.cat([means.kind.flatten(0, 1), means.nothing])
    rows = rows[rows.abs().sum(1) > 0]
    nearest = rows[torch.cdist(embedding, rows).argmin(1)]
    distance, right = loss(embedding, *targets, means.spread)[0], loss(nearest, *targets, means.spread)[0] < 1e-6
    return f"{distance.mean().item():.4f} right {right.float().mean().item():.4f}"


@torch.no_grad()
def accuracy_on_clips(clip: nn.Module, world: World, means: TargetEmbeddings, teacher: nn.Module, n: int) -> str:
    """On n new pictures of one thing each: mean distance, share facing the wrong way, share nearest to the right mean."""
    clips = first_frames(world, n, two=0, nothing=0)
    embedding, (wanted, turned, side) = embed_all(clip, clips.video[:, 0]), means.for_clips(teacher, clips)
    distance, _, wrong = loss(embedding, wanted, turned, side, means.spread)
    rows = means.kind[means.kind.abs().sum(2) > 0]
    right = (rows[torch.cdist(embedding, rows).argmin(1)] == wanted).all(1)
    ways = max(1, (clips.facing != 0).sum().item())
    return f"{distance.mean().item():.4f} wrong {wrong.sum().item() / ways:.4f} right {right.float().mean().item():.4f}"
