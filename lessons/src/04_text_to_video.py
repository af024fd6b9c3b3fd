# %% [markdown] lang="ko" id="title"
# # 4. 글 → 그림 → 영상
#
# 지금까지는 그림을 우리가 주었어요. 이번에는 그림도 모델이 그려요. 글(prompt)을 주면 **그림 모델**이 그림을 그리고, 그 그림을 **영상 모델**이 움직여요. 두 모델은
# 시드 하나를 나눠 써요. 그게 무슨 뜻이고 왜 중요한지 숫자로 확인해요.
#
# ![이 노트북에서 만드는, 말을 탄 우주비행사 영상](../../docs/lesson-04.webp)
#
# | | |
# |---|---|
# | 만들 것 | 말을 탄 우주비행사 `horse.mp4`, 하늘에서 본 밤 도시 `city.mp4` |
# | 필요한 것 | `svd-lab` 설치. GPU, 계정, 네트워크는 없어도 돼요 |
# | 걸리는 시간 | 미니로 CPU 코어 하나에서 1분 40초쯤(잰 값). 진짜 모델의 시간은 아직 재지 않았어요. 이번에 걸린 시간은 마지막 셀이 알려 줘요 |
#
# GPU가 없으면 영상도 그림도 **미니**가 만들어요. 그림 미니는 우리가 이모지 세상의 그림과 글로 처음부터 가르친 작은 Stable Diffusion이에요. 물건 242가지와 장소 36곳을 알고,
# 영어와 한국어를 둘 다 알아들어요. GPU가 있으면 같은 셀이 진짜 Stable Diffusion 2.1과 SVD로 돌아가요.

# %% [markdown] lang="en" id="title"
# # 4. Text → image → video
#
# Until now we gave the picture. This time a model draws it, too: from a text (a prompt) an **image model** draws a picture, and a
# **video model** sets it in motion. The two share one seed. What that means, and why it matters, we check in numbers.
#
# ![The video of an astronaut riding a horse that this notebook makes](../../docs/lesson-04.webp)
#
# | | |
# |---|---|
# | You make | an astronaut riding a horse, `horse.mp4`, and a city at night from the air, `city.mp4` |
# | You need | `svd-lab` installed; no GPU, no account, no network |
# | It takes | with the mini about 1 minute 40 seconds on one CPU core (measured); the real models' time has not been measured yet. The last cell says how long it took this time |
#
# Without a GPU both the video and the picture come from the **mini**. The image mini is a small Stable Diffusion that we trained from
# scratch on pictures and captions of a world of emoji. It knows 242 things and 36 places, and reads English and Korean. With a GPU the
# same cells run the real Stable Diffusion 2.1 and the real SVD.

# %% tags=["parameters"] id="parameters"
model: str = "auto"  # ko| 영상 모델: auto(GPU가 있으면 svd, 없으면 mini), mini, svd, 폴더, Hub ID # en| the video model: auto (svd on a GPU, else mini), mini, svd, a folder or a Hub id
image_model: str = "auto"  # ko| 그림 모델: auto(영상 모델에 맞춰 sd21이나 mini), mini, sd21, 폴더, Hub ID # en| the image model: auto, mini, sd21, a folder or a Hub id
seed: int = 1972088094  # ko| 시드: 0~4294967295, -1이면 무작위로 뽑음 # en| 0 to 4294967295; -1 draws one
prompt: str = "a photograph of an astronaut riding a horse"  # ko| 무엇을 그릴지. 진짜 모델에는 영어로, 미니에는 한국어도 돼요 # en| what to draw; the mini reads Korean
num_frames: int = 12  # ko| 만들 프레임 수, 2 이상 # en| frames to make, at least 2
num_inference_steps: int = 10  # ko| 영상의 잡음을 걷어 내는 횟수, 1 이상. 비교할 때는 절반만 써요 # en| denoising steps of the video, at least 1; comparisons take half as many
out_dir: str = "out/04_text_to_video"  # ko| 결과를 담을 폴더 # en| folder for the results

# %% [markdown] lang="ko" id="check-text"
# 값이 알맞은지 확인하고, 도구와 영상 모델을 불러와요.

# %% [markdown] lang="en" id="check-text"
# We check the values, then load the tools and the video model.

# %% id="check"
from svd_lab.lesson import cost, finish_lesson, progress, start_lesson

lesson = start_lesson(
    "04_text_to_video",
    model=model,
    image_model=image_model,
    seed=seed,
    prompt=prompt,
    num_frames=num_frames,
    num_inference_steps=num_inference_steps,
    out_dir=out_dir,
)
seed, out_dir = lesson.seed, lesson.out_dir

# %% tags=["nbval-check-output"] id="imports"
import random
from pathlib import Path

import numpy as np
import torch

from svd_lab import Clip, generate_text2video, generate_video, load_image_pipeline, load_video_pipeline
from svd_lab.lesson.figures import grid, line_plot, show, side_by_side
from svd_lab.pipe_facts import native_size
from svd_lab.prompts import miniature_words
from svd_lab.recipe import make_recipe
from svd_lab.studio import text_studio

pipe = load_video_pipeline(lesson.model)
width, height = native_size(pipe)

# %% [markdown] lang="ko" id="image-text"
# ## 그림 모델
#
# **Stable Diffusion**은 글에서 그림을 그리는 확산 모델이에요. SVD가 바로 이 모델에서 자라났어요. 1강에서 본 세 부품과 견줘 볼게요.
#
# | | Stable Diffusion 2.1 | Stable Video Diffusion |
# |---|---|---|
# | 무엇을 보고 그리나 | 글. 텍스트 인코더(text encoder)가 벡터로 바꿔요 | 그림 한 장. CLIP이 벡터로 바꿔요 |
# | UNet | 그림 한 장의 잡음을 걷어요 | 여러 프레임의 잡음을 함께 걷어요 |
# | VAE | 잠재값 ↔ 그림 | 잠재값 ↔ 그림, 시간 층이 더 있어요 |
# | 스케줄러(scheduler) | 수업에서는 `EulerDiscreteScheduler` | `EulerDiscreteScheduler` |
#
# 수업에서는 그림 모델을 이렇게 불러와요.
#
# ```python
# scheduler = EulerDiscreteScheduler.from_pretrained(DIR, subfolder="scheduler")
# image_pipe = StableDiffusionPipeline.from_pretrained(DIR, scheduler=scheduler, dtype=torch.float16).to("cuda")
# image_pipe.enable_attention_slicing()
# ```
#
# `DIR`는 Stable Diffusion 2.1이 있는 폴더로, 수업에서는 실습실 디스크의 `/mnt/elice/dataset/stable-diffusion-2-1-base`예요. 원래 주인은 2025년 11월에 이 모델을
# Hub에서 내렸어요. `load_image_pipeline("sd21")`은 실습실 디스크부터 찾고, 없으면 커뮤니티가 보관하는 사본을 가져와요. 한 줄씩 뜯어볼게요.
#
# ### 스케줄러와 subfolder
#
# 모델 폴더에는 부품마다 하위 폴더(subfolder)가 하나씩 있어요. `subfolder="scheduler"`는 그중 스케줄러의 설정만 읽으라는 뜻이에요. **스케줄러**는 단계마다 잡음을
# 얼마나 남길지 정하는 계획표예요. 신경망이 아니라서 바꿔 끼워도 다시 배울 필요가 없어요. 지금 쓰는 영상 모델의 계획표를 같은 방법으로 읽고, Stable Diffusion의 것과
# 나란히 그려 볼게요.

# %% [markdown] lang="en" id="image-text"
# ## The image model
#
# **Stable Diffusion** is a diffusion model that draws pictures from text. SVD grew out of it. Beside the three parts of lesson 1:
#
# | | Stable Diffusion 2.1 | Stable Video Diffusion |
# |---|---|---|
# | what it draws from | a text, which a text encoder turns into vectors | a picture, which CLIP turns into a vector |
# | UNet | takes the noise off one picture | takes the noise off many frames together |
# | VAE | latents ↔ picture | latents ↔ picture, with temporal layers |
# | scheduler | in the class `EulerDiscreteScheduler` | `EulerDiscreteScheduler` |
#
# The class loads the image model like this:
#
# ```python
# scheduler = EulerDiscreteScheduler.from_pretrained(DIR, subfolder="scheduler")
# image_pipe = StableDiffusionPipeline.from_pretrained(DIR, scheduler=scheduler, dtype=torch.float16).to("cuda")
# image_pipe.enable_attention_slicing()
# ```
#
# `DIR` is the folder of Stable Diffusion 2.1, in the class `/mnt/elice/dataset/stable-diffusion-2-1-base` on the lab's disk. Its
# publisher took the model off the Hub in November 2025. `load_image_pipeline("sd21")` looks on the lab's disk first, and else fetches
# the copy that the community keeps. Let us take these lines apart.
#
# ### The scheduler, and subfolder
#
# A model's folder has a subfolder for each part. `subfolder="scheduler"` says: read the settings of the scheduler only. The
# **scheduler** is the plan of how much noise to leave after each step. It is no neural network, so it can be swapped without training
# anything again. We read the plan of the video model at hand in the same way, and draw it beside that of Stable Diffusion.

# %% id="scheduler"
from diffusers import EulerDiscreteScheduler

print("subfolders:", *sorted(path.name for path in Path(pipe.name_or_path).iterdir() if path.is_dir()))
# ko| Stable Diffusion이 배울 때 쓴 잡음의 크기예요.
# en| The sizes of noise with which Stable Diffusion was trained.
trained = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
plans = {
    "video model": EulerDiscreteScheduler.from_pretrained(pipe.name_or_path, subfolder="scheduler"),
    "Stable Diffusion": EulerDiscreteScheduler(**trained),
}
left = {}
for name, plan in plans.items():
    plan.set_timesteps(10)
    sigmas = plan.sigmas.numpy()
    left[name] = (sigmas / np.sqrt(sigmas**2 + 1)).tolist()
    print(f"{name:16} sigma", *(f"{sigma:.3g}" for sigma in sigmas))
show(line_plot(range(11), left, "step", "share of noise left"))

# %% [markdown] lang="ko" id="slicing-text"
# 둘 다 잡음뿐인 곳에서 시작해 0으로 끝나지만 길이 달라요. 영상 모델은 훨씬 큰 잡음(진짜 SVD는 sigma 700, 그림이 작은 미니는 80)에서 출발해요. 프레임이 여럿이고 그림이 크면 서로
# 닮은 칸이 많아서, 웬만한 잡음으로는 원래 모습이 다 가려지지 않기 때문이에요.
#
# ### 어텐션 슬라이싱
#
# **어텐션**(attention)은 그림의 모든 칸이 다른 모든 칸을 보는 계산이에요. 그대로 하면 칸 수의 제곱만큼 큰 표가 생겨요. **어텐션 슬라이싱**(attention slicing)은 표를
# 한꺼번에 만들지 않고 한 조각씩 만들어요. 메모리를 아끼는 대신 조금 느려요(수업에서는 약 10%). 그런데 요즘 torch에는 표를 아예 만들지 않는 계산이 들어 있고 diffusers가
# 그것을 써요. 세 가지를 직접 재 볼게요. 칸 2304개, 곧 512×288 그림 한 장의 크기예요.

# %% [markdown] lang="en" id="slicing-text"
# Both begin with nothing but noise and end at 0, but on different ways. The video model starts from far more noise
# (the real SVD from sigma 700, the mini, whose pictures are small, from 80): in
# large pictures and many frames much resembles its neighbours, so it takes more noise to hide what they show.
#
# ### Attention slicing
#
# In **attention** every cell of a picture looks at every other. Done plainly this makes a table as large as the number of cells
# squared. **Attention slicing** does not make the table at once but slice by slice. It saves memory and is a little slower (about 10%,
# says the class). But by now torch has a way that never makes the table at all, and diffusers uses it. Let us measure all three, with
# 2304 cells, those of one picture of 512×288.

# %% id="slicing"
heads, cells, size = 5, 64 * 36, 64  # ko| Stable Diffusion의 가장 넓은 층: 머리 5개, 머리마다 숫자 64개 # en| the widest layer of Stable Diffusion: 5 heads of 64 numbers
query, key, value = torch.randn(3, heads, cells, size, generator=torch.Generator().manual_seed(0))


def whole():
    return torch.softmax(query @ key.transpose(1, 2) / size**0.5, dim=-1) @ value


def sliced():
    slices = zip(query, key, value, strict=True)
    return torch.stack([torch.softmax(q @ k.T / size**0.5, dim=-1) @ v for q, k, v in slices])


def fused():
    return torch.nn.functional.scaled_dot_product_attention(query[None], key[None], value[None])[0]


answers, attention = {}, {}
for way in (whole, sliced, fused):
    way()  # ko| 처음 한 번은 느려서 재지 않아요 # en| the first time is slow and not measured
    with cost("cpu") as attention[way.__name__]:
        answers[way.__name__] = way()
for name, spent in attention.items():
    apart = (answers[name] - answers["whole"]).abs().max().item()
    mib, ms = spent["MiB"], 1000 * spent["seconds"]
    print(f"{name:7} {mib:5.0f} MiB {ms:5.0f} ms, max difference {apart:.0e}")

# %% [markdown] lang="ko" id="image-model-text"
# 답은 셋 다 같고(반올림 차이뿐) 메모리는 크게 달라요. 여기서 잰 시간은 CPU의 것이라, 수업에서 말하는 10%(GPU)와는 순서가 다를 수도 있어요. 1024×576이면 칸이 네 배라서 표는 열여섯 배가 돼요. 그래서 예전에는 슬라이싱이 꼭 필요했어요. 지금은 켜지 않아도
# 되지만, 수업과 똑같이 하려고 `attention_slicing=True`를 줘요.
#
# 이제 그림 모델을 불러와요. `draw`는 글과 생성기를 받아 그림을 내놓아요.

# %% [markdown] lang="en" id="image-model-text"
# The answers are the same (but for rounding), and memory differs a lot. The times here are a CPU's and may rank otherwise than on a
# GPU, of which the class's 10% speaks. At 1024×576 there are four times as many cells, and the table
# is sixteen times as large. That is why slicing was once a must. Today it can stay off; to do as the class does we give
# `attention_slicing=True`.
#
# Now we load the image model. `draw` takes a text and a generator and gives a picture.

# %% id="image-model"
# ko| Stable Diffusion 2.1은 512보다 작은 그림을 못 그려요.
# en| Stable Diffusion 2.1 cannot draw pictures smaller than 512.
fitting = "mini" if min(width, height) < 512 else "sd21"
image_pipe = load_image_pipeline(
    fitting if lesson.image_model == "auto" else lesson.image_model,
    attention_slicing=True,
)
image_pipe.set_progress_bar_config(disable=True)


def draw(prompt, generator, guidance_scale=7.5):
    settings = dict(guidance_scale=guidance_scale, width=width, height=height)
    return image_pipe(prompt, generator=generator, **settings).images[0]


parts = ("text_encoder", "unet", "vae")
for part in parts:
    numbers = sum(weight.numel() for weight in getattr(image_pipe, part).parameters())
    print(f"{part:13} {type(getattr(image_pipe, part)).__name__:22} {numbers / 1e6:7.1f} M")

# %% [markdown] lang="ko" id="guidance-text"
# ### 안내 7.5
#
# 그림 모델도 단계마다 두 번 짐작해요. 글을 보고 한 번, 보지 않고 한 번이요. 2강에서 본 안내(guidance)와 같아요. `guidance_scale=7.5`는 그 차이를 7.5배로 늘린다는
# 뜻이에요. 같은 시드로 네 가지 세기를 나란히 그려 볼게요.

# %% [markdown] lang="en" id="guidance-text"
# ### Guidance of 7.5
#
# The image model, too, guesses twice in every step: once with the text and once without. That is the guidance of lesson 2.
# `guidance_scale=7.5` enlarges the difference 7.5 times. We draw four strengths side by side, with the same seed.

# %% id="guidance"
guidances = [1, 4, 7.5, 12]
drawn = [draw(prompt, torch.Generator().manual_seed(seed), guidance) for guidance in guidances]
show(grid(drawn, [f"guidance {guidance:g}" for guidance in guidances], width=720))

# %% [markdown] lang="ko" id="words-text"
# 안내가 1이면 글을 느슨하게만 따라요. 미니로 재어 보니, 글에 나온 물건을 모두 그린 그림이 안내 1에서는 열에 하나, 4부터는 열에 아홉이 넘었어요. 대신 안내가 클수록 색이 진해지고
# 모양이 딱딱해져요. 7.5는 그 사이에서 고른 값이에요.
#
# ### 글은 어떻게 숫자가 되나
#
# **토크나이저**(tokenizer)가 글을 토큰으로 자르고, **텍스트 인코더**가 토큰마다 벡터를 만들어요. 아는 낱말은 토큰 하나가 되고, 모르는 낱말은 조각조각 나뉘어요.
# 미니의 토크나이저는 한국어와 영어를 함께 배웠어요. 진짜 Stable Diffusion은 영어 글로 배워서, 한글 한 글자가 토큰 두 개쯤의 뜻 없는 바이트로 나뉘어요. 그래서 진짜
# 모델에는 영어로 써야 해요.

# %% [markdown] lang="en" id="words-text"
# At 1 the text is followed only loosely. Measured on the mini: of ten pictures one showed every thing that the text names, and from 4 on
# more than nine did. But the stronger the guidance, the heavier the colours and the harder the shapes. 7.5 is a choice in between.
#
# ### How a text becomes numbers
#
# A **tokenizer** cuts the text into tokens, and the **text encoder** makes a vector of each. A word that it knows is one token, an
# unknown one falls to pieces. The mini's tokenizer has learnt Korean and English together. The real Stable Diffusion learnt from
# English: to it each Korean syllable is about two tokens of bytes without a meaning. So write English for the real model.

# %% tags=["korean-prompts"] id="words"
for text in (prompt, "말을 탄 우주비행사 사진", "a wombat playing chess"):
    tokens = image_pipe.tokenizer(text).input_ids[1:-1]
    print(len(tokens), "tokens:", " | ".join(image_pipe.tokenizer.decode([token]) for token in tokens))
known = miniature_words("en")  # ko| 한국어 이름은 "ko" # en| in Korean: "ko"
for kind, names in known.items():
    print(f"{len(names):3} {kind}:", ", ".join(names[:: max(1, len(names) // 8)]), "…")

# %% [markdown] lang="ko" id="prompts-text"
# 여섯 가지 글로 그려 볼게요. 셋은 한국어이고, 하나는 미니가 모르는 것이에요. 모르는 것을 시키면 미니는 아는 것 가운데서 무엇이든 그려요. 잡음을 내놓지는 않아요. 모르는 낱말의
# 조각이 아는 낱말일 때도 있어요. `wombat`의 조각을 위에서 다시 보세요. 미니는 무엇을 그렸나요?

# %% [markdown] lang="en" id="prompts-text"
# Six texts. Three are Korean, and one is of something that the mini does not know: then it draws something that it does know, and never
# mere noise. And a piece of a word that it does not know may be one that it does: look at the pieces of `wombat` above. What has it drawn?

# %% tags=["korean-prompts"] id="prompts"
texts = [
    "a red balloon on a beach",
    "눈 내린 들판의 여우",  # ko| 장소와 물건 # en| a fox in a snowy field
    "two rabbits in a meadow",
    "바닷속 거북이를 탄 펭귄",  # ko| 관계: 타다 # en| a penguin riding a turtle under the sea
    "밤하늘의 로켓, 불꽃놀이",  # ko| 장소가 둘 # en| a rocket in the night sky, fireworks
    "a wombat playing chess",
]
for number, text in enumerate(texts, 1):
    print(number, text)
drawn = [draw(text, torch.Generator().manual_seed(seed)) for text in texts]
show(grid(drawn, [str(number + 1) for number in range(len(texts))], width=672, columns=3))

# %% [markdown] lang="ko" id="generator-text"
# ## 생성기 하나를 나눠 쓰기
#
# **생성기**(generator)는 난수가 차례로 적힌 긴 두루마리와 같아요. 시드는 어느 두루마리를 쓸지 정하고, 한 번 뽑을 때마다 읽는 자리가 뒤로 가요. 같은 생성기로 두 번 뽑으면
# 다른 숫자가, 같은 시드로 새 생성기를 만들면 처음 숫자가 다시 나와요.

# %% [markdown] lang="en" id="generator-text"
# ## Sharing one generator
#
# A **generator** is like a long scroll of random numbers. The seed says which scroll; each draw moves the place of reading on. Draw
# twice from one generator, and you get other numbers. Make a fresh one from the same seed, and the first numbers come again.

# %% tags=["nbval-check-output"] id="generator"
generator = torch.Generator().manual_seed(1972088094)
draws = {"first": torch.randn(5, generator=generator), "reused": torch.randn(5, generator=generator)}
draws["fresh"] = torch.randn(5, generator=torch.Generator().manual_seed(1972088094))
for name, numbers in draws.items():
    print(f"{name:7}", *(f"{number:+.3f}" for number in numbers.tolist()))

# %% [markdown] lang="ko" id="order-text"
# 그림과 영상을 이어서 만들 때 두루마리는 이 차례로 읽혀요.
#
# 1. 그림 모델의 첫 잡음
# 2. 영상 모델이 그림에 더하는 잡음 (`noise_aug_strength`)
# 3. 영상 모델의 첫 잡음
#
# 영상을 만들 때 새 생성기를 쓰면 2번이 1번과 **같은 자리부터** 읽혀요. 그러면 그림을 만든 잡음과 그 그림에 더하는 잡음이 같은 숫자가 돼요. 서로 상관없어야 할 것이 상관있게 되는
# 거죠. 정말 그런지 상관 계수(correlation)를 재 볼게요. 1이면 똑같고 0이면 상관없어요.

# %% [markdown] lang="en" id="order-text"
# When an image and then a video are made, the scroll is read in this order:
#
# 1. the image model's first noise
# 2. the noise that the video model adds to the picture (`noise_aug_strength`)
# 3. the video model's first noise
#
# With a fresh generator for the video, 2 is read **from the same place** as 1. Then the noise that made the picture and the noise that
# is added to it are the same numbers: what should have nothing to do with each other does. Is that so? We measure the correlation: 1
# means equal, 0 unrelated.

# %% id="order"
channels = image_pipe.unet.config.in_channels  # ko| 그림 잠재값의 층 수 # en| of the picture's latents
image_shape, picture_shape = (1, channels, height // 8, width // 8), (1, 3, height, width)
correlation = {}
for name in ("reused", "fresh"):
    generator = torch.Generator().manual_seed(seed)
    of_image = torch.randn(image_shape, generator=generator).flatten()
    if name == "fresh":
        generator = torch.Generator().manual_seed(seed)
    of_picture = torch.randn(picture_shape, generator=generator).flatten()[: of_image.numel()]
    correlation[name] = torch.corrcoef(torch.stack([of_image, of_picture]))[0, 1].item()
    print(f"{name:7} correlation {correlation[name]:+.2f}")

# %% [markdown] lang="ko" id="helper-text"
# 새로 만들면 정확히 같은 숫자예요. 그래서 수업의 도우미 함수는 생성기를 하나만 만들어 **두 모델에 차례로** 넘겨요. 함수를 그대로 옮기고, 견주려고 `fresh`만 더했어요.

# %% [markdown] lang="en" id="helper-text"
# With a fresh one they are exactly the same numbers. That is why the class's helper makes only one generator and hands it **to both
# models in turn**. Here it is as it stands, with nothing added but `fresh`, to compare.

# %% id="helper"
pipe.set_progress_bar_config(disable=True)


def text2video(prompt, video_file, seed=-1, fresh=False, num_inference_steps=num_inference_steps):
    if seed == -1:
        seed = random.randrange(2**32)
    generator = torch.Generator().manual_seed(seed)  # ko| 두 모델이 나눠 쓸 생성기 # en| the generator that both models share
    image = draw(prompt, generator)  # ko| 글 → 그림 # en| text → image
    if fresh:
        generator = torch.Generator().manual_seed(seed)  # ko| 수업과 다르게: 처음부터 다시 # en| unlike the class: from the start again
    report = progress(video_file)
    settings = dict(decode_chunk_size=2, num_frames=num_frames, num_inference_steps=num_inference_steps)

    def after_step(pipe, step, timestep, tensors):
        report(step + 1, num_inference_steps, 0)
        return tensors

    frames = pipe(
        image,
        width=width,
        height=height,
        generator=generator,  # ko| 그림이 쓰고 남긴 자리부터 이어서 # en| going on where the image left it
        callback_on_step_end=after_step,
        **settings,
    ).frames[0]  # ko| 그림 → 영상 # en| image → video
    recipe = make_recipe(pipe, "draw", image, {"prompt": prompt, **settings})
    clip = Clip(frames, seed, recipe, image=image)
    clip.save(out_dir / video_file, fps=7)
    print("seed", seed)
    return clip


# %% [markdown] lang="ko" id="horse-text"
# ## 말을 탄 우주비행사
#
# 수업의 글과 시드예요. 먼저 그림을 보고, 그다음에 영상을 봐요.

# %% [markdown] lang="en" id="horse-text"
# ## An astronaut riding a horse
#
# The class's text and seed. First the picture, then the video.

# %% id="horse"
clips = {"horse": text2video(prompt, "horse.mp4", seed)}
show(grid([clips["horse"].image], width=448))
clips["horse"]

# %% id="horse-sheet"
show(clips["horse"].contact_sheet(columns=6, width=720))

# %% [markdown] lang="ko" id="city-text"
# ## 하늘에서 본 밤 도시
#
# 글에 찍는 방법까지 적을 수 있어요. 장노출(long exposure)은 셔터를 오래 열어 두어 차의 불빛이 줄로 남게 찍는 방법이에요. "instagram contest"는 뜻보다 분위기예요.
# 그런 말이 붙은 멋진 사진들을 배웠으니까요.

# %% [markdown] lang="en" id="city-text"
# ## A city at night, from the air
#
# A text can also say how the picture is taken. A long exposure leaves the shutter open, so that the lights of cars become trails.
# "instagram contest" is about the mood rather than the meaning: the model has learnt striking photos that come with such words.

# %% id="city"
city_prompt = "An aerial view of a city at night, long exposure, instagram contest"
clips["city"] = text2video(city_prompt, "city.mp4", 3815670667)
show(grid([clips["city"].image], width=448))
clips["city"]

# %% id="city-sheet"
show(clips["city"].contact_sheet(columns=6, width=720))

# %% [markdown] lang="ko" id="compare-text"
# 미니가 만든 도시에는 움직일 물건이 없어서, 미니는 카메라만 조금 움직여요(3강). 불빛은 가는 무늬라서 프레임마다 조금씩 뭉개져요. 진짜 SVD라면 카메라가 도시 위를 지나가는
# 영상을 기대할 만해요. 그런 영상을 많이 보고 배웠으니까요.
#
# ## 이어 쓴 생성기와 새 생성기
#
# 이제 같은 시드로 네 번 만들어요. 단계 수는 절반이에요.
#
# - `reused`: 수업처럼 생성기를 이어 써요.
# - `again`: 똑같이 한 번 더.
# - `fresh`: 영상에는 같은 시드의 새 생성기를 써요.
# - `picture`: 나온 그림만 가지고 `generate_video(그림, seed=같은 시드)`.

# %% [markdown] lang="en" id="compare-text"
# If the mini made it, nothing in the city can move, and so only the camera does, a little (lesson 3). The lights are a fine pattern and
# smear a bit more in each frame. Of the real SVD one may expect a camera that glides over the town, as in many of the videos that it has
# learnt from.
#
# ## The generator reused, and a fresh one
#
# Now we make it four times with the same seed, in half as many steps.
#
# - `reused`: the generator goes on, as in the class
# - `again`: the same once more
# - `fresh`: a fresh generator of the same seed for the video
# - `picture`: only the picture is kept: `generate_video(picture, seed=the same seed)`

# %% id="compare"
quick = max(1, num_inference_steps // 2)
for name in ("reused", "again", "fresh"):
    clips[name] = text2video(
        prompt, f"{name}.mp4", seed, fresh=name == "fresh", num_inference_steps=quick
    )
clips["picture"] = generate_video(
    clips["reused"].image,
    out_dir / "picture.mp4",
    seed,
    pipe=pipe,
    num_frames=num_frames,
    num_inference_steps=quick,
    on_step=progress("picture.mp4"),
)


def difference(one, other):
    # ko| 두 영상의 픽셀이 평균 얼마나 다른지(0~255).
    # en| How much the pixels of two videos differ on average (0 to 255).
    pairs = zip(clips[one].frames, clips[other].frames, strict=True)
    return float(np.mean([np.abs(np.asarray(a, dtype=float) - np.asarray(b)).mean() for a, b in pairs]))


labels = ["reused", f"fresh, differs by {difference('reused', 'fresh'):.2f}"]
together = side_by_side([clips["reused"], clips["fresh"]], labels)
together.save(out_dir / "compare_generator.mp4")
show(together.frames[-1])
together

# %% tags=["nbval-check-output"] id="same"
pairs = [("reused", "again"), ("fresh", "picture"), ("reused", "fresh")]
generator_difference = {f"{one}, {other}": difference(one, other) for one, other in pairs}
for pair, value in generator_difference.items():
    print(f"{pair:15}", "0" if value == 0 else "not 0")

# %% [markdown] lang="ko" id="why-text"
# 숫자가 말해 주는 것은 셋이에요.
#
# 1. **다시 만들 수 있어요.** `reused`와 `again`은 차이가 0이에요. 시드 하나면 그림도 영상도 그대로 나와요.
# 2. **그림과 시드만으로는 모자라요.** `picture`는 `fresh`와 같고 `reused`와는 달라요. 그림을 저장해 두었다가 같은 시드로 영상을 만들어도 아까 그 영상이 아니에요. 생성기가 이미
#    앞으로 가 있었으니까요. 같은 영상을 원하면 그림부터 다시 만들어야 해요.
# 3. **차례가 곧 결과예요.** 그림의 크기를 바꾸면 뽑는 숫자의 개수가 바뀌고, 그러면 영상이 읽기 시작하는 자리도 바뀌어요.
#
# `generate_text2video`는 이 모두를 한 번에 해 줘요. 같은 영상을 만들어 차이를 재 볼게요.

# %% [markdown] lang="en" id="why-text"
# The numbers say three things.
#
# 1. **It can be made again.** `reused` and `again` differ by 0. One seed brings back both the picture and the video.
# 2. **Picture and seed are not enough.** `picture` equals `fresh` and not `reused`. If you keep the picture and make a video of it with
#    the same seed, it is not the video you had, for then the generator had already moved on. To get that one, start from the text again.
# 3. **The order is the result.** Another size of the image means another count of numbers drawn, and so another place from which the
#    video begins to read.
#
# `generate_text2video` does it all in one call. We make the same video with it and measure the difference.

# %% id="call"
clips["call"] = generate_text2video(
    prompt,
    out_dir / "call.mp4",
    seed,
    image_pipe=image_pipe,
    pipe=pipe,
    num_frames=num_frames,
    num_inference_steps=num_inference_steps,
    on_step=progress("call.mp4"),
)
max_difference = difference("horse", "call")
print("difference", max_difference)

# %% [markdown] lang="ko" id="studio-text"
# ## 스튜디오: 글부터
#
# 프롬프트를 적고 **만들기**를 누르면 그림이 먼저 나오고, 이어서 그 그림이 움직여요. 같은 시드 하나를 두 모델이 나눠 쓰는 것까지 이 강의의 `generate_text2video` 그대로예요. 프롬프트에 모델이 읽지 못하는
# 말이 있으면 알려 줘요.

# %% [markdown] lang="en" id="studio-text"
# ## The studio: from a text
#
# Write a prompt and press **Generate**: first comes the picture, then it moves. The panel makes this lesson's call of
# `generate_text2video`, with the one seed that both models share, and says which parts of your prompt the model cannot read.

# %% id="studio"
studio = text_studio(
    pipe,
    image_pipe,
    prompt=lesson.prompt,
    out_dir=out_dir / "studio",
    seed=seed,
    num_frames=num_frames,
    num_inference_steps=num_inference_steps,
)
studio

# %% [markdown] lang="ko" id="end-text"
# ## 직접 해 보기
#
# **1.** `reused`와 `fresh`의 영상은 얼마나 다른가요? 2강에서 시드를 바꿨을 때와 견줘 보세요.
#
# <details><summary>풀이</summary>
# <p>시드를 바꿨을 때와 비슷해요. 생성기에서 다른 자리를 읽는 것은 다른 시드를 쓰는 것과 마찬가지예요.</p>
# <pre><code>clips["other"] = text2video(prompt, "other.mp4", (seed + 1) % 2**32, num_inference_steps=quick)
# print(difference("reused", "fresh"), difference("reused", "other"))</code></pre>
# </details>
#
# **2.** 그림 모델이 난수를 하나만 더 뽑았다면 영상이 달라질까요? 생성기를 직접 움직여서 확인해 보세요.
#
# <details><summary>풀이</summary>
# <p>달라져요. 한 자리만 밀려도 그 뒤의 숫자가 모두 다른 자리로 가요.</p>
# <pre><code>generator = torch.Generator().manual_seed(seed)
# image = draw(prompt, generator)
# torch.randn(1, generator=generator)
# moved = pipe(image, width=width, height=height, generator=generator, decode_chunk_size=2,
#              num_frames=num_frames, num_inference_steps=quick).frames[0]
# show(grid([clips["reused"].frames[-1], moved[-1]], ["reused", "one number later"]))</code></pre>
# </details>
#
# **3.** 영상은 그대로 두고 재생만 두 배로 빠르게 저장해 보세요.
#
# <details><summary>풀이</summary>
# <p>프레임은 이미 있으니 다시 계산하지 않아도 돼요.</p>
# <pre><code>clips["horse"].save(out_dir / "horse_fast.mp4", fps=14)
# clips["horse"]</code></pre>
# </details>
#
# ## 정리
#
# | 이름 | 뜻 | 수업의 값 |
# |---|---|---|
# | `prompt` | 무엇을 그릴지. Stable Diffusion은 영어를 배웠어요 | 우주비행사, 밤 도시 |
# | `EulerDiscreteScheduler` | 단계마다 잡음을 얼마나 남길지 정하는 계획표 | 그림과 영상 모두 |
# | `subfolder` | 모델 폴더 안에서 읽을 부품 | `"scheduler"` |
# | 어텐션 슬라이싱 | 큰 표를 조각내어 메모리를 아껴요. 요즘 torch에서는 없어도 돼요 | 켬 |
# | `guidance_scale` | 글을 얼마나 강하게 따를지 | 7.5 |
# | `generator` | 난수 두루마리. 그림이 읽고 남긴 자리부터 영상이 이어 읽어요 | 하나를 나눠 씀 |
# | `seed` | 어느 두루마리인지 | 1972088094, 3815670667 |
# | `num_frames` | 프레임 수 | 12 |
#
# 이것으로 수업이 끝났어요. 마지막 셀은 잰 값을 모두 `result.json`에 남겨요.

# %% [markdown] lang="en" id="end-text"
# ## Try it yourself
#
# **1.** How far apart are the videos `reused` and `fresh`? Compare with another seed, as in lesson 2.
#
# <details><summary>Solution</summary>
# <p>About as far as with another seed. To read from another place of the generator is as good as another seed.</p>
# <pre><code>clips["other"] = text2video(prompt, "other.mp4", (seed + 1) % 2**32, num_inference_steps=quick)
# print(difference("reused", "fresh"), difference("reused", "other"))</code></pre>
# </details>
#
# **2.** If the image model drew just one number more, would the video change? Move the generator yourself and see.
#
# <details><summary>Solution</summary>
# <p>It would. Shifted by one place, all the numbers that follow end up elsewhere.</p>
# <pre><code>generator = torch.Generator().manual_seed(seed)
# image = draw(prompt, generator)
# torch.randn(1, generator=generator)
# moved = pipe(image, width=width, height=height, generator=generator, decode_chunk_size=2,
#              num_frames=num_frames, num_inference_steps=quick).frames[0]
# show(grid([clips["reused"].frames[-1], moved[-1]], ["reused", "one number later"]))</code></pre>
# </details>
#
# **3.** Leave the video as it is and save it to play twice as fast.
#
# <details><summary>Solution</summary>
# <p>The frames are there already; nothing is computed again.</p>
# <pre><code>clips["horse"].save(out_dir / "horse_fast.mp4", fps=14)
# clips["horse"]</code></pre>
# </details>
#
# ## Summary
#
# | name | meaning | in the class |
# |---|---|---|
# | `prompt` | what to draw; Stable Diffusion has learnt English | an astronaut, a city at night |
# | `EulerDiscreteScheduler` | the plan of how much noise each step leaves | for the image and the video |
# | `subfolder` | the part to read from a model's folder | `"scheduler"` |
# | attention slicing | makes a large table in slices to save memory; today's torch can do without | on |
# | `guidance_scale` | how strongly to follow the text | 7.5 |
# | `generator` | a scroll of random numbers; the video reads on where the image stopped | one, shared |
# | `seed` | which scroll | 1972088094, 3815670667 |
# | `num_frames` | number of frames | 12 |
#
# This is the end of the class. The last cell keeps everything that was measured in `result.json`.

# %% id="finish"
measured = {
    "image_model": image_pipe.svd_lab_name,
    "correlation": correlation,
    "difference": generator_difference,
    "attention_milliseconds": {name: 1000 * spent["seconds"] for name, spent in attention.items()},
    "attention_mib": {n: s["MiB"] for n, s in attention.items()},
    "max_difference": max_difference,
}
finish_lesson(lesson, clips, measured)
