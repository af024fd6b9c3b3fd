"""What stage `unet` minimises: the v-prediction loss, and the loss of the head that looks at the image encoder."""

import torch
import torch.nn.functional as F
from torch import nn

from svd_lab.training.loop.latent_bank import LatentBank, embed


def v_loss(
    unet: nn.Module,
    x0: torch.Tensor,
    cond: torch.Tensor,
    embedding: torch.Tensor,
    ids: torch.Tensor,
    mask: torch.Tensor,
    sigma: torch.Tensor,
    noise: torch.Tensor,
    mask_weight: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the v-prediction loss, and by clip [n] the loss and the squared error of x0 where things are.

    Args:
        unet: In training.
        x0: Video latents [n,T,8,16,28], scaled.
        cond: Picture latents [n,8,16,28]; zero: dropped.
        embedding: [n,64]; zero: dropped.
        ids: added_time_ids [n,3].
        mask: Where things are, [n,1,1,16,28].
        sigma: Noise levels [n].
        noise: As x0.
        mask_weight: Additional weight of the mask.
    """
    s, dtype = sigma[:, None, None, None, None], next(unet.parameters()).dtype
    root = (s * s + 1).sqrt()
    inputs = torch.cat([(x0 + s * noise) / root, cond[:, None].expand_as(x0)], 2).to(dtype)
    v = unet(inputs, 0.25 * sigma.log(), embedding[:, None], ids, return_dict=False)[0].float()
    error = (v - (noise - s * x0) / root).square()
    w = 1 + mask_weight * mask
    each = (error * w).mean((1, 2, 3, 4)) / w.mean((1, 2, 3, 4))
    inside = (error.detach() * s * s / (s * s + 1) * mask).mean((1, 2, 3, 4)) / mask.mean((1, 2, 3, 4)).clamp(min=1e-3)
    return each.mean(), each.detach(), inside


def head_loss(
    head: nn.Module, embedding: torch.Tensor, what: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the head's loss, the share of motions that it knows, and its loss of facing.

    Args:
        head: Embeddings -> logits of KINDS, and of facing.
        embedding: [n,64].
        what: Kind of motion (-1: none) and facing (0: none) [n,2].
    """
    prediction = head(embedding).float()
    known, side = (what[:, 0] >= 0).float(), what[:, 1].float()
    kind = F.cross_entropy(prediction[:, :-1], what[:, 0].clamp(min=0), reduction="none") * known
    facing = F.binary_cross_entropy_with_logits(prediction[:, -1], (side > 0).float(), reduction="none") * side.abs()
    right = ((prediction[:, :-1].argmax(1) == what[:, 0]).float() * known).sum() / known.sum().clamp(min=1)
    return (kind + facing).mean(), right.detach(), facing.detach().sum() / side.abs().sum().clamp(min=1)


def drop_masks(n: int, device: str, drop_embedding: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw which clips keep their picture latents and which their embedding, [n] 0 or 1.

    8% have neither, 4% only the embedding, `drop_embedding` only the picture latents.
    """
    drop = torch.rand(n, device=device)
    blind = (drop > 0.12) & (drop <= 0.12 + drop_embedding)
    return (drop > 0.12).float(), ((drop > 0.08) & ~blind).float()


@torch.no_grad()
def unseen_error(unet: nn.Module, clip: nn.Module, bank: LatentBank, n: int) -> float:
    """Return the error of x0 where things are at sigma 60, where way and kind of motion are decided, on new clips.

    It is far above the log's ">40", which is of clips of the bank: those are being learnt by heart, so refresh them more often
    (--every).
    """
    bank.fill()
    x0, cond, picture, ids, mask, _ = bank.newest(n)
    embedding = embed(clip, picture)
    sigma = torch.full((len(x0),), 60.0, device=x0.device)
    noise = torch.randn_like(x0)
    return v_loss(unet, x0, cond.float(), embedding, ids, mask.float(), sigma, noise, 0.0)[2].mean().item()
