"""The blocks of SVD's UNet and decoder rewritten: the same function of the same weights, in fewer passes over memory.

Each function here replaces a diffusers block's `forward`; weights, names and files stay as they are. Compared with
[diffusers SpatioTemporalResBlock, TransformerSpatioTemporalModel]:

1. Channels last throughout: attention, linear layers and convolutions over time all read rows of channels, so nothing is
   transposed or copied between them.
2. A convolution over time, kernel (3, 1, 1), runs as a two-dimensional one, (3, 1), over [batch, C, frames, H * W].
3. Bias, time embedding, residual and the blend of space and time move into the norm or the sum that follows (`fused_ops`).
4. Queries, keys and values in one product; attention over time without moving the tokens (`fused_ops.time_attention`).
5. One image token: softmax over one key is 1, so cross-attention is to_out(to_v(token)) whatever the query is.

They are valid for a video (image_only_indicator all zero, as AutoencoderKLTemporalDecoder and the pipeline always pass) without
autograd, and for modules that pass `fits`.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svd_lab.performance import fused_ops
from svd_lab.performance.fused_ops import add_norm, combine, geglu, norm_act, time_attention


def token(attention: Any, context: Tensor) -> Tensor:
    """Return cross-attention to one token: context [N, C'] -> [N, C]."""
    return attention.to_out[0](attention.to_v(context))


def resnet(self: Any, x: Tensor, temb: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
    """Compute ResnetBlock2D.forward; x: map of N, temb: [N, C'] or None."""
    h, v = _conv(norm_act(x, self.norm1), self.conv1.weight, self.conv1.bias, padding=1)
    h, bias = _conv(norm_act(h, self.norm2, _with_time(self, v, temb)), self.conv2.weight, self.conv2.bias, padding=1)
    if self.conv_shortcut is not None:
        x, more = _conv(x, self.conv_shortcut.weight, self.conv_shortcut.bias)
        bias = _sum(bias, more)
    return combine(h, x, bias)


def video_resnet(
    self: Any, hidden_states: Tensor, temb: Tensor | None = None, image_only_indicator: Tensor | None = None
) -> Tensor:
    """Compute SpatioTemporalResBlock.forward; hidden_states: map of batch * frames, image_only_indicator: zeros [batch, frames]."""
    frames = image_only_indicator.shape[-1]
    s = resnet(self.spatial_res_block, hidden_states, temb)
    block = self.temporal_res_block
    h, v = _over_time(norm_act(s, block.norm1, per=frames), block.conv1, frames)
    h, v = _over_time(norm_act(h, block.norm2, _with_time(block, v, temb), per=frames), block.conv2, frames)
    mixer = self.time_mixer
    return combine(h, s, v, s, mixer.mix_factor, mixer.switch_spatial_to_temporal_mix)


def video_transformer(
    self: Any,
    hidden_states: Tensor,
    encoder_hidden_states: Tensor | None = None,
    image_only_indicator: Tensor | None = None,
    return_dict: bool = True,
) -> Any:
    """Compute TransformerSpatioTemporalModel.forward; hidden_states: map of N, encoder_hidden_states: [N, 1, C']."""
    n, channels, height, width = hidden_states.shape
    frames, places = image_only_indicator.shape[-1], height * width
    context = encoder_hidden_states[:, 0]
    first = context.unflatten(0, (-1, frames))[:, 0]  # over time a batch has one token, its first frame's
    h = self.proj_in(_rows(norm_act(hidden_states, self.norm, act=False)))
    numbers = torch.arange(frames, device=h.device)
    v = self.time_pos_embed(self.time_proj(numbers).to(h.dtype)).repeat(n // frames, 1)
    for space, time in zip(self.transformer_blocks, self.temporal_transformer_blocks, strict=True):
        _, z = add_norm(space.norm1, h)
        h, z = add_norm(space.norm3, _attention(space.attn1, z), h, token(space.attn2, context), places)
        s, z = add_norm(time.norm_in, _feed_forward(space, space.ff, z), h, v, places, keep_v=False)
        g, z = add_norm(time.norm1, _feed_forward(time, time.ff_in, z), s, v, places)
        z = time.attn1.to_out[0](time_attention(_projected(time.attn1, z), frames, time.attn1.heads))
        g, z = add_norm(time.norm3, z, g, token(time.attn2, first), frames * places)
        h = combine(_feed_forward(time, time.ff, z), g, s=s, mix=self.time_mixer.mix_factor)
    y = self.proj_out(h).view(n, height, width, channels).permute(0, 3, 1, 2)
    y = combine(y, hidden_states)
    if not return_dict:
        return (y,)
    from diffusers.models.transformers.transformer_temporal import TransformerTemporalModelOutput

    return TransformerTemporalModelOutput(sample=y)


def last_norm(self: nn.GroupNorm, x: Tensor) -> Tensor:
    """Compute conv_norm_out with the SiLU of conv_act, which becomes `identity`."""
    return norm_act(x, self)


def identity(self: nn.Module, x: Tensor) -> Tensor:
    """Replace conv_act after `last_norm`."""
    return x


def fits(module: nn.Module) -> bool:
    """Return whether a SpatioTemporalResBlock or TransformerSpatioTemporalModel is built as SVD's are, as this module assumes."""
    mixer = getattr(module, "time_mixer", None)
    if mixer is None or mixer.merge_strategy == "fixed":
        return False
    norms = [part for part in module.modules() if isinstance(part, nn.GroupNorm | nn.LayerNorm)]
    if any(norm.weight is None or norm.bias is None for norm in norms):
        return False
    kinds = [part for part in module.modules() if not list(part.children())]
    if any(type(part).__module__.startswith("peft") for part in module.modules()):
        return False  # an adapter's own forward would be skipped
    if hasattr(module, "spatial_res_block"):
        block, later = module.spatial_res_block, module.temporal_res_block
        plain = block.upsample is None and block.downsample is None and block.time_embedding_norm == "default"
        silu = all(isinstance(part.nonlinearity, nn.SiLU) for part in (block, later))
        no_drop = all(part.p == 0 for part in kinds if isinstance(part, nn.Dropout))
        return plain and silu and no_drop and block.output_scale_factor == 1 and later.conv_shortcut is None
    attentions = [
        getattr(block, name)
        for block in (*module.transformer_blocks, *module.temporal_transformer_blocks)
        for name in ("attn1", "attn2")
    ]
    from diffusers.models.attention_processor import AttnProcessor2_0

    return (
        all(block.norm_type == "layer_norm" and not block.only_cross_attention for block in module.transformer_blocks)
        and all(block.pos_embed is None for block in module.transformer_blocks)
        and all(block.is_res for block in module.temporal_transformer_blocks)
        and all(attention is not None and type(attention.processor) is AttnProcessor2_0 for attention in attentions)
        and all(attention.to_q.bias is None and attention.norm_q is None for attention in attentions)
        and all(attention.rescale_output_factor == 1 and not attention.residual_connection for attention in attentions)
    )


def _rows(x: Tensor) -> Tensor:
    """Map -> rows; a view, since the map is channels last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _conv(x: Tensor, weight: Tensor, bias: Tensor | None, padding: Any = 0) -> tuple[Tensor, Tensor | None]:
    """Convolve a map; return the result and the bias still to be added, [1, C] or None: the next kernel adds it at no cost. Without
    kernels, on a CPU, the convolution adds it."""
    later = bias is not None and fused_ops.fused(x)
    return F.conv2d(x, weight, None if later else bias, padding=padding), bias[None] if later else None


def _over_time(x: Tensor, conv: Any, frames: int) -> tuple[Tensor, Tensor | None]:
    """Convolve with (3, 1, 1) over the frames of each batch, as `_conv` does. x: map of batch * frames."""
    n, _, height, width = x.shape
    x = _rows(x).unflatten(0, (-1, frames)).permute(0, 3, 1, 2)  # [batch, C, frames, H * W]
    y, bias = _conv(x, conv.weight[..., 0], conv.bias, padding=(1, 0))
    return y.permute(0, 2, 3, 1).reshape(n, height, width, -1).permute(0, 3, 1, 2), bias


def _with_time(block: Any, v: Tensor | None, temb: Tensor | None) -> Tensor | None:
    """Add a block's projection of the time embedding [N, C'] to v, if it has one."""
    if temb is None or block.time_emb_proj is None:
        return v
    return _sum(block.time_emb_proj(F.silu(temb)), v)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return a if b is None else b if a is None else a + b


def _projected(attention: Any, x: Tensor) -> Tensor:
    """Rows -> [..., 3C]: queries, keys, values. The weights are concatenated each time (20 MB at most, a few microseconds), so that
    they still move and save as the model's own."""
    return F.linear(x, torch.cat([attention.to_q.weight, attention.to_k.weight, attention.to_v.weight]))


def _attention(attention: Any, x: Tensor) -> Tensor:
    """Self-attention over the positions of each frame; x: rows."""
    n, places, channels = x.shape
    qkv = _projected(attention, x).view(n, places, 3, attention.heads, channels // attention.heads)
    q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
    y = F.scaled_dot_product_attention(q, k, v)
    return attention.to_out[0](y.transpose(1, 2).reshape(n, places, channels))


def _feed_forward(block: Any, layers: Any, x: Tensor) -> Tensor:
    """Linear, GEGLU, linear; in as many pieces as diffusers would use after enable_forward_chunking."""
    if block._chunk_size is None:
        return layers.net[2](geglu(layers.net[0].proj(x)))
    pieces = x.split(max(1, block._chunk_size), dim=0)
    return torch.cat([layers.net[2](geglu(layers.net[0].proj(piece))) for piece in pieces])
