"""The large VAE, for 448 x 256 pixels with cells of 16 x 16, and what is done to its channels.

It has as many cells as the small VAE of the video mini has for 224 x 128, so a UNet costs the same with it. Its first channels are
trained to be the small VAE's code of the same picture at half the size; the others hold what that code lacks.
"""

import math

import torch
from torch import nn

from svd_lab.training.networks.video import LARGE_LATENT, LARGE_WIDTHS_VAE, State, make_vae


def grown(small: State, latent: int = LARGE_LATENT) -> nn.Module:
    """Make a large VAE whose inner levels have the weights `small` of the small VAE, wherever they fit."""
    vae = make_vae(LARGE_WIDTHS_VAE, latent)
    own, taken = vae.state_dict(), 0
    for name, value in small.items():
        part = name.split(".")
        if name.startswith("encoder.down_blocks."):  # there is one more level outside, so each is one further in
            part[2] = str(int(part[2]) + 1)
        target = ".".join(part)
        if target in own and own[target].shape == value.shape:
            own[target] = value.float()
            taken += value.numel()
    _copy_ends(own, small, latent)
    vae.load_state_dict(own)
    total = sum(v.numel() for v in own.values())
    print(f"{taken / 1e6:.2f} of {total / 1e6:.2f} M weights are the small VAE's", flush=True)
    return vae


def _copy_ends(own: State, small: State, latent: int) -> None:
    """Copy the small VAE's weights for its channels into the convolutions at both sides of the code, in place."""
    n = small["decoder.conv_in.weight"].shape[1]
    into = own["decoder.conv_in.weight"]
    into[:, :n], into[:, n:] = small["decoder.conv_in.weight"].float(), 0.3 * into[:, n:]
    rows = slice(0, n), slice(latent, latent + n)  # of mean, of log-variance
    for name in ("encoder.conv_out", "quant_conv"):
        weight, bias = own[f"{name}.weight"], own[f"{name}.bias"]
        old, old_bias = small[f"{name}.weight"].float(), small[f"{name}.bias"].float()
        for k, to in enumerate(rows):
            here = slice(k * n, (k + 1) * n)
            bias[to] = old_bias[here]
            if name == "encoder.conv_out":
                weight[to] = old[here]
                continue
            weight[to] = 0
            for j, columns in enumerate(rows):
                weight[to, columns] = old[here, j * n : (j + 1) * n]


@torch.no_grad()
def revive_channels(vae: nn.Module, n: int, spread: float = 4.0) -> nn.Module:
    """Reset the channels from `n` on, in place: a random mean with a deviation of about `spread`, and little noise on it."""
    fresh = make_vae(LARGE_WIDTHS_VAE, LARGE_LATENT)
    latent = LARGE_LATENT
    for name in ("weight", "bias"):
        own, new = getattr(vae.encoder.conv_out, name), getattr(fresh.encoder.conv_out, name)
        own[n:latent], own[latent + n :] = new[n:latent], 0
    weight, bias = vae.quant_conv.weight, vae.quant_conv.bias
    for at in (slice(n, latent), slice(latent + n, 2 * latent)):
        weight[at], weight[:, at], bias[at] = 0, 0, 0
    for k in range(n, latent):
        weight[k, k] = 2.5 * spread  # the convolution before it gives about 0.4
    bias[latent + n :] = 2 * math.log(0.05 * spread)
    into = vae.decoder.conv_in.weight
    into[:, n:] = 0.5 * into[:, :n].std() * torch.randn_like(into[:, n:])
    return vae


def keep_channels(vae: nn.Module, n: int) -> nn.Module:
    """Return a VAE with the first `n` channels alone; the mean of the others goes into the decoder's bias."""
    latent, out = vae.config.latent_channels, make_vae(LARGE_WIDTHS_VAE, n)
    state, keep = dict(vae.state_dict()), [*range(n), *range(latent, latent + n)]
    for name in ("encoder.conv_out", "quant_conv"):
        state[f"{name}.weight"], state[f"{name}.bias"] = state[f"{name}.weight"][keep], state[f"{name}.bias"][keep]
    state["quant_conv.weight"] = state["quant_conv.weight"][:, keep]
    into = state["decoder.conv_in.weight"]
    means = vae.quant_conv.bias[n:latent]  # of channels that no longer depend on the picture
    state["decoder.conv_in.bias"] = state["decoder.conv_in.bias"] + torch.einsum("oihw,i->o", into[:, n:], means)
    state["decoder.conv_in.weight"] = into[:, :n]
    out.load_state_dict({k: v.detach() for k, v in state.items()})
    return out


@torch.no_grad()
def scale_channels(vae: nn.Module, first: int, wanted: float, spread: torch.Tensor) -> nn.Module:
    """Scale the channels from `first` on, in encoder and decoder alike, so that pictures stay the same.

    Args:
        vae: Changed in place, and returned.
        first: Number of the first channel to scale.
        wanted: Their new standard deviation.
        spread: The present one of all channels, [c].
    """
    by = torch.ones_like(spread)
    by[first:] = wanted / spread[first:]
    n = len(by)
    vae.quant_conv.weight[:n] *= by.view(-1, 1, 1, 1)
    vae.quant_conv.bias[:n] *= by
    vae.quant_conv.bias[n:] += 2 * by.log()
    vae.decoder.conv_in.weight /= by.view(1, -1, 1, 1)
    return vae
