"""Fused blocks for training: the same functions up to rounding, in less time. (`generate_video` runs plain diffusers.)

`rewrite(model)` rebinds the forward of diffusers' blocks inside a VAE or UNet; weights, names and files stay as they are.

1. The (3,1,1) convolutions over time run as (3,1) two-dimensional ones over [n, C, T, H*W], several times faster.
2. The blend a*s + (1-a)*(s+h) of space and time becomes s + (1-a)*h.
3. Cross-attention to ONE image token: softmax over one key is 1, so attn2(x) = to_out(to_v(token)), the same everywhere.
4. Channels last throughout; q, k and v in one matrix product; on CUDA the kernels of triton_ops.

Holds for video only (image_only_indicator all zero), as the Stable Video Diffusion pipeline always passes.
"""

from types import MethodType
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svd_lab.training.networks.triton_group_norm import GNAct
from svd_lab.training.networks.triton_ops import AddVec, GEGLUFn, LinearFn, LNFn, ShortAttention, fused

Model = TypeVar("Model", bound=nn.Module)


def linear(m: nn.Linear, x: Tensor) -> Tensor:
    """Apply a linear layer."""
    if fused(x) and torch.is_grad_enabled() and m.bias is not None:
        return LinearFn.apply(x, m.weight, m.bias)
    return m(x)


def conv(x: Tensor, w: Tensor, b: Tensor, temb: Tensor | None = None, **k: Any) -> Tensor:
    """Convolve in two dimensions, and add the bias (and one vector per frame)."""
    if fused(x) and torch.is_grad_enabled():
        y = F.conv2d(x, w, None, **k)
        if y.is_contiguous(memory_format=torch.channels_last):
            return AddVec.apply(y, b[None] if temb is None else temb + b)
        y = y + b.view(1, -1, 1, 1)
    else:
        y = F.conv2d(x, w, b, **k)
    if temb is None:
        return y
    B, C = y.shape[:2]
    return y + temb.view(B, -1, C).transpose(1, 2)[..., None]  # frames are the third axis, or the batch


def group_norm(x: Tensor, norm: nn.GroupNorm, act: bool = True) -> Tensor:
    """Apply GroupNorm, then SiLU if `act`."""
    if fused(x):
        return GNAct.apply(x, norm.weight, norm.bias, norm.num_groups, norm.eps, act)
    y = F.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)
    return F.silu(y) if act else y


def layer_norm(m: nn.LayerNorm, x: Tensor) -> Tensor:
    """Apply LayerNorm."""
    if fused(x) and x.shape[-1] & (x.shape[-1] - 1) == 0:
        return LNFn.apply(x, m.weight, m.bias, m.eps)
    return m(x)


def feed_forward(m: nn.Module, x: Tensor) -> Tensor:
    """Apply diffusers' FeedForward with GEGLU."""
    h = linear(m.net[0].proj, x)
    if fused(x):
        h = GEGLUFn.apply(h)
    else:
        a, b = h.chunk(2, -1)
        h = a * F.gelu(b)
    return linear(m.net[2], h)


def self_attention(m: nn.Module, x: Tensor) -> Tensor:
    """Apply self-attention to x [n,s,c]."""
    N, S, C = x.shape
    qkv = F.linear(x, torch.cat([m.to_q.weight, m.to_k.weight, m.to_v.weight])).view(N, S, 3, m.heads, -1)
    if fused(x) and S <= 16 and qkv.shape[-1] == 32:
        return linear(m.to_out[0], ShortAttention.apply(qkv))
    q, k, v = (qkv[:, :, i].transpose(1, 2) for i in range(3))
    return linear(m.to_out[0], F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(N, S, -1))


def token_attention(m: nn.Module, ctx: Tensor) -> Tensor:
    """Apply cross-attention to one token, which is the same for every query."""
    return m.to_out[0](m.to_v(ctx))


def resnet2d(self: nn.Module, x: Tensor, temb: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
    """Replace ResnetBlock2D.forward."""
    e = None if temb is None or self.time_emb_proj is None else self.time_emb_proj(F.silu(temb))
    h = conv(group_norm(x, self.norm1), self.conv1.weight, self.conv1.bias, e, padding=1)
    h = conv(group_norm(h, self.norm2), self.conv2.weight, self.conv2.bias, padding=1)
    return (x if self.conv_shortcut is None else conv(x, self.conv_shortcut.weight, self.conv_shortcut.bias)) + h


def resnet_st(
    self: nn.Module, x: Tensor, temb: Tensor | None = None, image_only_indicator: Tensor | None = None
) -> Tensor:
    """Replace SpatioTemporalResBlock.forward."""
    T = image_only_indicator.shape[-1]
    s = self.spatial_res_block(x, temb)
    BT, C, H, W = s.shape
    t = self.temporal_res_block
    v = s.permute(0, 2, 3, 1).reshape(BT // T, T, H * W, C).permute(0, 3, 1, 2)  # [B,C,T,H*W], channels last in memory
    e = None if temb is None or t.time_emb_proj is None else t.time_emb_proj(F.silu(temb))
    h = conv(group_norm(v, t.norm1), t.conv1.weight[..., 0], t.conv1.bias, e, padding=(1, 0))
    h = conv(group_norm(h, t.norm2), t.conv2.weight[..., 0], t.conv2.bias, padding=(1, 0))
    a = torch.sigmoid(self.time_mixer.mix_factor)
    y = torch.addcmul(v, h, (a if self.time_mixer.switch_spatial_to_temporal_mix else 1 - a).view(1, 1, 1, 1))
    return y.permute(0, 2, 3, 1).reshape(BT, H, W, C).permute(0, 3, 1, 2)


def transformer_st(
    self: nn.Module,
    x: Tensor,
    encoder_hidden_states: Tensor | None = None,
    image_only_indicator: Tensor | None = None,
    return_dict: bool = True,
) -> Any:
    """Replace TransformerSpatioTemporalModel.forward."""
    BT, C, H, W = x.shape
    T = image_only_indicator.shape[-1]
    B, S = BT // T, H * W
    ctx = encoder_hidden_states
    assert ctx.shape[1] == 1
    h = linear(self.proj_in, group_norm(x, self.norm, False).permute(0, 2, 3, 1).reshape(BT, S, C))
    emb = self.time_pos_embed(self.time_proj(torch.arange(T, device=x.device)).to(h.dtype))
    for b, t in zip(self.transformer_blocks, self.temporal_transformer_blocks, strict=True):
        h = self_attention(b.attn1, layer_norm(b.norm1, h)) + h
        h = h + token_attention(b.attn2, ctx)
        h = feed_forward(b.ff, layer_norm(b.norm3, h)) + h
        g = (h.view(B, T, S, -1) + emb[None, :, None]).transpose(1, 2).reshape(B * S, T, -1)
        g = feed_forward(t.ff_in, layer_norm(t.norm_in, g)) + g
        g = self_attention(t.attn1, layer_norm(t.norm1, g)) + g
        g = g.view(B, S * T, -1) + token_attention(t.attn2, ctx.view(B, T, 1, -1)[:, 0])
        g = g.view(B * S, T, -1)
        g = feed_forward(t.ff, layer_norm(t.norm3, g)) + g
        g = g.view(B, S, T, -1).transpose(1, 2)
        h = torch.lerp(
            g, h.view(B, T, S, -1), torch.sigmoid(self.time_mixer.mix_factor).view(1, 1, 1, 1).expand(1, 1, 1, 1)
        ).reshape(BT, S, -1)
    y = linear(self.proj_out, h).view(BT, H, W, C).permute(0, 3, 1, 2) + x
    return (y,) if not return_dict else type("Output", (), dict(sample=y))


def upsample(self: nn.Module, x: Tensor, output_size: Any = None, *_: Any, **__: Any) -> Tensor:
    """Replace Upsample2D.forward."""
    size = dict(scale_factor=2.0) if output_size is None else dict(size=output_size)
    x = F.interpolate(x, **size, mode="nearest")
    return conv(x, self.conv.weight, self.conv.bias, padding=1)


def rewrite(model: Model) -> Model:
    """Rebind the blocks of a diffusers VAE or UNet; returns the model, which is called as before."""
    from diffusers.models.resnet import ResnetBlock2D, SpatioTemporalResBlock, Upsample2D
    from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel

    table = {ResnetBlock2D: resnet2d, SpatioTemporalResBlock: resnet_st, TransformerSpatioTemporalModel: transformer_st}
    for m in model.modules():
        if type(m) in table:
            m.forward = MethodType(table[type(m)], m)
        elif type(m) is Upsample2D and m.use_conv and m.interpolate and m.norm is None:
            m.forward = MethodType(upsample, m)
        if isinstance(m, nn.Conv2d):
            m.weight.data = m.weight.data.contiguous(memory_format=torch.channels_last)
    return model
