# %% [markdown] lang="ko" id="title"
# # 1. Stable Video Diffusion 파이프라인
#
# 그림 한 장을 주면 그 그림에서 시작하는 짧은 영상이 나와요. 이 노트북(notebook)에서는 먼저 로켓 그림으로 영상을 하나 만들고, 그다음에 뚜껑을 열어
# 안에서 무슨 일이 일어나는지 하나씩 확인해요. 마지막에는 같은 영상을 diffusers 코드 몇 줄로 다시 만들어서, 픽셀 하나까지 똑같은지 재 봐요.
#
# ![이 패키지의 미니가 움직인 그림 여섯 장](../../docs/demo.gif)
#
# | | |
# |---|---|
# | 만들 것 | 영상 `rocket.mp4`, 잡음에서 영상이 떠오르는 과정을 담은 그림 `noise_to_video.jpg` |
# | 필요한 것 | `svd-lab` 설치. GPU, 계정, 네트워크는 없어도 돼요 |
# | 걸리는 시간 | 미니로 CPU 코어 하나에서 약 40초(잰 값). 진짜 모델은 H100 GPU에서 영상 하나에 약 4초와 불러오는 시간. 이번에 걸린 시간은 마지막 셀이 알려 줘요 |
#
# GPU가 없으면 패키지에 든 **미니**(mini)가 돌아가요. 진짜와 똑같은 클래스로 만들었지만 크기는 백 분의 일쯤이라, 원리를 배우기에는 충분하고 멋진 영상을
# 뽑기에는 모자라요. GPU가 있으면 같은 코드가 진짜 모델로 돌아가요.

# %% [markdown] lang="en" id="title"
# # 1. The Stable Video Diffusion pipeline
#
# Give it one picture, and it gives back a short video that starts from that picture. In this notebook we first make a video of a
# rocket. Then we open the lid and look at what happens inside, piece by piece. At the end we make the same video again with a few
# lines of plain diffusers, and measure that it is the same to the last pixel.
#
# ![Six pictures set in motion by the mini of this package](../../docs/demo.gif)
#
# | | |
# |---|---|
# | You make | a video, `rocket.mp4`, and a picture of a video rising out of noise, `noise_to_video.jpg` |
# | You need | `svd-lab` installed; no GPU, no account, no network |
# | It takes | with the mini about 40 seconds on one CPU core (measured); with the real model about 4 seconds a video on an H100 GPU, and the loading. The last cell says how long it took this time |
#
# Without a GPU this runs the **mini** that lies in the package. It is made of exactly the classes of the real model at about a
# hundredth of its size: enough to learn how things work, too little for beautiful videos. With a GPU the same code runs the real
# model.

# %% tags=["parameters"] id="parameters"
model: str = "auto"  # ko| 모델: auto(GPU가 있으면 svd, 없으면 mini), mini, svd, 폴더, Hub ID # en| auto (svd on a GPU, else mini), mini, svd, a folder or a Hub id
seed: int = 42  # ko| 시드: 0~4294967295, -1이면 무작위로 뽑음 # en| 0 to 4294967295; -1 draws one
picture: str = "rocket"  # ko| 들어 있는 그림(ball, balloon, boat, car, rabbit, rocket), 파일 경로, 웹 주소 # en| bundled (ball, balloon, boat, car, rabbit, rocket), a path or an address
num_frames: int = 10  # ko| 만들 프레임 수, 2 이상 # en| frames to make, at least 2
num_inference_steps: int = 10  # ko| 잡음을 걷어 내는 횟수, 1 이상 # en| denoising steps, at least 1
out_dir: str = "out/01_pipeline"  # ko| 결과를 담을 폴더 # en| folder for the results

# %% [markdown] lang="ko" id="check-text"
# 위 셀의 값을 바꾸면 이 노트북 전체가 그 값으로 돌아가요. 이런 값을 매개변수(parameter)라고 해요. 아래 셀은 값이 알맞은지부터 확인하고, 잘못된 값이면
# 무엇이 왜 잘못됐는지 몇 초 안에 알려 줘요. 결과는 모두 `out_dir` 폴더 안에만 써요.

# %% [markdown] lang="en" id="check-text"
# Change a value in the cell above, and the whole notebook runs with it. Such values are called parameters. The next cell checks
# them first: for a wrong one it says within seconds what is wrong and why. Everything is written into the folder `out_dir` and
# nowhere else.

# %% id="check"
from svd_lab.lesson import PICTURES, finish_lesson, progress, start_lesson

lesson = start_lesson(
    "01_pipeline",
    model=model,
    seed=seed,
    picture=picture,
    num_frames=num_frames,
    num_inference_steps=num_inference_steps,
    out_dir=out_dir,
)
seed, out_dir = lesson.seed, lesson.out_dir

# %% [markdown] lang="ko" id="about"
# ## Stable Video Diffusion이란
#
# **Stable Video Diffusion**(SVD)은 그림 한 장에서 2~4초짜리 576×1024 영상을 만드는 모델이에요. 2023년 논문
# [Stable Video Diffusion: Scaling Latent Video Diffusion Models to Large Datasets](https://arxiv.org/abs/2311.15127)에서 나왔고,
# 글에서 그림을 만드는 [Stable Diffusion](https://github.com/CompVis/stable-diffusion)을 바탕으로 해요. 그림을 그릴 줄 아는 모델에 시간을 가르친 셈이에요.
#
# 이 모델은 **비디오 확산 모델**(video diffusion model)이에요. 아무 뜻 없는 잡음(noise)에서 시작해 잡음을 조금씩 걷어 내면서 영상을 드러내요.
# 정말 그런지는 아래에서 눈으로 볼 거예요.
#
# 먼저 도구를 가져와요. `diffusers`는 확산 모델을 모아 둔 라이브러리, `torch`는 계산을 맡는 라이브러리예요.

# %% [markdown] lang="en" id="about"
# ## What Stable Video Diffusion is
#
# **Stable Video Diffusion** (SVD) makes a video of 2 to 4 seconds, 576×1024 pixels, from a single picture. It comes from the paper
# [Stable Video Diffusion: Scaling Latent Video Diffusion Models to Large Datasets](https://arxiv.org/abs/2311.15127) of 2023, and
# builds on [Stable Diffusion](https://github.com/CompVis/stable-diffusion), which makes a picture from text. A model that could
# draw was taught time.
#
# It is a **video diffusion model**: it begins with meaningless noise and takes the noise away little by little, until a video
# is left. Whether that is so, we will see with our own eyes below.
#
# First the tools. `diffusers` is a library of diffusion models; `torch` does the computing.

# %% id="imports"
import numpy as np
import torch
from PIL import Image, ImageOps

from svd_lab import Clip, generate_video, load_video_pipeline, open_image
from svd_lab.lesson.figures import grid, line_plot, show
from svd_lab.pipe_facts import native_size

# %% [markdown] lang="ko" id="load-text"
# **파이프라인**(pipeline)은 모델 여러 개를 순서대로 이어 놓은 것이에요. `load_video_pipeline`은 이 컴퓨터에 맞는 모델을 골라서 불러오고, 무엇을
# 왜 골랐는지 한 줄로 말해 줘요.

# %% [markdown] lang="en" id="load-text"
# A **pipeline** is several models joined in the right order. `load_video_pipeline` picks the model that suits this computer, loads
# it, and says in one line what it took and why.

# %% tags=["nbval-check-output"] id="load"
# ko| speed="exact": GPU에서도 diffusers와 픽셀 하나까지 같게. 빼면 반올림만큼 다르고 두 배 빨라요.
# en| speed="exact": diffusers' pixels on a GPU, too. Without it: twice as fast, different by rounding.
pipe = load_video_pipeline(lesson.model, speed="exact")
# ko| 계산하는 곳이에요. GPU가 작으면 가중치는 CPU에서 차례를 기다리고, 그때 pipe.device는 CPU예요.
# en| Where it computes. A small GPU's weights wait on the CPU, and then that is pipe.device.
device = pipe._execution_device
width, height = native_size(pipe)

# %% [markdown] lang="ko" id="first-text"
# ## 먼저 만들어 봐요
#
# 그림을 모델이 배운 크기에 맞춘 다음(비율은 그대로 두고 남는 쪽을 잘라요) 영상을 만들어요. 첫 프레임(frame)은 준 그림이고, 나머지는 모델이 상상한 거예요.

# %% [markdown] lang="en" id="first-text"
# ## First, make one
#
# We bring the picture to the size that the model has learnt (proportions stay, what sticks out is cut), and make a video. The
# first frame is the given picture; the others are what the model imagines.

# %% id="first"
image = open_image(lesson.picture, size=(width, height))
image.save(out_dir / "picture.png")
show(grid([image], width=448))

clip = generate_video(
    image,
    out_dir / "rocket.mp4",
    seed=seed,
    pipe=pipe,
    num_frames=num_frames,
    num_inference_steps=num_inference_steps,
    on_step=progress("rocket.mp4"),
)
clip

# %% id="first-sheet"
show(clip.contact_sheet())

# %% [markdown] lang="ko" id="parts-text"
# 미니로 만들었다면 뒤로 갈수록 모양이 조금씩 물러져요. 작은 모델의 한계예요. 그래도 로켓이 기운 쪽으로 솟아오르는 건 모델이 스스로 알아낸 거예요. 어디로
# 움직이라고 말해 준 적은 없으니까요.
#
# ## 안에 든 세 부품
#
# 파이프라인 안에는 신경망(neural network)이 세 개 있어요. 숫자 몇 개로 이루어졌는지 세어 볼게요.

# %% [markdown] lang="en" id="parts-text"
# If the mini made it, shapes go a little soft towards the end: that is the limit of a small model. Still, that the rocket climbs the way it
# leans is the model's own finding. Nobody told it which way to go.
#
# ## The three parts inside
#
# There are three neural networks in the pipeline. Let us count the numbers that they are made of.

# %% tags=["nbval-check-output"] id="parts"
millions = {}
for name in ("vae", "image_encoder", "unet"):
    part = getattr(pipe, name)
    millions[name] = sum(p.numel() for p in part.parameters()) / 1e6
    print(f"{name:14} {type(part).__name__:36} {millions[name]:8.1f} M")

# %% [markdown] lang="ko" id="vae-text"
# | 부품 | 하는 일 |
# |---|---|
# | `vae`, 변분 오토인코더(variational autoencoder, VAE) | 그림을 작은 숫자 묶음으로 줄이고, 다시 그림으로 펼쳐요 |
# | `image_encoder`, CLIP | 그림에 무엇이 있는지를 벡터(vector) 하나로 요약해요 |
# | `unet`, 유넷(UNet) | 잡음 섞인 영상을 보고 잡음이 아닌 부분을 짐작해요. 시간을 아는 부품이에요 |
#
# 영상을 만드는 계산은 픽셀이 아니라 VAE가 줄인 숫자들, 곧 **잠재값**(latent) 위에서 해요. 그래서 훨씬 빨라요. 그림을 줄였다가 다시 펼쳐 볼게요.

# %% [markdown] lang="en" id="vae-text"
# | part | what it does |
# |---|---|
# | `vae`, a variational autoencoder (VAE) | shrinks a picture to a few numbers, and unfolds them into a picture again |
# | `image_encoder`, CLIP | sums up what is in the picture as one vector |
# | `unet`, a UNet | looks at a noisy video and guesses what in it is not noise; the part that knows about time |
#
# Videos are computed not on pixels but on what the VAE shrinks them to, the **latents**. That is much faster. Let us shrink a
# picture and unfold it again.

# %% id="vae"
vae, dtype = pipe.vae, pipe.vae.dtype
if vae.config.force_upcast:
    vae.to(torch.float32)  # ko| 진짜 모델의 VAE는 16비트 숫자(float16)로는 넘쳐요 # en| the real model's VAE overflows in 16 bits (float16)
pixels = pipe.video_processor.preprocess(image, height=height, width=width).to(device, vae.dtype)
with torch.no_grad():
    code = vae.encode(pixels).latent_dist.mode()  # ko| 그림 → 잠재값 # en| picture → latents
    again = vae.decode(code, num_frames=1).sample  # ko| 잠재값 → 그림 # en| latents → picture
unfolded = pipe.video_processor.postprocess(again.float())[0]
if vae.config.force_upcast:
    vae.to(dtype)


def psnr(a, b):
    # ko| 두 그림이 얼마나 닮았는지(dB). 클수록 닮았고, 30이면 작은 그림에서는 거의 구별이 안 돼요.
    # en| How alike two pictures are, in dB. More is closer; 30 is hard to tell apart in a small picture.
    error = np.mean((np.asarray(a, dtype=float) - np.asarray(b, dtype=float)) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-10))


vae_psnr = psnr(image, unfolded)
print("pixels ", tuple(pixels.shape), pixels.numel(), "numbers")
print("latents", tuple(code.shape), code.numel(), "numbers, 1 /", pixels.numel() // code.numel())
show(grid([image, unfolded], ["picture", f"picture > latents > picture, {vae_psnr:.1f} dB"]))

# %% [markdown] lang="ko" id="latents-text"
# 잠재값은 가로세로가 8분의 1인 작은 그림 여러 장처럼 생겼어요. 한 칸이 8×8픽셀을 대신해요(미니는 한 칸에 숫자 8개, 진짜 SVD는 4개). 채널(channel)마다 그려
# 보면 무엇이 어디에 있는지가 그대로 남아 있어요.

# %% [markdown] lang="en" id="latents-text"
# Latents look like a few small pictures, an eighth as wide and high. One cell stands for 8×8 pixels (with 8 numbers in the mini,
# 4 in the real SVD). Drawn channel by channel, one sees that what is where has been kept.

# %% id="latents"
channels = []
for channel in code[0].cpu():
    grey = (channel - channel.min()) / (channel.max() - channel.min()) * 255
    channels.append(Image.fromarray(grey.numpy().astype(np.uint8)))
show(grid(channels, [f"channel {i}" for i in range(len(channels))], columns=4))

# %% [markdown] lang="ko" id="clip-text"
# **CLIP**은 그림 전체를 벡터 하나로 바꿔요. 비슷한 그림은 비슷한 방향의 벡터가 되죠. 두 벡터의 방향이 같으면 코사인 유사도(cosine similarity)가 1이에요.
# 준 그림을 어둡게 한 것, 뒤집은 것, 그리고 다른 그림들과 견줘 볼게요.

# %% [markdown] lang="en" id="clip-text"
# **CLIP** turns a whole picture into one vector. Similar pictures become vectors that point in similar directions; the same
# direction has a cosine similarity of 1. We compare the picture with a darker one, its mirror image, and other pictures.

# %% id="clip"
others = {"darker": image.point(lambda value: value * 0.7), "mirrored": ImageOps.mirror(image)}
for name, path in PICTURES.items():
    if name != lesson.given["picture"]:
        others[name] = open_image(path, size=(width, height))


def embed(one):
    # ko| 파이프라인이 쓰는 방법 그대로: 224×224로 줄여서 CLIP에 보여 줘요.
    # en| Just as the pipeline does it: shrink to 224×224 and show it to CLIP.
    with torch.no_grad():
        return pipe._encode_image(one, device, 1, False).flatten().float()


mine = embed(image)
alike = {}
for name, other in others.items():
    alike[name] = torch.cosine_similarity(mine, embed(other), dim=0).item()
print("vector of", len(mine), "numbers")
show(grid(list(others.values()), [f"{name} {value:.2f}" for name, value in alike.items()], columns=4))

# %% [markdown] lang="ko" id="unet-text"
# 어둡게만 한 그림은 1에 가깝고, 다른 물건이 든 그림은 훨씬 낮아요. 같은 로켓인데도 뒤집은 그림은 다른 물건만큼 낮아요. 미니의 CLIP은 무엇이 어느 쪽으로 움직일지만
# 배웠거든요. 미니에게 반대로 날아갈 로켓은 다른 답이에요. **유넷**은 이 벡터를 보고 무엇이 움직여야 하는지 알게 돼요. 유넷이 받는 것은 네 가지예요.
#
# - 잡음 섞인 영상의 잠재값과, 그 옆에 나란히 놓은 **준 그림의 잠재값**(그래서 입력 채널이 두 배)
# - CLIP 벡터
# - 잡음이 지금 얼마나 섞였는지
# - 초당 프레임 수 `fps`, 움직임의 크기 `motion_bucket_id`, 그림에 더한 잡음 `noise_aug_strength`. 2강에서 하나씩 돌려 볼 손잡이들이에요.
#
# 그림 모델과 다른 점은 **시간**이에요. 정말 프레임끼리 서로를 볼까요? 가운데 프레임 하나만 바꾸고 유넷의 답이 어느 프레임에서 달라지는지 재 볼게요. 프레임을
# 하나씩 따로 그리는 모델이라면 가운데 말고는 0이어야 해요.

# %% [markdown] lang="en" id="unet-text"
# A darker picture of the same thing stays close to 1; pictures of other things score much lower. The mirror image is the same rocket
# and yet as low as another thing: all that the mini's CLIP has learnt is how something will move and which way, and a rocket that
# will fly the other way is another answer. From this vector the **UNet** learns what there is to move. The UNet is given four things:
#
# - the latents of the noisy video, and beside them **the latents of the given picture** (hence twice the channels)
# - CLIP's vector
# - how much noise there is now
# - frames a second `fps`, how much should move `motion_bucket_id`, and the noise added to the picture `noise_aug_strength`: the
#   knobs that lesson 2 turns one by one.
#
# What sets it apart from a picture model is **time**. Do the frames really look at each other? We change a single frame in the
# middle and measure in which frames the UNet's answer changes. For a model that draws each frame by itself it would be 0
# everywhere else.

# %% id="unet"
unet = pipe.unet
generator = torch.Generator().manual_seed(seed)
rows, columns = height // pipe.vae_scale_factor, width // pipe.vae_scale_factor
shape = (1, num_frames, unet.config.in_channels, rows, columns)
inputs = torch.randn(shape, generator=generator).to(device, unet.dtype)
changed = inputs.clone()
middle = num_frames // 2
changed[:, middle] += 1

conditions = dict(
    encoder_hidden_states=mine.reshape(1, 1, -1).to(unet.dtype),
    added_time_ids=torch.tensor([[7 - 1, 127, 0.02]], device=device, dtype=unet.dtype),
)
with torch.no_grad():
    answer, other = (unet(one, 0.0, **conditions).sample for one in (inputs, changed))
difference = (other - answer).abs()
by_frame = difference.float().mean((0, 2, 3, 4)).tolist()
print("input ", tuple(shape), "= [video, frames, channels, height, width]")
print("output", tuple(difference.shape))
changes = {"change of the output": by_frame}
show(line_plot(range(num_frames), changes, f"frame (only frame {middle} was changed)"))

# %% [markdown] lang="ko" id="noise-text"
# 하나만 바꿨는데 모든 프레임의 답이 달라졌어요. 유넷 안의 시간 층(temporal layer)이 프레임끼리 이야기하게 해 주기 때문이에요. 그래서 로켓이 프레임마다 제멋대로
# 뛰지 않고 이어서 날아가요.
#
# ## 잡음에서 영상으로
#
# 이제 잡음이 영상이 되는 과정을 볼게요. 파이프라인은 단계마다 `callback_on_step_end`에 준 함수를 불러 줘요. 그때그때의 잠재값을 모아 둬요.

# %% [markdown] lang="en" id="noise-text"
# One frame was changed, and the answer changed in all of them. The temporal layers in the UNet let the frames talk to each other.
# That is why the rocket does not jump about but flies on from frame to frame.
#
# ## From noise to video
#
# Now we watch noise become a video. After every step the pipeline calls the function given as `callback_on_step_end`. We collect
# the latents of each moment.

# %% id="noise"
trail = []


def keep(pipe, step, timestep, tensors):
    trail.append(tensors["latents"].clone())
    return tensors  # ko| 돌려주지 않으면 파이프라인이 멈춰요 # en| without this the pipeline fails


generator = torch.Generator().manual_seed(seed)
torch.randn(1, 3, height, width, generator=generator)  # ko| 그림에 더할 잡음이 먼저 뽑혀요 # en| the picture's noise is drawn first
noise_shape = (1, num_frames, code.shape[1], *code.shape[2:])
noise = torch.randn(noise_shape, generator=generator, dtype=unet.dtype).to(device)

pipe.set_progress_bar_config(disable=True)
pipe(
    image,
    height=height,
    width=width,
    num_frames=num_frames,
    num_inference_steps=num_inference_steps,
    generator=torch.Generator().manual_seed(seed),
    latents=noise,
    callback_on_step_end=keep,
    output_type="latent",  # ko| 그림으로 펼치는 건 아래에서 직접 해요 # en| we unfold into pictures ourselves, below
)
trail.insert(0, noise * pipe.scheduler.init_noise_sigma)
print("moments", len(trail), "of latents", tuple(noise.shape))

# %% [markdown] lang="ko" id="guess-text"
# 이제 몇 단계를 골라 마지막 프레임만 그림으로 펼쳐요. 윗줄은 그 단계를 마친 뒤의 잠재값이고, 아랫줄은 그 단계에서 모델이 **마지막 모습일 거라고 짐작한 것**이에요.

# %% [markdown] lang="en" id="guess-text"
# Now we pick some steps and unfold the last frame only. The upper row is what the latents were after that step; the lower row is
# what the model, in that step, **guessed the end would look like**.

# %% id="guesses"
sigmas = pipe.scheduler.sigmas.tolist()  # ko| 단계마다 잡음의 크기, 마지막은 0 # en| the size of the noise at each step; the last is 0


def unfold(latents):
    # ko| 마지막 프레임만 그림으로 펼쳐요.
    # en| Unfold the last frame only.
    with torch.no_grad():
        sample = pipe.vae.decode(latents[0, -1:] / pipe.vae.config.scaling_factor, num_frames=1).sample
    return pipe.video_processor.postprocess(sample.float())[0]


upper, lower, labels = [], [], []
for step in sorted({1, 3, 5, 7, 10, num_inference_steps}):
    if step > num_inference_steps:
        continue
    before, after = trail[step - 1].float(), trail[step].float()
    sigma, next_sigma = sigmas[step - 1], sigmas[step]
    # ko| 오일러 방법(Euler method)은 짐작을 향해 곧게 나아가요. 그러니 두 점을 이으면 짐작이 나와요.
    # en| Euler's method goes straight towards the guess, so two points of the way give the guess away.
    guess = before - sigma * (after - before) / (next_sigma - sigma)
    upper.append(unfold((after / (next_sigma**2 + 1) ** 0.5).to(pipe.vae.dtype)))
    lower.append(unfold(guess.to(pipe.vae.dtype)))
    labels.append(f"step {step}, sigma {next_sigma:.3g}")

guesses = [f"guess, {psnr(one, lower[-1]):.0f} dB" for one in lower[:-1]] + ["guess = the end"]
page = grid(upper + lower, labels + guesses, columns=len(upper))
page.save(out_dir / "noise_to_video.jpg", quality=90)
show(page)

# %% [markdown] lang="ko" id="recipe-text"
# `sigma`는 남은 잡음의 크기예요. 윗줄은 오랫동안 잡음뿐인데, 아랫줄의 짐작은 첫 단계부터 큰 덩어리를 잡고 갈수록 또렷해져요. dB는 마지막 모습과 얼마나
# 닮았는지예요. 큰 모양과 움직임은 잡음이 클 때, 자잘한 무늬는 잡음이 작을 때 정해져요.
#
# ## 수업의 레시피를 그대로
#
# `generate_video` 안에서 특별한 일이 일어나는 건 아니에요. 이번에는 diffusers만으로 같은 영상을 만들어요. 먼저 파이프라인을 직접 불러와요. 진짜 모델이라면 이렇게 써요.
#
# ```python
# pipe = StableVideoDiffusionPipeline.from_pretrained(
#     "stabilityai/stable-video-diffusion-img2vid", dtype=torch.float16, variant="fp16"
# ).to("cuda")
# ```
#
# 아래 셀은 같은 일을 지금 쓰는 모델로 해요. 인자(argument)마다 뜻을 옆에 적었어요.

# %% [markdown] lang="en" id="recipe-text"
# `sigma` is the size of the noise that is left. The upper row is nothing but noise for a long time, while the guesses below it have
# the large shapes from the first step on and get sharper. The dB say how close a guess is to the end. Large shapes and motion are
# settled while there is much noise, fine patterns when there is little.
#
# ## The class's recipe, as it is
#
# Nothing magical happens in `generate_video`. Now we make the same video with diffusers alone. First we load the pipeline
# ourselves. With the real model one writes:
#
# ```python
# pipe = StableVideoDiffusionPipeline.from_pretrained(
#     "stabilityai/stable-video-diffusion-img2vid", dtype=torch.float16, variant="fp16"
# ).to("cuda")
# ```
#
# The next cell does the same with the model at hand. What each argument means stands beside it.

# %% id="from-pretrained"
import gc
import random
from pathlib import Path

from diffusers import StableVideoDiffusionPipeline
from diffusers.utils import load_image

from svd_lab.models.checkpoints import check_folder
from svd_lab.performance.placement import place

folder, half = pipe.name_or_path, pipe.unet.dtype == torch.float16
memory = getattr(pipe, "svd_lab_memory", "whole")  # ko| GPU 메모리에 어떻게 올렸는지 # en| how it was laid into the GPU's memory
variant = check_folder(Path(folder), half)  # ko| 이 폴더에 어떤 파일이 있는지 보고 "fp16" 또는 None # en| "fp16" or None, by which files the folder holds
# ko| 같은 모델을 두 번 올려 두면 메모리가 두 배로 들어요. 위에서 붙인 이름을 모두 지우고, 남은 것을 치워요.
# en| Two copies of the model would take twice the memory: forget all names above, and sweep up.
del pipe, vae, unet, part
gc.collect()

pipe = StableVideoDiffusionPipeline.from_pretrained(
    folder,  # ko| 모델이 있는 곳: 폴더, 또는 Hub ID # en| where the model is: a folder, or a Hub id
    dtype=torch.float16 if half else torch.float32,  # ko| 숫자 하나에 16비트 또는 32비트. CPU는 32비트가 빨라요 # en| 16 or 32 bits a number; a CPU is faster with 32
    variant=variant,  # ko| "fp16"이면 16비트로 저장된 파일을 골라 받아요(절반 크기) # en| "fp16" picks the files saved in 16 bits, half the size
    use_safetensors=True,  # ko| 코드가 숨을 수 없는 안전한 파일만 읽어요 # en| only files that cannot hide code
)
if memory == "whole":
    pipe.to(device)  # ko| 계산할 장치로 옮겨요. 수업에서는 "cuda", 곧 GPU예요 # en| moves it to where it computes; in the class "cuda", the GPU
else:
    place(pipe, memory, device)  # ko| GPU가 작으면 아까처럼 나눠서 올려요 # en| a small GPU gets it piece by piece, as before
pipe.set_progress_bar_config(disable=True)

# %% [markdown] lang="ko" id="helper-text"
# 이제 수업의 도우미 함수(function)예요. 그림을 읽고, 시드(seed)로 생성기(generator)를 만들고, 파이프라인을 부르고, 7 fps로 저장해요.

# %% [markdown] lang="en" id="helper-text"
# And now the class's helper function. It reads the picture, makes a generator from the seed, calls the pipeline, and saves the
# frames at 7 fps.


# %% id="helper"
def class_recipe(image_url, video_file, seed=42):
    image = load_image(str(image_url)).resize((width, height))  # ko| 진짜 모델에서는 (1024, 576) # en| (1024, 576) with the real model
    if seed == -1:
        seed = random.randrange(2**32)  # ko| 0부터 2**32 - 1까지에서 하나 # en| one of 0 to 2**32 - 1
    # ko| 시드는 잡음을 정해요. 시드가 같으면 잡음이 같고, 나머지가 다 같으면 영상도 같아요.
    # en| The seed fixes the noise. The same seed gives the same noise, and, all else equal, the same video.
    generator = torch.manual_seed(seed)
    frames = pipe(
        image,
        height=height,
        width=width,
        decode_chunk_size=2,  # ko| 한 번에 그림으로 펼칠 프레임 수. 크면 덜 깜빡이고 메모리를 더 써요 # en| frames unfolded at a time: more flicker less and take more memory
        generator=generator,
        num_frames=num_frames,  # ko| 수업에서는 10 # en| 10 in the class
        num_inference_steps=num_inference_steps,  # ko| 수업에서는 10. 많을수록 좋고, 그만큼 느려요 # en| 10 in the class; more are better and slower
    ).frames[0]  # ko| 영상 여러 개를 한꺼번에 만들 수도 있어서, 그중 첫 번째 # en| it could make several videos at once; the first one
    made = Clip(frames, seed, {})
    made.save(video_file, fps=7)  # ko| 1초에 7장: 10프레임이면 1.4초 # en| 7 pictures a second: 10 frames last 1.4 seconds
    print("seed", seed)
    return made


plain = class_recipe(out_dir / "picture.png", out_dir / "class_recipe.mp4", seed)
plain

# %% [markdown] lang="ko" id="equal-text"
# 눈으로는 같아 보여요. 숫자로도 같을까요? 모든 프레임, 모든 픽셀의 차이 가운데 가장 큰 것을 재요. 픽셀 값은 0부터 255까지예요.

# %% [markdown] lang="en" id="equal-text"
# They look the same. Are they, in numbers? We take the largest difference over all pixels of all frames. Pixel values go from 0
# to 255.

# %% tags=["nbval-check-output"] id="equal"
ours, bare = (np.stack([np.asarray(frame, dtype=int) for frame in one.frames]) for one in (clip, plain))
max_difference = int(np.abs(ours - bare).max())
print("frames", len(ours), "max difference", max_difference)

# %% [markdown] lang="ko" id="same-text"
# 0이에요. 따로 불러온 두 파이프라인이 픽셀 하나까지 같은 영상을 만들었어요. 그러니 이제부터는 마음 놓고 `generate_video`를 써도 돼요. 다른 점은 편의뿐이에요.
#
# | 수업의 코드 | `generate_video` |
# |---|---|
# | `resize((1024, 576))`: 비율이 다르면 찌그러져요 | 비율을 지키고 잘라요. `fit="stretch"`면 수업처럼 |
# | `tmp.mp4`에 쓴 뒤 ffmpeg로 다시 인코딩: 노트북 둘이 같이 돌면 서로 덮어써요 | 바로 H.264로 쓰고, 다 된 파일만 제자리에 놓아요 |
# | 값이 잘못되면 한참 뒤에 알 수 없는 오류 | 계산하기 전에 무엇이 잘못됐는지 알려 줘요 |
#
# ## 직접 해 보기
#
# **1.** 맨 위 `picture`를 `"balloon"`으로 바꾸고 처음부터 다시 돌려 보세요. 풍선은 어디로 가나요?
#
# <details><summary>풀이</summary>
# <p>위로 떠올라요. 미니는 풍선이 뜬다는 것을 배웠거든요. 다시 돌리지 않고 한 셀로 해 볼 수도 있어요.</p>
# <pre><code>generate_video(PICTURES["balloon"], out_dir / "balloon.mp4", seed=seed, pipe=pipe)</code></pre>
# </details>
#
# **2.** 잠재값에서 채널 하나를 통째로 0으로 만들고 그림으로 펼치면 어떻게 될까요?
#
# <details><summary>풀이</summary>
# <p>채널마다 맡은 것이 달라서, 하늘빛이 바뀌기도 하고 로켓이 옅어지기도 해요. 0 대신 다른 채널도 지워 보세요.</p>
# <pre><code>without = code.clone()
# without[:, 0] = 0
# with torch.no_grad():
#     sample = pipe.vae.decode(without.to(pipe.vae.dtype), num_frames=1).sample
# show(pipe.video_processor.postprocess(sample.float())[0])</code></pre>
# </details>
#
# **3.** `class_recipe`에서 `decode_chunk_size`를 `num_frames`로 바꾸면 여전히 차이가 0일까요?
#
# <details><summary>풀이</summary>
# <p>아니에요. VAE의 복호기(decoder)도 시간 층이 있어서, 함께 펼치는 프레임 수가 바뀌면 픽셀도 조금 바뀌어요. <code>generate_video</code>에도 같은 값을 주면 다시 0이 돼요. 진짜 모델은 함께 펼치는 프레임마다 메모리가 1.1 GiB쯤 더 들어요.</p>
# </details>
#
# ## 정리
#
# | 이름 | 뜻 | 수업의 값 |
# |---|---|---|
# | VAE | 그림 ↔ 잠재값 | 가로세로 8분의 1 |
# | CLIP | 그림 → 벡터 하나 | 224×224로 보여 줌 |
# | UNet | 잡음에서 영상을 짐작, 프레임끼리 서로 봄 | 채널 = 영상 + 준 그림 |
# | `seed` | 잡음을 정함 | 42, -1이면 무작위 |
# | `num_frames` | 프레임 수 | 10 |
# | `num_inference_steps` | 잡음을 걷어 내는 횟수 | 10 |
# | `decode_chunk_size` | 한 번에 펼치는 프레임 수 | 2 |
# | `fps` | 초당 프레임 수 | 7 |
#
# 다음은 2강, 로켓 발사예요. 손잡이를 하나씩 돌려 봐요. 마지막 셀은 이번에 잰 값들을 `result.json`에 남겨요.

# %% [markdown] lang="en" id="same-text"
# It is 0. Two pipelines, loaded separately, made the same video to the last pixel. So from now on we can use `generate_video`
# with a good conscience. What differs is comfort only:
#
# | the class's code | `generate_video` |
# |---|---|
# | `resize((1024, 576))`: other proportions get squeezed | keeps proportions and cuts; `fit="stretch"` does as the class |
# | writes `tmp.mp4`, then encodes it again with ffmpeg: two notebooks at once overwrite each other's | writes H.264 at once, and puts only complete files in place |
# | a wrong value ends, much later, in an obscure error | says what is wrong before it computes anything |
#
# ## Try it yourself
#
# **1.** At the top change `picture` to `"balloon"` and run everything again. Where does the balloon go?
#
# <details><summary>Solution</summary>
# <p>It rises: the mini has learnt that balloons do. It can also be tried in one cell, without running everything again:</p>
# <pre><code>generate_video(PICTURES["balloon"], out_dir / "balloon.mp4", seed=seed, pipe=pipe)</code></pre>
# </details>
#
# **2.** What happens if you set a whole channel of the latents to 0 and unfold them?
#
# <details><summary>Solution</summary>
# <p>Each channel has its own duty: one changes the colour of the sky, another makes the rocket fade. Try others in place of 0.</p>
# <pre><code>without = code.clone()
# without[:, 0] = 0
# with torch.no_grad():
#     sample = pipe.vae.decode(without.to(pipe.vae.dtype), num_frames=1).sample
# show(pipe.video_processor.postprocess(sample.float())[0])</code></pre>
# </details>
#
# **3.** If you change `decode_chunk_size` to `num_frames` in `class_recipe`, is the difference still 0?
#
# <details><summary>Solution</summary>
# <p>No. The VAE's decoder has temporal layers, too, so pixels change a little with the number of frames that are unfolded together. Give <code>generate_video</code> the same value, and it is 0 again. The real model takes about 1.1 GiB more memory for each frame unfolded together.</p>
# </details>
#
# ## Summary
#
# | name | meaning | in the class |
# |---|---|---|
# | VAE | picture ↔ latents | an eighth as wide and high |
# | CLIP | picture → one vector | sees it at 224×224 |
# | UNet | guesses the video in the noise; frames see each other | channels = video + given picture |
# | `seed` | fixes the noise | 42; -1 draws one |
# | `num_frames` | number of frames | 10 |
# | `num_inference_steps` | how often noise is taken away | 10 |
# | `decode_chunk_size` | frames unfolded at a time | 2 |
# | `fps` | frames a second | 7 |
#
# Next comes lesson 2, a rocket launch, in which we turn the knobs one by one. The last cell keeps what was measured here in
# `result.json`.

# %% id="finish"
measured = {
    "vae_psnr": vae_psnr,
    "parameters_millions": millions,
    "clip_similarity": alike,
    "unet_change_by_frame": by_frame,
    "max_difference": max_difference,
}
finish_lesson(lesson, {"rocket": clip}, measured)
