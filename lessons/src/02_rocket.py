# %% [markdown] lang="ko" id="title"
# # 2. 로켓 발사
#
# 로켓 그림 한 장으로 발사 영상을 만들고, `generate_video`의 손잡이를 하나씩 돌려 보며 무엇이 어떻게 달라지는지 눈으로 보고 숫자로 재요. 한 번에 하나만 바꾸는
# 것이 요령이에요.
#
# ![이 패키지의 미니가 움직인 그림 여섯 장](../../docs/demo.gif)
#
# | | |
# |---|---|
# | 만들 것 | 로켓 영상 `rocket.mp4`와 손잡이마다 비교 영상 하나씩 |
# | 필요한 것 | `svd-lab` 설치. GPU, 계정, 네트워크는 없어도 돼요 |
# | 걸리는 시간 | 미니로 CPU 코어 하나에서 약 2~3분(잰 값). 진짜 모델은 H100 GPU에서 약 1분과 불러오는 시간(어림). 이번에 걸린 시간은 마지막 셀이 알려 줘요 |
#
# 이 패키지에는 로켓 그림이 들어 있어요. 수업에서 쓴 로켓 그림은 웹에 있어서, 네트워크가 되면 `picture`에 이 주소를 넣어도 돼요.
# <https://huggingface.co/datasets/huggingface/documentation-images/resolve/main/diffusers/svd/rocket.png>

# %% [markdown] lang="en" id="title"
# # 2. A rocket launch
#
# From one picture of a rocket we make a video of its launch. Then we turn the knobs of `generate_video` one by one, look at what
# changes, and measure it. The trick is to change one thing at a time.
#
# ![Six pictures set in motion by the mini of this package](../../docs/demo.gif)
#
# | | |
# |---|---|
# | You make | the rocket's video, `rocket.mp4`, and for each knob a video that compares |
# | You need | `svd-lab` installed; no GPU, no account, no network |
# | It takes | with the mini two to three minutes on one CPU core (measured); with the real model about a minute on an H100 GPU, and the loading (an estimate). The last cell says how long it took this time |
#
# A picture of a rocket lies in this package. The class's own rocket is on the web; with a network you can give its address as
# `picture`:
# <https://huggingface.co/datasets/huggingface/documentation-images/resolve/main/diffusers/svd/rocket.png>

# %% tags=["parameters"] id="parameters"
model: str = "auto"  # ko| 모델: auto(GPU가 있으면 svd, 없으면 mini), mini, svd, 폴더, Hub ID # en| auto (svd on a GPU, else mini), mini, svd, a folder or a Hub id
seed: int = 42  # ko| 시드: 0~4294967295, -1이면 무작위로 뽑음 # en| 0 to 4294967295; -1 draws one
picture: str = "rocket"  # ko| 들어 있는 그림(ball, balloon, boat, car, rabbit, rocket), 파일 경로, 웹 주소 # en| bundled (ball, balloon, boat, car, rabbit, rocket), a path or an address
num_frames: int = 10  # ko| 만들 프레임 수, 2 이상 # en| frames to make, at least 2
num_inference_steps: int = 10  # ko| 잡음을 걷어 내는 횟수, 1 이상. 비교할 때는 절반만 써요 # en| denoising steps, at least 1; comparisons take half as many
out_dir: str = "out/02_rocket"  # ko| 결과를 담을 폴더 # en| folder for the results

# %% [markdown] lang="ko" id="check-text"
# 값이 알맞은지부터 확인하고, 도구를 가져와요.

# %% [markdown] lang="en" id="check-text"
# First the values are checked; then come the tools.

# %% id="check"
from svd_lab.lesson import cost, finish_lesson, progress, start_lesson

lesson = start_lesson(
    "02_rocket",
    model=model,
    seed=seed,
    picture=picture,
    num_frames=num_frames,
    num_inference_steps=num_inference_steps,
    out_dir=out_dir,
)
seed, out_dir = lesson.seed, lesson.out_dir

# %% tags=["nbval-check-output"] id="imports"
import time

import numpy as np
import torch

from svd_lab import generate_video, load_video_pipeline, open_image
from svd_lab.lesson.figures import grid, line_plot, show, side_by_side
from svd_lab.performance.placement import is_out_of_memory
from svd_lab.pipe_facts import native_size
from svd_lab.studio import video_studio

pipe = load_video_pipeline(lesson.model)

# %% [markdown] lang="ko" id="rocket-text"
# ## 발사
#
# 준 그림을 먼저 보고, 수업과 똑같은 값으로 영상을 만들어요.

# %% [markdown] lang="en" id="rocket-text"
# ## Lift-off
#
# We look at the picture and make the video, with exactly the class's values.

# %% id="rocket"
image = open_image(lesson.picture, size=native_size(pipe))
show(grid([image], width=448))

clips, seconds = {}, {}


def make(name, seed=seed, num_inference_steps=num_inference_steps, **settings):
    # ko| 영상을 하나 만들고, 걸린 시간과 함께 이름을 붙여 모아 둬요.
    # en| Make one video; keep it, and the time that it took, under a name.
    start = time.perf_counter()
    clips[name] = generate_video(
        image,
        out_dir / f"{name}.mp4",
        seed,
        pipe=pipe,
        num_frames=num_frames,
        num_inference_steps=num_inference_steps,
        on_step=progress(name),
        **settings,
    )
    seconds[name] = time.perf_counter() - start
    return clips[name]


make("rocket")

# %% id="rocket-sheet"
show(clips["rocket"].contact_sheet(width=720))

# %% [markdown] lang="ko" id="measure-text"
# 숫자로 견주려면 자가 필요해요. 두 개를 쓸게요.
#
# - **움직임**: 이웃한 두 프레임의 픽셀이 평균 얼마나 다른지(0~255)
# - **차이**: 두 영상의 픽셀이 평균 얼마나 다른지(0~255). 0이면 똑같은 영상이에요.
#
# 비교용 영상은 단계 수를 절반으로 줄여 만들어요. 기준은 `reference`예요.

# %% [markdown] lang="en" id="measure-text"
# To compare in numbers we need yardsticks. We take two:
#
# - **motion**: how much the pixels of neighbouring frames differ, on average (0 to 255)
# - **difference**: how much the pixels of two videos differ, on average (0 to 255); at 0 they are the same video.
#
# Videos for comparison are made with half the steps. What they are compared to is called `reference`.

# %% id="measure"
quick = max(1, num_inference_steps // 2)


def pixels(clip):
    return np.stack([np.asarray(frame, dtype=float) for frame in clip.frames])


def motion(clip):
    return float(np.abs(np.diff(pixels(clip), axis=0)).mean())


def difference(one, other):
    return float(np.abs(pixels(one) - pixels(other)).mean())


def compare(name, chosen, columns=None):
    # ko| 영상 여럿을 나란히 놓은 영상 하나를 만들고, 마지막 프레임은 그림으로도 보여 줘요.
    # en| Make one video of several side by side, and show its last frame as a picture, too.
    together = side_by_side(list(chosen.values()), list(chosen), columns)
    together.save(out_dir / f"compare_{name}.mp4")
    show(together.frames[-1])
    return together


reference = make("reference", num_inference_steps=quick)
print(f"motion {motion(reference):.2f}")

# %% [markdown] lang="ko" id="seed-text"
# ## seed: 같은 영상을 다시, 또는 다른 영상을
#
# **시드**(seed)는 출발점이 되는 잡음을 정하는 번호예요. 같은 시드로 한 번 더, 다른 시드로 한 번, 그리고 -1로 한 번 만들어요. -1은 0부터 4294967295까지에서
# 번호를 하나 뽑아 알려 주니, 마음에 드는 영상이 나오면 그 번호로 다시 만들 수 있어요.

# %% [markdown] lang="en" id="seed-text"
# ## seed: the same video again, or another one
#
# The **seed** is a number that fixes the noise from which a video starts. We make one more with the same seed, one with another,
# and one with -1. That draws a number from 0 to 4294967295 and tells it, so that a video that you like can be made again.

# %% id="seed"
make("seed_again", num_inference_steps=quick)
make("seed_other", seed=(seed + 1) % 2**32, num_inference_steps=quick)
make("seed_drawn", seed=-1, num_inference_steps=quick)

by_seed = {"seed_again": "again", "seed_other": "other", "seed_drawn": "drawn"}
seed_difference = {short: difference(reference, clips[name]) for name, short in by_seed.items()}
for short, value in seed_difference.items():
    print(f"{short:6} difference {value:.3f}")
chosen = {f"{seed}": reference}
for name, short in by_seed.items():
    chosen[f"{clips[name].seed}, differs by {seed_difference[short]:.2f}"] = clips[name]
compare("seed", chosen, columns=2)

# %% [markdown] lang="ko" id="steps-text"
# 같은 시드는 차이가 정확히 0이에요. 시드가 다르면 자잘한 데가 달라지지만, 같은 그림에서 출발했으니 이야기는 비슷해요.
#
# ## num_inference_steps: 몇 번에 나누어 잡음을 걷어 낼까
#
# 단계가 많을수록 조금씩 조심스럽게 걷어 내요. 시간은 거의 단계 수에 비례해요. 단계 수를 바꿔 가며 만들고, 가장 많은 단계로 만든 영상과 얼마나 다른지, 몇 초가
# 걸렸는지 그려 봐요.

# %% [markdown] lang="en" id="steps-text"
# The same seed differs by exactly 0. Another seed changes small things, but as they start from the same picture, the story stays
# much the same.
#
# ## num_inference_steps: in how many steps to take the noise away
#
# More steps take less noise at a time, with more care. The time grows nearly in proportion. We make the video with different
# numbers of steps and plot how far each is from the one with the most steps, and how many seconds it took.

# %% id="steps"
few, many = max(1, num_inference_steps // 5), num_inference_steps * 5 // 2
make(f"steps_{few}", num_inference_steps=few)
make(f"steps_{many}", num_inference_steps=many)

by_steps = {few: f"steps_{few}", quick: "reference"}
by_steps |= {num_inference_steps: "rocket", many: f"steps_{many}"}
to_most = {steps: difference(clips[name], clips[f"steps_{many}"]) for steps, name in by_steps.items()}
step_seconds = {steps: seconds[name] for steps, name in by_steps.items()}
left = {f"difference to {many} steps": list(to_most.values())}
right = {"seconds": list(step_seconds.values())}
plots = [line_plot(list(by_steps), series, "num_inference_steps") for series in (left, right)]
show(grid(plots))
chosen = {f"{n} steps, {step_seconds[n]:.1f} s": clips[name] for n, name in by_steps.items()}
compare("steps", chosen, columns=2)

# %% [markdown] lang="ko" id="motion-text"
# 단계가 아주 적으면 색과 모양이 덜 된 채로 끝나요. 단계를 늘릴수록 가장 많은 단계의 영상에 가까워지지만, 어느 만큼을 넘으면 시간만 늘고 거의 그대로예요. 시간이
# 0에서 시작하지 않는 건 그림으로 펼치는 일에 늘 같은 시간이 들기 때문이에요. 한 가지 조심할 점: 이 자는 "결과가 자리를 잡았는지"를 재지, "예쁜지"를 재지 않아요.
#
# ## motion_bucket_id: 얼마나 움직일까
#
# 학습할 때 모델은 영상마다 얼마나 움직이는지를 0부터 255까지의 번호로 함께 들었어요. 그래서 만들 때 번호를 주면 그만큼 움직이려고 해요. 수업의 값은 127이에요.

# %% [markdown] lang="en" id="motion-text"
# With very few steps colours and shapes end unfinished. More steps come closer to the video of the most steps, but beyond some point
# only the time grows. The time does not start at 0, because unfolding into pictures always takes the same. Mind that this
# yardstick tells whether the result has settled, not whether it is beautiful.
#
# ## motion_bucket_id: how much should move
#
# In training the model was told of every video how much moves in it, as a number from 0 to 255. So when we give it a number it
# tries to move that much. The class's value is 127.

# %% id="motion"
by_bucket = {127: "reference"}
for bucket in (20, 70, 180, 240):
    make(f"motion_{bucket}", num_inference_steps=quick, motion_bucket_id=bucket)
    by_bucket[bucket] = f"motion_{bucket}"
by_bucket = dict(sorted(by_bucket.items()))

bucket_motion = {bucket: motion(clips[name]) for bucket, name in by_bucket.items()}
show(line_plot(list(bucket_motion), {"motion": list(bucket_motion.values())}, "motion_bucket_id"))
chosen = {f"{b}: motion {bucket_motion[b]:.2f}": clips[by_bucket[b]] for b in (20, 127, 240)}
compare("motion", chosen)

# %% [markdown] lang="ko" id="fps-text"
# 번호가 커질수록 움직임도 커져요. 다만 번호가 클수록 불꽃과 날개 끝이 더 흐트러져요. 많이 움직이는 건 그만큼 어려운 일이에요.
#
# ## fps: 상상하는 빠르기와 재생하는 빠르기
#
# `fps`는 1초를 몇 장으로 나눌지예요. 여기에는 두 가지가 숨어 있어요.
#
# - `fps`: 모델에게 주는 **조건**이에요. "1초에 이만큼 찍은 영상을 상상해 줘"라는 뜻이라, 크면 이웃한 프레임 사이가 짧아져서 덜 움직여요.
# - `playback_fps`: 파일을 **재생하는** 빠르기예요. 프레임은 그대로 두고 빨리 넘길 뿐이에요. 따로 주지 않으면 `fps`와 같아요.

# %% [markdown] lang="en" id="fps-text"
# The larger the number, the more moves. Large numbers also loosen the flame and the tips of the fins: to move far is harder.
#
# ## fps: the rate that is imagined and the rate that is played
#
# `fps` is how many pictures make up a second. Two things hide behind that name.
#
# - `fps` is a **condition** given to the model: "imagine a video that was filmed at this rate". A large one means less time between
#   neighbouring frames, so less motion.
# - `playback_fps` is the rate at which the file is **played**. The frames stay; they only turn faster. Unless given it equals `fps`.

# %% id="fps"
by_fps = {7: "reference"}
for fps in (4, 20):
    make(f"fps_{fps}", num_inference_steps=quick, fps=fps, playback_fps=7)
    by_fps[fps] = f"fps_{fps}"
by_fps = dict(sorted(by_fps.items()))

fps_motion = {fps: motion(clips[name]) for fps, name in by_fps.items()}
for rate in (3, 7, 14):
    # ko| 같은 프레임을 다른 빠르기로 저장해요. 계산은 다시 하지 않아요.
    # en| The same frames, saved at other rates; nothing is computed again.
    played = side_by_side([reference], [f"played at {rate} fps"], width=448)
    played.save(out_dir / f"played_at_{rate}.mp4", fps=rate)
    print(f"played at {rate:2} fps: {num_frames / rate:.1f} s")
chosen = {f"fps={fps}: motion {fps_motion[fps]:.2f}": clips[name] for fps, name in by_fps.items()}
compare("fps", chosen)

# %% [markdown] lang="ko" id="noise-text"
# `fps`가 작으면 프레임 사이에 더 멀리 가고, 크면 덜 가요. `played_at_*.mp4`는 프레임이 모두 같고 재생 시간만 달라요. `out_dir`에서 열어 견줘 보세요.
#
# ## noise_aug_strength: 준 그림을 얼마나 믿을까
#
# 그림을 모델에 보여 주기 전에 잡음을 조금 더해요. 많이 더할수록 모델은 그림을 덜 믿고 자유롭게 그려요. 첫 프레임이 준 그림과 얼마나 다른지 재 봐요.

# %% [markdown] lang="en" id="noise-text"
# With a small `fps` it goes further between frames, with a large one less far. The files `played_at_*.mp4` have the same frames and
# differ in length only. Open them in `out_dir` and compare.
#
# ## noise_aug_strength: how far to trust the picture
#
# Before the model sees the picture, a little noise is added to it. The more noise, the less the model trusts the picture and the
# freer it draws. We measure how far the first frame is from the given picture.

# %% id="noise"
by_noise = {0.02: "reference"}
for strength in (0.0, 0.5):
    make(f"noise_{strength}", num_inference_steps=quick, noise_aug_strength=strength)
    by_noise[strength] = f"noise_{strength}"
by_noise = dict(sorted(by_noise.items()))

given = np.asarray(image, dtype=float)
first_frame, noise_motion, chosen = {}, {}, {}
for strength, name in by_noise.items():
    first_frame[strength] = float(np.abs(pixels(clips[name])[0] - given).mean())
    noise_motion[strength] = motion(clips[name])
    chosen[f"{strength}: first frame off by {first_frame[strength]:.2f}"] = clips[name]
compare("noise", chosen)

# %% [markdown] lang="ko" id="guidance-text"
# 0과 0.02는 거의 같아요. 0.5는 미니에게는 너무 커서 배경까지 흩어져요. 자유가 늘 좋은 것은 아니에요. 그림을 지키고 싶으면 작게 두세요.
#
# ## guidance: 그림을 얼마나 강하게 따를까
#
# 모델은 단계마다 두 번 짐작해요. 한 번은 그림을 보고, 한 번은 보지 않고요. 그 차이를 몇 배로 늘려 그림 쪽으로 미는 것이 **안내**(classifier-free guidance)예요.
# SVD는 첫 프레임에는 `min_guidance_scale`(1.0), 마지막 프레임에는 `max_guidance_scale`(3.0)을 쓰고 그 사이는 고르게 늘려요. 뒤로 갈수록 그림에서 멀어지기 쉽기
# 때문이에요.

# %% [markdown] lang="en" id="guidance-text"
# 0 and 0.02 are nearly the same. 0.5 is too much for the mini: even the background falls apart. Freedom is not always good; keep it
# small where the picture matters.
#
# ## guidance: how strongly to follow the picture
#
# In every step the model guesses twice: once with the picture and once without. To enlarge the difference, and so push towards the
# picture, is called **classifier-free guidance**. SVD uses `min_guidance_scale` (1.0) for the first frame,
# `max_guidance_scale` (3.0) for the last, and even steps between, because later frames lose the picture more easily.

# %% id="guidance"
by_guidance = {3.0: "reference"}
for scale in (1.0, 8.0):
    make(f"guidance_{scale:.0f}", num_inference_steps=quick, max_guidance_scale=scale)
    by_guidance[scale] = f"guidance_{scale:.0f}"
by_guidance = dict(sorted(by_guidance.items()))

last_frame, guidance_motion, chosen = {}, {}, {}
for scale, name in by_guidance.items():
    last_frame[scale] = float(np.abs(pixels(clips[name])[-1] - given).mean())
    guidance_motion[scale] = motion(clips[name])
    chosen[f"max {scale:.0f}: last frame off by {last_frame[scale]:.1f}"] = clips[name]
compare("guidance", chosen)

# %% [markdown] lang="ko" id="chunk-text"
# 최댓값이 1이면 안내가 없는 셈인데, 미니에게는 그것으로도 넉넉해요. 배운 세계가 단순해서 그림만 보고도 다음을 알거든요. 수업의 값은 3이에요. 너무 크면 색과
# 밝기가 한쪽으로 치우쳐 망가져요.
#
# ## decode_chunk_size: 한 번에 몇 장을 펼칠까
#
# 마지막에 VAE가 잠재값을 그림으로 펼쳐요. 한 번에 펼치는 프레임이 많으면 메모리를 더 쓰고, 프레임끼리 더 많이 맞춰 봐서 덜 깜빡여요. 진짜 SVD는 576×1024에서
# 프레임마다 1 GiB쯤 더 써요. GPU 메모리가 모자라다는 오류는 대개 여기서 나요. 잠재값을 한 번만 만들어 두고 펼치는 일만 여러 가지로 해 봐요.

# %% [markdown] lang="en" id="chunk-text"
# With a maximum of 1 there is no guidance, and for the mini that is enough: its world is so simple that it knows what comes next.
# The class's value is 3. Far too much drives colours and brightness to extremes.
#
# ## decode_chunk_size: how many frames to unfold at a time
#
# At the end the VAE unfolds latents into pictures. More frames at a time take more memory; and as more frames are matched with each
# other, they flicker less. The real SVD takes about 1 GiB more for each frame of 576×1024: when a GPU runs out of memory, it is
# mostly here. We make the latents once, and unfold them in different ways.

# %% id="chunk"
pipe.set_progress_bar_config(disable=True)
latents = pipe(
    image,
    width=image.width,
    height=image.height,
    num_frames=num_frames,
    num_inference_steps=quick,
    generator=torch.Generator().manual_seed(seed),
    output_type="latent",
).frames

latents = latents.to(pipe.vae.dtype)
tried = sorted({1, 2, num_frames // 2, num_frames} - {0})
spent, unfolded = {}, {}
with torch.no_grad():
    pipe.decode_latents(latents[:, :1], 1, 1)  # ko| 처음 한 번은 느려서 재지 않아요 # en| the first time is slow and not measured
for chunk in tried:
    try:
        with cost(pipe._execution_device) as took, torch.no_grad():
            tensor = pipe.decode_latents(latents, num_frames, chunk)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        break  # ko| 작은 GPU에서는 여기까지예요 # en| as far as a small GPU goes
    spent[chunk] = took
    unfolded[chunk] = tensor.float().clamp(-1, 1).cpu().numpy() * 127.5
    del tensor
chunks = list(unfolded)
for chunk in chunks:
    to_most = np.abs(unfolded[chunk] - unfolded[chunks[-1]]).mean()
    seconds_mib = f"{spent[chunk]['seconds']:6.2f} s {spent[chunk]['MiB']:6.0f} MiB"
    print(f"{chunk:3} at a time: {seconds_mib}, {to_most:.2f} from {chunks[-1]} at a time")
for chunk in tried[len(chunks) :]:
    print(f"{chunk:3} at a time: not enough memory here")
chunk_mib = [spent[chunk]["MiB"] for chunk in chunks]
show(line_plot(chunks, {"MiB": chunk_mib}, "decode_chunk_size"))

# %% [markdown] lang="ko" id="limits-text"
# 메모리는 한 번에 펼치는 프레임 수를 따라 늘어요. 시간은 컴퓨터마다 달라요. diffusers만으로는 진짜 모델이 H100에서 한꺼번에 펼치는 쪽이 조금 빠르고(2장씩 1.01초,
# 10장 0.94초; 이 패키지는 2장씩 0.27초), CPU에서는 거꾸로일 수 있어요. 픽셀도 조금 달라지니, 똑같은 영상을 다시 만들려면 이 값도 같아야 해요.
#
# ## 미니가 못 하는 것
#
# 솔직하게 재 볼게요. 프레임마다 얼마나 **또렷한지**(이웃한 픽셀의 차이, 준 그림을 1로) 그려요. 아래로 내려갈수록 뭉개진 거예요.

# %% [markdown] lang="en" id="limits-text"
# Memory grows with the frames that are unfolded at a time. Time depends on the machine: with diffusers alone the real model on an
# H100 is a little faster all at once (1.01 s two at a time, 0.94 s ten; with this package 0.27 s two at a time), a CPU may be the
# other way round. The pixels differ a little, too, so to make a video again this value must be the same.
#
# ## What the mini cannot do
#
# Let us be honest and measure it: how **sharp** each frame is (differences of neighbouring pixels; the given picture is 1). Lower
# means more blurred.


# %% id="limits"
def sharp(frames):
    # ko| 가로와 세로로 이웃한 픽셀의 차이를 제곱해 평균해요.
    # en| Squared differences of pixels that are neighbours across or down, averaged.
    return sum((np.diff(frames, axis=axis) ** 2).mean((1, 2, 3)) for axis in (1, 2))


sharpness = (sharp(pixels(clips["rocket"])) / sharp(given[None])).tolist()
show(line_plot(range(num_frames), {"sharpness": sharpness}, "frame of rocket.mp4"))
first, *_, last = clips["rocket"].frames
show(grid([image, first, last], ["picture", "first frame", "last frame"], width=660))

# %% [markdown] lang="ko" id="limits-seen-text"
# 첫 프레임부터 1보다 낮아요. VAE가 그림을 줄였다 펼치면서 자잘한 무늬를 잃기 때문이에요. 그런데 곡선은 뒤로 가도 별로 떨어지지 않아요. 눈으로 보면 마지막 프레임의
# 불꽃과 날개 끝이 처음 같지 않은데도요. 이 자는 또렷함을 잴 뿐, 모양이 맞는지는 재지 못해요. **숫자와 눈을 함께 써야 하는 까닭**이에요.
#
# 미니의 한계를 적어 둘게요.
#
# - 224×128, 14프레임까지만 배웠어요. 뒤로 갈수록 모양이 조금씩 물러지고, 창문이나 바퀴살 같은 자잘한 무늬부터 사라져요.
# - 그림에 없던 것은 상상하지 못해요. 불꽃이 커지거나 연기가 피어오르지 않아요. 진짜 SVD는 그런 것도 해요.
# - 이모지처럼 생긴 물건 하나가 있는 그림을 배웠어요. 사진은 대개 사진인 채로 거의 멈춰 있어요.
#
# 손잡이의 이름과 뜻, 값을 바꿨을 때의 방향은 진짜 모델에서도 같아요. 그래서 여기서 익힌 감각을 GPU에서 그대로 쓸 수 있어요.

# %% [markdown] lang="en" id="limits-seen-text"
# It is below 1 from the first frame on, because the VAE loses fine patterns when it shrinks and unfolds. Yet the curve hardly falls
# later, although the eye sees that flame and fins are not what they were in the last frame. This yardstick measures sharpness, not
# whether a shape is right. **That is why one needs both numbers and eyes.**
#
# The mini's limits:
#
# - It has learnt 224×128 pixels and up to 14 frames. Towards the end shapes soften a little, fine patterns such as windows and spokes
#   first.
# - It cannot imagine what is not in the picture: no flame grows, no smoke billows. The real SVD does such things.
# - It has learnt pictures of one emoji-like thing. A photograph mostly stays a photograph and hardly moves.
#
# The knobs' names, what they mean, and which way they act are the same in the real model. What you have got a feeling for here you
# can use on a GPU as it is.

# %% [markdown] lang="ko" id="studio-text"
# ## 스튜디오: 설정을 마음껏
#
# 지금까지는 코드로 설정을 바꿨어요. 아래 셀에서는 같은 설정을 화면에서 바꿀 수 있어요. 값을 바꾸고 **만들기**를 누르면 같은 `generate_video`가 돌고, 만드는 동안
# 영상의 미리 보기가 나와요. 누르기 전에는 걸리는 시간과 메모리를 예상해 줘요. 만든 영상은 아래에 쌓이고, 두 개를 골라 나란히 볼 수도 있어요. **코드로 보기**를 열면 똑같은
# 영상을 만드는 코드가 나와요.
#
# ![스튜디오: 그림을 고르고 설정을 바꿔 영상을 만드는 화면](../../docs/studio-ko.webp)
#
# 이 강의의 다른 셀은 스튜디오에서 만든 것을 쓰지 않으니, 눌러도 되고 지나가도 돼요. 화면이 없는 곳(papermill 등)에서는 설정이 표로만 나와요.

# %% [markdown] lang="en" id="studio-text"
# ## The studio: change the settings as you like
#
# So far we changed the settings in code. The next cell shows the same settings as a panel. Change a value and press **Generate**: the
# same `generate_video` runs, with a preview of the video. Before you press, the panel estimates the seconds and the memory that it
# will take. Your videos are listed below, where you can compare two of them, and **As code** shows the call that makes the same
# video again.
#
# ![The studio: choose a picture, change the settings, make a video](../../docs/studio.webp)
#
# No other cell of this lesson uses what the studio makes, so you may skip it. Where nobody can press a button, as in papermill, the
# settings are printed as a table.

# %% id="studio"
studio = video_studio(
    pipe,
    image=image,
    out_dir=out_dir / "studio",
    seed=seed,
    num_frames=num_frames,
    num_inference_steps=num_inference_steps,
)
studio

# %% [markdown] lang="ko" id="end-text"
# ## 직접 해 보기
#
# **1.** 가장 힘차게 날아가는 로켓을 만들어 보세요. 어떤 손잡이를 어느 쪽으로 돌릴까요?
#
# <details><summary>풀이</summary>
# <p>움직임을 키우는 손잡이는 둘이에요. <code>motion_bucket_id</code>는 크게, <code>fps</code>는 작게 해요. 재생은 7 fps로 두어야 빨라 보여요.</p>
# <pre><code>make("strongest", motion_bucket_id=240, fps=4, playback_fps=7)
# print(motion(clips["strongest"]), motion(clips["rocket"]))</code></pre>
# </details>
#
# **2.** 로켓 그림을 좌우로 뒤집으면 어느 쪽으로 날아갈까요?
#
# <details><summary>풀이</summary>
# <p>기운 쪽을 따라가요. 뒤집은 그림으로 <code>image</code>를 바꾸고 같은 함수를 부르면 돼요.</p>
# <pre><code>from PIL import ImageOps
# image = ImageOps.mirror(image)
# make("mirrored")</code></pre>
# </details>
#
# **3.** 시드 다섯 개로 만들어 마지막 프레임만 나란히 놓아 보세요. 무엇이 같고 무엇이 다른가요?
#
# <details><summary>풀이</summary>
# <p>방향과 거리는 거의 같고, 뭉개지는 자리와 색이 조금씩 달라요.</p>
# <pre><code>five = [make(f"seed_{s}", seed=s, num_inference_steps=quick) for s in range(5)]
# show(grid([clip.frames[-1] for clip in five], [str(clip.seed) for clip in five]))</code></pre>
# </details>
#
# ## 정리
#
# | 손잡이 | 수업의 값 | 키우면 |
# |---|---|---|
# | `seed` | 42 | 다른 잡음, 다른 영상. 같으면 똑같은 영상 |
# | `num_inference_steps` | 10 | 더 정리되고, 그만큼 느려져요 |
# | `motion_bucket_id` | 127 | 더 많이 움직여요 |
# | `fps` | 7 | 프레임 사이가 짧아져 덜 움직여요 |
# | `playback_fps` | 7 | 같은 프레임을 더 빨리 넘겨요 |
# | `noise_aug_strength` | 0.02 | 준 그림에서 더 자유로워져요 |
# | `max_guidance_scale` | 3.0 | 그림을 더 강하게 따르고, 지나치면 색이 거칠어져요 |
# | `decode_chunk_size` | 2 | 메모리를 더 쓰고 덜 깜빡여요 |
#
# 마지막 셀은 잰 값을 모두 `result.json`에 남겨요.

# %% [markdown] lang="en" id="end-text"
# ## Try it yourself
#
# **1.** Make the rocket fly as forcefully as you can. Which knobs do you turn, and which way?
#
# <details><summary>Solution</summary>
# <p>Two knobs enlarge motion: <code>motion_bucket_id</code> up and <code>fps</code> down. Playback must stay at 7 fps for it to look fast.</p>
# <pre><code>make("strongest", motion_bucket_id=240, fps=4, playback_fps=7)
# print(motion(clips["strongest"]), motion(clips["rocket"]))</code></pre>
# </details>
#
# **2.** Mirror the picture of the rocket. Which way does it fly?
#
# <details><summary>Solution</summary>
# <p>It follows its own slant. Put the mirrored picture into <code>image</code> and call the same function:</p>
# <pre><code>from PIL import ImageOps
# image = ImageOps.mirror(image)
# make("mirrored")</code></pre>
# </details>
#
# **3.** Make videos with five seeds and put their last frames side by side. What is the same, and what differs?
#
# <details><summary>Solution</summary>
# <p>Direction and distance are much the same; where it blurs, and some colours, differ a little.</p>
# <pre><code>five = [make(f"seed_{s}", seed=s, num_inference_steps=quick) for s in range(5)]
# show(grid([clip.frames[-1] for clip in five], [str(clip.seed) for clip in five]))</code></pre>
# </details>
#
# ## Summary
#
# | knob | in the class | larger means |
# |---|---|---|
# | `seed` | 42 | other noise, another video; the same one, the same video |
# | `num_inference_steps` | 10 | cleaner, and slower in proportion |
# | `motion_bucket_id` | 127 | more motion |
# | `fps` | 7 | less time between frames, so less motion |
# | `playback_fps` | 7 | the same frames, turned faster |
# | `noise_aug_strength` | 0.02 | more freedom from the given picture |
# | `max_guidance_scale` | 3.0 | follows the picture more strongly; too much makes colours harsh |
# | `decode_chunk_size` | 2 | more memory, less flicker |
#
# The last cell keeps everything that was measured in `result.json`.

# %% id="finish"
measured = {
    "seconds_per_video": seconds,
    "seed_difference": seed_difference,
    "difference_to_most_steps": to_most,
    "motion_by_bucket": bucket_motion,
    "motion_by_fps": fps_motion,
    "motion_by_noise": noise_motion,
    "first_frame_off_by_noise": first_frame,
    "last_frame_off_by_guidance": last_frame,
    "motion_by_guidance": guidance_motion,
    "decode_seconds": {chunk: spent[chunk]["seconds"] for chunk in chunks},
    "decode_mib": {c: spent[c]["MiB"] for c in chunks},
    "sharpness_by_frame": sharpness,
}
finish_lesson(lesson, clips, measured)
