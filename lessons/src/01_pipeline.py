# %% [markdown] lang="ko" id="title"
# # 1. Stable Video Diffusion 파이프라인
#
# 그림 한 장에서 시작하는 짧은 영상을 만들어요. 먼저 수업의 코드를 수업의 순서대로 써 보고, `svd_lab.generate_video`의 영상과 픽셀을 비교해요. 그다음에
# 파이프라인 안을 들여다보면서, 노이즈(noise)가 어떻게 영상이 되는지 알아봐요.
#
# | | |
# |---|---|
# | 만드는 것 | 영상 `rocket.mp4`, 노이즈에서 영상이 나타나는 과정을 담은 그림 `noise_to_video.jpg` |
# | 필요한 것 | `svd-lab` 설치. GPU, 계정, 네트워크는 없어도 돼요 |
# | 걸리는 시간 | 미니로 CPU 코어 하나에서 {time}(저장된 실행에서 잰 값). 이번에 걸린 시간은 마지막 셀이 알려 줘요 |
# | 문제 | 14개. 답을 적고 셀을 실행하면 바로 채점해요. ☐ 아직, ✓ 맞음, ✗ 다시(힌트는 세 단계) |
#
# GPU가 없으면 패키지에 들어 있는 **미니**(mini)를 써요. 진짜 모델과 같은 diffusers 클래스로 만들었지만 크기는 백 분의 일쯤이에요. 원리를 배우기에는 충분하고, 멋진 영상을
# 만들기에는 부족해요. GPU가 있으면 같은 코드가 진짜 모델로 돌아가요. 이 노트북의 그림과 숫자는 모두 미니로 만든 거예요.

# %% [markdown] lang="en" id="title"
# # 1. The Stable Video Diffusion pipeline
#
# We make a short video that starts from one picture. First we write the class's code in the class's order, and compare its
# pixels with those of `svd_lab.generate_video`. Then we look inside the pipeline and see how noise becomes a video.
#
# | | |
# |---|---|
# | You make | a video, `rocket.mp4`, and a picture of a video emerging from noise, `noise_to_video.jpg` |
# | You need | `svd-lab` installed; no GPU, no account, no network |
# | It takes | {time} with the mini on one CPU core (measured in the saved run). The last cell reports the time of this run |
# | Exercises | 14. Write an answer, run the cell, and it is checked at once: ☐ open, ✓ right, ✗ try again (hints in three steps) |
#
# Without a GPU this runs the **mini** that ships with the package. It is built from the same diffusers classes as the real model, at
# about a hundredth of its size: enough to learn how things work, too little for beautiful videos. With a GPU the same code runs the
# real model. Every picture and number in this notebook was made with the mini.

# %% [markdown] lang="ko" id="instructor" tags=["instructor"]
# # 1강 지도 노트: Stable Video Diffusion 파이프라인
#
# **목표.** 수업의 코드를 처음부터 끝까지 읽고 쓸 수 있다. `svd_lab.generate_video`가 같은 일을 한다는 것을 숫자로 확인한다. VAE, CLIP, 유넷이 무엇을 받고 무엇을
# 내는지 말할 수 있다. 그럴듯한 설명과 잰 결과를 구별한다.
#
# | 부분 | 분 | 내용 |
# |---|---|---|
# | 1부 수업의 코드 | 20 | 라이브러리, `from_pretrained`, 도우미 함수, 시드와 fps (문제 1.1~1.5) |
# | 2부 같은 영상 | 5 | 최대 차이 0 (1.6) |
# | 3부 파이프라인 안 | 30 | VAE, 유넷, CLIP 벡터, 예측과 가이던스 (1.7~1.14) |
#
# **흔한 오해와 해 줄 말**
#
# - "첫 프레임은 입력 그림이다." 첫 프레임의 차이 그림과 VAE의 차이 그림을 나란히 보여 주세요. 거의 같아요.
# - "`fps=7`이 움직임을 정한다." 여기서는 저장할 때의 fps예요. 파이프라인에 조건으로 주는 `fps`는 2강에서 나와요.
# - "CLIP이 무엇을 움직일지 알려 준다." 로켓에서는 벡터를 바꿔도 거의 그대로예요. 왜 다른 그림에서는 다를 수 있는지 물어보세요. 잠재 표현만으로 알아보기 어려운 그림을
#   찾게 하세요.
# - "초반의 예측은 원래 색이 이상하다." 같은 노이즈라도 가이던스가 없으면 색이 맞아요. 마지막 그림이 근거예요.
#
# **시간이 모자라면** 1.3과 1.9를 숙제로 돌리고 3부의 CLIP 절을 건너뛰세요. **건너뛰면 안 되는 것**: 1.6과 마지막 그래프(1.13, 1.14).
#
# 풀이: `lessons/solutions/ko/01_pipeline.ipynb`

# %% [markdown] lang="en" id="instructor" tags=["instructor"]
# # Instructor notes for lesson 1: the Stable Video Diffusion pipeline
#
# **Goals.** Students read and write the class's code from beginning to end; they verify in numbers that `svd_lab.generate_video` does the
# same; they can say what VAE, CLIP and UNet receive and return; they tell a plausible explanation from a measured result.
#
# | part | minutes | content |
# |---|---|---|
# | 1. The class's code | 20 | libraries, `from_pretrained`, the helper, seed and fps (exercises 1.1 to 1.5) |
# | 2. The same video | 5 | max difference 0 (1.6) |
# | 3. Inside the pipeline | 30 | VAE, UNet, CLIP vector, predictions and guidance (1.7 to 1.14) |
#
# **Misconceptions, and what to say**
#
# - "The first frame is the input picture." Show the difference picture of the first frame beside the VAE's: they are nearly the same.
# - "`fps=7` fixes the motion." Here it is the fps of the file. The `fps` that conditions the pipeline comes in lesson 2.
# - "CLIP tells what is going to move." For the rocket, another vector changes hardly anything. Ask why that may differ for other
#   pictures; let students look for one that is hard to recognise from its latents.
# - "Early predictions have strange colours anyway." Without guidance, the same noise leaves the right colours; see the last figure.
#
# **Short of time?** Make 1.3 and 1.9 homework and skip the part on CLIP. **Do not skip** 1.6 and the last plot (1.13, 1.14).
#
# Solutions: `lessons/solutions/en/01_pipeline.ipynb`

# %% tags=["parameters"] id="parameters"
model: str = "auto"  # ko| 모델: auto(GPU가 있으면 svd, 없으면 mini), mini, svd, 폴더, Hub ID # en| auto (svd on a GPU, else mini), mini, svd, a folder or a Hub id
seed: int = 42  # ko| 시드: 0~4294967295, -1이면 무작위로 뽑음 # en| 0 to 4294967295; -1 draws one
picture: str = "rocket"  # ko| 들어 있는 그림(ball, balloon, boat, car, rabbit, rocket), 파일 경로, 웹 주소 # en| bundled (ball, balloon, boat, car, rabbit, rocket), a path or an address
num_frames: int = 10  # ko| 만들 프레임 수, 2 이상 # en| frames to make, at least 2
num_inference_steps: int = 10  # ko| 노이즈를 제거하는 스텝 수, 1 이상 # en| denoising steps, at least 1
out_dir: str = "out/01_pipeline"  # ko| 결과를 담을 폴더 # en| folder for the results

# %% [markdown] lang="ko" id="check-text"
# 위 셀의 값을 바꾸면 노트북 전체가 그 값으로 돌아가요. 이런 값을 매개변수(parameter)라고 해요. 아래 셀의 `start_lesson`은 값이 올바른지 먼저 확인해서, 잘못된 값이
# 있으면 무엇이 잘못됐는지 몇 초 안에 알려 줘요. 결과는 모두 `out_dir` 폴더에 저장해요.

# %% [markdown] lang="en" id="check-text"
# Change a value in the cell above, and the whole notebook runs with it. Such values are called parameters. `start_lesson` in the next
# cell checks them first, so that a wrong value is reported within seconds. All results go into the folder `out_dir`.

# %% id="check"
from svd_lab.lesson import check, find_model, finish_lesson, start_lesson

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
lesson.picture.save(out_dir / "picture.png")

# %% [markdown] lang="ko" id="about"
# ## 1부. 수업의 코드
#
# **Stable Video Diffusion**(SVD)은 그림 한 장에서 2~4초짜리 1024×576 영상을 만드는 비디오 확산 모델(video diffusion model)이에요. 2023년 논문
# [Stable Video Diffusion: Scaling Latent Video Diffusion Models to Large Datasets](https://arxiv.org/abs/2311.15127)에서 나왔고, 글에서 그림을 만드는
# [Stable Diffusion](https://github.com/CompVis/stable-diffusion)을 바탕으로 만들었어요.
#
# 이 강의들은 GPU가 있는 JupyterLab에서 하는 한국어 SVD 수업을 따라가요. 앞으로 **수업**이라고 하면 그 수업이에요.
#
# ### 라이브러리
#
# - `random`, `subprocess`: 무작위 수를 뽑고, 다른 프로그램(ffmpeg)을 실행해요. 파이썬에 들어 있어요.
# - `torch`: 계산을 맡는 라이브러리예요.
# - `diffusers`: 확산 모델을 모아 둔 라이브러리예요. 파이프라인(pipeline)과, 그림을 읽고(`load_image`) 영상을 쓰는(`export_to_video`) 도우미 함수를 가져와요.
# - `IPython.display`: 노트북에 영상을 보여 줘요.
# - `svd_lab`: 이 패키지예요. 수업에는 없어요. torch보다 먼저 가져오면 CPU에서 torch가 더 빨라져요(위의 `start_lesson` 셀에서 이미
#   가져왔어요).

# %% [markdown] lang="en" id="about"
# ## Part 1. The class's code
#
# **Stable Video Diffusion** (SVD) is a video diffusion model: from one picture it makes a video of 2 to 4 seconds, 1024×576 pixels. It
# comes from the paper
# [Stable Video Diffusion: Scaling Latent Video Diffusion Models to Large Datasets](https://arxiv.org/abs/2311.15127) (2023) and builds
# on [Stable Diffusion](https://github.com/CompVis/stable-diffusion), which makes pictures from text.
#
# These lessons follow a hands-on class on SVD that is taught in Korean, in a JupyterLab with a GPU. From here on, **the class** means
# that one.
#
# ### Libraries
#
# - `random`, `subprocess`: draw random numbers, and run another program (ffmpeg). Part of Python.
# - `torch` does the computing.
# - `diffusers` is a library of diffusion models. We take the pipeline from it, and helpers that read a picture (`load_image`) and write
#   a video (`export_to_video`).
# - `IPython.display` shows videos in a notebook.
# - `svd_lab` is this package; the class does not have it. Imported before torch, it makes torch faster on a CPU (the
#   cell with `start_lesson` has done so).

# %% id="libraries"
import random
import subprocess

import torch
from diffusers import StableVideoDiffusionPipeline
from diffusers.utils import export_to_video, load_image
from IPython.display import Video, display

import svd_lab

# %% [markdown] lang="ko" id="load-text"
# ### 파이프라인 불러오기
#
# 파이프라인은 여러 신경망을 정해진 순서로 이어 놓은 것이에요. 수업에서는 이렇게 불러와요.
#
# ```python
# pipe = StableVideoDiffusionPipeline.from_pretrained(
#     "stabilityai/stable-video-diffusion-img2vid", torch_dtype=torch.float16, variant="fp16"
# )
# pipe.to("cuda")
# ```
#
# 아래 셀도 같은 호출이에요. 다만 이 컴퓨터에 어떤 모델과 장치가 있는지는 `find_model`에게 물어봐요. 인자(argument)의 뜻은 옆에 적었어요. 수업의 `torch_dtype`은 요즘
# diffusers에서 이름이 `dtype`으로 바뀌었어요.

# %% [markdown] lang="en" id="load-text"
# ### Loading the pipeline
#
# A pipeline is several neural networks joined in a fixed order. The class loads it like this:
#
# ```python
# pipe = StableVideoDiffusionPipeline.from_pretrained(
#     "stabilityai/stable-video-diffusion-img2vid", torch_dtype=torch.float16, variant="fp16"
# )
# pipe.to("cuda")
# ```
#
# The next cell makes the same call, but asks `find_model` which model and which device this computer has. What each argument means is
# written beside it. The class's `torch_dtype` is called `dtype` in current versions of diffusers.

# %% id="load"
here = find_model(lesson.model)
width, height = here.size
print(here)

pipe = StableVideoDiffusionPipeline.from_pretrained(
    here.folder,  # ko| 모델이 있는 곳: 폴더 또는 Hub ID # en| where the model is: a folder or a Hub id
    dtype=here.dtype,  # ko| 수의 정밀도: GPU는 16비트, CPU는 32비트 # en| precision: 16 bits on a GPU, 32 on a CPU
    variant=here.variant,  # ko| "fp16"이면 16비트로 저장된 파일 # en| "fp16" picks the files stored in 16 bits
    use_safetensors=True,  # ko| 악성 코드를 담을 수 없는 파일 형식 # en| a file format that cannot contain malicious code
)
here.move(
    pipe
)  # ko| pipe.to("cuda")와 같아요. 작은 GPU에는 나눠서 올려요 # en| like pipe.to("cuda"); a small GPU gets it in parts
pipe.set_progress_bar_config(disable=True)

# %% [markdown] lang="ko" id="helper-text"
# ### 도우미 함수 generate_video
#
# 수업의 도우미 함수(helper)예요. 그림을 읽어 크기를 맞추고, 시드(seed)로 난수 생성기(generator)를 만들고, 파이프라인을 부르고, 프레임(frame)들을 mp4로 저장해요.
# `export_to_video`가 쓴 파일을 ffmpeg로 다시 인코딩하는 것은 브라우저에서 잘 재생되게 하려는 거예요. ffmpeg의 옵션은 셋이에요.
#
# - `-y`: 같은 이름의 파일이 있으면 물어보지 않고 덮어써요.
# - `-hide_banner`: 버전 안내를 출력하지 않아요.
# - `-loglevel error`: 오류만 출력해요.
#
# 크기를 바꾸는 `resize`는 비율이 다르면 그림을 늘이거나 눌러요. 3강에서 다른 방법을 배워요.

# %% [markdown] lang="en" id="helper-text"
# ### The helper generate_video
#
# This is the class's helper function. It reads the picture and resizes it, makes a random number generator from the seed, calls the
# pipeline, and saves the frames as an mp4. The file that `export_to_video` writes is encoded again with ffmpeg, so that browsers play
# it well. Its three options:
#
# - `-y`: overwrite a file of that name without asking.
# - `-hide_banner`: do not print the version.
# - `-loglevel error`: print errors only.
#
# `resize` stretches a picture of another shape. Lesson 3 shows other ways.

# %% id="helper"
# ko| 이 패키지와 함께 설치된 ffmpeg
# en| the ffmpeg that was installed with this package
from imageio_ffmpeg import get_ffmpeg_exe


def play(file):
    # ko| width는 화면에서의 너비예요. 진짜 모델의 영상은 더 커요.
    # en| width is that on the page; videos of the real model are larger.
    attributes = "controls autoplay loop muted"
    display(Video(str(file), embed=True, width=max(width, 448), html_attributes=attributes))


def generate_video(image_url, video_file, seed=42):
    image = load_image(str(image_url)).resize(
        (width, height)
    )  # ko| 진짜 모델은 1024×576 # en| 1024x576 with the real model
    if seed == -1:
        seed = random.randint(0, 2**32)  # ko| -1이면 무작위로 뽑아요 # en| -1 draws one at random
    generator = torch.manual_seed(seed)  # ko| 같은 시드, 같은 노이즈, 같은 영상 # en| same seed, same noise, same video
    frames = pipe(
        image,
        height=height,
        width=width,
        decode_chunk_size=2,  # ko| 한 번에 디코딩할 프레임 수. 크면 메모리를 더 써요 # en| frames decoded at a time; more take more memory
        generator=generator,
        num_frames=num_frames,  # ko| 수업에서는 10 # en| 10 in the class
        num_inference_steps=num_inference_steps,  # ko| 수업에서는 10. 많을수록 느려요 # en| 10 in the class; more are slower
    ).frames[0]  # ko| 영상의 목록에서 첫째 # en| the first of a list of videos
    export_to_video(frames, str(out_dir / "tmp.mp4"), fps=7)  # ko| 1초에 7프레임으로 재생 # en| plays 7 frames a second
    command = [get_ffmpeg_exe(), *"-y -hide_banner -loglevel error".split()]
    subprocess.run([*command, "-i", str(out_dir / "tmp.mp4"), str(video_file)], check=True)
    print("seed", seed)
    play(video_file)
    return frames


# %% [markdown] lang="ko" id="rocket-text"
# ### 로켓 발사
#
# 함수를 부르기 전에 먼저 예상해 보세요. 답을 적고 셀을 실행하면 채점해요.
#
# **1.1 (예상)** 만들어진 영상의 첫 프레임은 입력 그림과 어떤 관계일까요?
#
# - a. 복사한 것이라 픽셀까지 똑같다.
# - b. 아주 비슷하지만 같지는 않다.
# - c. 노이즈에서 시작하니까 전혀 다르다.

# %% [markdown] lang="en" id="rocket-text"
# ### A rocket launch
#
# Before you call the function, predict. Write your answer and run the cell to have it checked.
#
# **1.1 (predict)** How is the first frame of the video related to the input picture?
#
# - a. It is a copy, equal to the pixel.
# - b. It is very similar, but not equal.
# - c. It starts from noise, so it is completely different.

# %% id="q-first-frame"
answer = ...  # solution| "b"
check("1.1", answer)

# %% id="rocket" alt_ko="로켓이 왼쪽 아래에서 오른쪽 위로 올라가는 10프레임 영상" alt_en="A video of 10 frames: a rocket climbs from the lower left to the upper right"
frames = generate_video(out_dir / "picture.png", out_dir / "rocket.mp4", seed)

# %% [markdown] lang="ko" id="first-frame-text"
# 로켓이 올라가요. 어느 쪽으로 움직이라고 말해 준 적은 없어요. 학습한 영상에서 이런 로켓이 비스듬히 올라갔기 때문일 거예요(가설이에요. 2강에서 학습 데이터의 식과
# 비교해요). 이제 첫 프레임을 입력 그림과 비교해요. 맨 오른쪽은 **차이를 10배로 키운 그림**(difference map)이에요. 검은
# 곳은 같고, 밝을수록 많이 달라요. 두 그림이 얼마나 비슷한지는 **PSNR**(최대 신호 대 잡음비)로 재요. 단위는 데시벨(dB)이고, 클수록 비슷해요. 픽셀 차이의 제곱을 평균한
# MSE로 계산해요: $\mathrm{PSNR} = 10 \log_{10}(255^2 / \mathrm{MSE})$. 10 dB가 커지면 MSE가 10분의 1이에요.

# %% [markdown] lang="en" id="first-frame-text"
# The rocket climbs, although nobody told it which way to go: probably because such rockets climbed at a slant in the videos of its
# training (a hypothesis; lesson 2 compares it with the formula of those videos). Now we compare the first frame with the input
# picture. On the right is their **difference, times 10**: black where they are equal, brighter where they differ more. How similar
# two pictures are is measured as **PSNR** (peak signal-to-noise ratio) in decibels (dB); higher is more similar. It is computed from
# the mean squared difference of the pixels, the MSE: $\mathrm{PSNR} = 10 \log_{10}(255^2 / \mathrm{MSE})$. Ten dB more means a tenth
# of the MSE.

# %% id="first-frame" alt_ko="입력 그림, 영상의 첫 프레임, 둘의 차이를 10배로 키운 그림. 윤곽선과 별에서만 밝아요" alt_en="The input picture, the first frame, and their difference times 10, bright only at outlines and stars"
import numpy as np

# ko| 그림을 나란히 보여 주는 도구
# en| tools that show pictures side by side
from svd_lab.lesson.figures import difference_map, grid, show

image = load_image(str(out_dir / "picture.png")).resize((width, height))


def psnr(one, other):
    error = np.mean((np.asarray(one, dtype=float) - np.asarray(other, dtype=float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-10)))


first_frame_psnr = psnr(frames[0], image)
moved_psnr = psnr(
    frames[0], frames[-1]
)  # ko| 비교할 값: 로켓이 움직인 뒤 # en| for comparison: after the rocket has moved
print(f"first frame and input {first_frame_psnr:.1f} dB, first and last frame {moved_psnr:.1f} dB")
labels = ["input picture", f"first frame, {first_frame_psnr:.1f} dB", "difference x 10"]
show(grid([image, frames[0], difference_map(frames[0], image)], labels, columns=3, width=1000))

# %% [markdown] lang="ko" id="seed-text"
# 첫 프레임도 모델이 만든 거예요. 입력 그림은 **조건**(condition)으로 들어갔을 뿐이라서, 아주 비슷하지만 같지는 않아요. 로켓이 움직인 마지막 프레임과의 dB는 훨씬 낮아요.
#
# ### 시드 -1과 경계값
#
# 도우미 함수는 시드가 -1이면 `random.randint(0, 2**32)`로 하나를 뽑아요. 여기에는 작은 함정이 있어요. 파이썬의 `random.randint(a, b)`는 **b도 뽑을 수 있어요**.
# 아래 셀은 경계값(boundary value) 셋을 시드로 써 봐요: 0, `2**32 - 1`, `2**32`.
#
# **1.2 (예상)** 세 시드의 노이즈 가운데 서로 같은 것은?
#
# - a. 없다. 시드가 다르면 노이즈도 다르다.
# - b. 0과 `2**32 - 1`
# - c. 0과 `2**32`

# %% [markdown] lang="en" id="seed-text"
# The first frame, too, is made by the model. The input picture is only a **condition**, so the frame is very similar but not equal.
# Against the last frame, in which the rocket has moved, the dB are far lower.
#
# ### Seed -1 and a boundary
#
# If the seed is -1, the helper draws one with `random.randint(0, 2**32)`. There is a small trap: Python's `random.randint(a, b)` **can
# also return b**. The next cell uses three boundary values as seeds: 0, `2**32 - 1` and `2**32`.
#
# **1.2 (predict)** Which of the three seeds give the same noise?
#
# - a. None: another seed, another noise.
# - b. 0 and `2**32 - 1`
# - c. 0 and `2**32`

# %% id="q-boundary"
answer = ...  # solution| "c"
check("1.2", answer)

# %% tags=["nbval-check-output"] id="seed"
drawn = {}
for boundary in (0, 2**32 - 1, 2**32):
    drawn[boundary] = torch.randn(3, generator=torch.Generator().manual_seed(boundary)).tolist()
    print(f"{boundary:>10}", [round(value, 4) for value in drawn[boundary]])

# %% [markdown] lang="ko" id="seed-question"
# 시드 0과 `2**32`는 같은 노이즈를 줘요. CPU 생성기는 시드의 아래 32비트만 쓰기 때문이에요. 그래서 서로 다른 시드는 0부터 `2**32 - 1`까지예요.
#
# **1.3 (코드 쓰기)** 0부터 `2**32 - 1`까지의 수 가운데 하나를 돌려주는 함수 `draw_seed`를 완성하세요.

# %% [markdown] lang="en" id="seed-question"
# Seeds 0 and `2**32` give the same noise, because the CPU generator uses only the lower 32 bits of a seed. So the different seeds are
# 0 to `2**32 - 1`.
#
# **1.3 (write code)** Complete the function `draw_seed`, which returns one of the numbers 0 to `2**32 - 1`.


# %% id="q-seed"
def draw_seed():
    return ...  # solution| random.randrange(2**32)


check("1.3", draw_seed)

# %% [markdown] lang="ko" id="fps-question"
# ### 7 fps
#
# 도우미 함수의 마지막 인자 `fps=7`은 파일을 1초에 7프레임씩 재생하라는 뜻이에요.
#
# **1.4 (기억)** `export_to_video(frames, "tmp.mp4", fps=7)`에서 7을 14로 바꾸면 무엇이 달라질까요?
#
# - a. 같은 프레임을 두 배 빠르게 재생한다.
# - b. 모델이 두 배 많은 프레임을 만든다.
# - c. 로켓이 프레임마다 움직이는 거리가 절반이 된다.
#
# **1.5 (값 바꾸기)** 아래 셀의 `play_fps`를 바꾸고 다시 실행해서, 영상이 **2.5초** 동안 재생되게 하세요. 그때의 `play_fps`를 답으로 적으세요.

# %% [markdown] lang="en" id="fps-question"
# ### 7 fps
#
# The last argument, `fps=7`, tells players to show 7 frames a second.
#
# **1.4 (recall)** In `export_to_video(frames, "tmp.mp4", fps=7)`, what changes if 7 becomes 14?
#
# - a. The same frames play twice as fast.
# - b. The model makes twice as many frames.
# - c. The rocket moves half as far from frame to frame.
#
# **1.5 (change a value)** Change `play_fps` in the cell below and run it again, until the video plays for **2.5 seconds**. Answer with
# that `play_fps`.

# %% id="q-fps" alt_ko="같은 로켓 영상" alt_en="The same rocket video"
answer = ...  # solution| "a"
check("1.4", answer)

play_fps = 7  # ko| 이 값을 바꿔 보세요 # en| change this value
export_to_video(frames, str(out_dir / "played.mp4"), fps=play_fps)
play(out_dir / "played.mp4")
print(f"{len(frames)} frames at {play_fps} fps: {len(frames) / play_fps:.2f} seconds")

answer = ...  # solution| len(frames) / 2.5
check("1.5", answer, frames=len(frames))

# %% [markdown] lang="ko" id="ours-text"
# ## 2부. svd_lab.generate_video와 비교하기
#
# 이 패키지의 `svd_lab.generate_video`는 수업의 도우미 함수와 이름과 기본값이 같아요. 파이프라인은 `pipe=`로 넘겨요. 돌려주는 **클립**(clip)은 셀의 마지막 줄에 쓰면
# 재생돼요.
#
# **1.6 (예상)** 같은 그림, 같은 시드, 같은 파이프라인이에요. 두 영상의 픽셀 값(0~255)은 가장 많이 다른 곳에서 얼마나 다를까요?
#
# - a. 0. 완전히 같다.
# - b. 1~2. 반올림 때문에 조금 다르다.
# - c. 10 이상. 노이즈를 새로 뽑으니 다르다.

# %% [markdown] lang="en" id="ours-text"
# ## Part 2. Compared with svd_lab.generate_video
#
# `svd_lab.generate_video` of this package has the name and the defaults of the class's helper. The pipeline is handed over as `pipe=`. It
# returns a **clip**, which plays when it is the last line of a cell.
#
# **1.6 (predict)** Same picture, same seed, same pipeline. Where the two videos differ most, by how much do their pixel values (0 to
# 255) differ?
#
# - a. 0: they are identical.
# - b. 1 or 2: a little, by rounding.
# - c. 10 or more: the noise is drawn anew.

# %% id="q-equal"
answer = ...  # solution| "a"
check("1.6", answer)

# %% id="ours" alt_ko="svd_lab.generate_video로 만든 같은 로켓 영상" alt_en="The same rocket video, made by svd_lab.generate_video"
clip = svd_lab.generate_video(
    image,
    out_dir / "ours.mp4",
    seed,
    pipe=pipe,
    num_frames=num_frames,
    num_inference_steps=num_inference_steps,
)
clip


# %% tags=["nbval-check-output"] id="equal"
def as_array(made):
    return np.stack([np.asarray(frame, dtype=int) for frame in made])


class_pixels, our_pixels = as_array(frames), as_array(clip.frames)
max_difference = int(np.abs(class_pixels - our_pixels).max())
print("frames", len(our_pixels), "max difference", max_difference)

# %% [markdown] lang="ko" id="same-text"
# 차이는 0이에요. 이제부터는 `svd_lab.generate_video`를 써요. 프레임 말고는 이런 점이 주로 달라요.
#
# | 수업의 코드 | `svd_lab.generate_video` |
# |---|---|
# | `fps=7`은 파일의 재생 속도예요 | `fps`는 모델에 주는 조건이에요. 재생 속도는 `playback_fps`(2강) |
# | `resize`: 비율이 다르면 늘이거나 눌러요 | 비율을 지키고 남는 부분을 잘라요. `fit="stretch"`면 수업처럼 |
# | 프레임을 `tmp.mp4`로 쓰고 ffmpeg로 다시 인코딩해요(두 번 압축). 노트북 두 개가 한 폴더에서 돌면 서로 덮어써요 | 한 번에 H.264로 쓰고, 다 된 파일만 제자리에 놓아요 |
# | `torch.manual_seed`: torch 전체의 난수 상태를 바꿔요 | 따로 만든 생성기를 써서 다른 코드의 난수에 영향을 주지 않아요 |
# | 시드를 `2**32`까지 뽑아요 | `2**32 - 1`까지 뽑아요 |
# | 잘못된 값은 계산 도중에야 알기 어려운 오류로 나타나요 | 계산 전에 무엇이 잘못됐는지 알려 줘요 |
# | diffusers의 진행 막대 | `on_step` 함수로 진행을 알리고 `cancel`로 멈출 수 있어요 |
# | 영상만 남아요 | 파일에 레시피(recipe: 모든 설정과 입력 그림)를 함께 저장해요 |
# | `Video`로 보여 줘요 | `Clip`을 돌려주고, 클립이 스스로 재생돼요 |

# %% [markdown] lang="en" id="same-text"
# The difference is 0. From here on we use `svd_lab.generate_video`. The frames are the same. The main differences
# around them:
#
# | the class's code | `svd_lab.generate_video` |
# |---|---|
# | `fps=7` is the file's speed | `fps` is a condition of the model; the file's speed is `playback_fps` (lesson 2) |
# | `resize` stretches a picture of another shape | keeps proportions and crops; `fit="stretch"` does as the class |
# | writes `tmp.mp4` and encodes it again with ffmpeg (compressed twice); two notebooks in one folder overwrite each other's | writes H.264 once, and only a complete file appears |
# | `torch.manual_seed` changes the random state of all of torch | uses a generator of its own and leaves other code's randomness alone |
# | draws seeds up to `2**32` | draws seeds up to `2**32 - 1` |
# | a wrong value becomes an obscure error in the middle of the run | says before the run what is wrong |
# | diffusers' progress bar | reports progress to a function `on_step`, and stops on `cancel` |
# | leaves a video | the file also carries its recipe: all settings and the input picture |
# | shows it with `Video` | returns a `Clip`, which plays itself |

# %% [markdown] lang="ko" id="parts-text"
# ## 3부. 파이프라인 안
#
# 파이프라인에는 신경망(neural network)이 세 개 있어요.
#
# | 부품 | 하는 일 |
# |---|---|
# | `vae`, 변분 오토인코더(variational autoencoder, VAE) | 그림을 작은 **잠재 표현**(latent)으로 줄이고(인코딩), 잠재 표현을 다시 그림으로 바꿔요(디코딩) |
# | `image_encoder`, CLIP 이미지 인코더 | 그림 전체를 벡터(vector) 하나로 요약해요 |
# | `unet`, 유넷(UNet) | 노이즈가 섞인 영상의 잠재 표현을 보고, 노이즈가 없는 영상을 **예측**(prediction)해요 |
#
# 계산은 픽셀이 아니라 잠재 표현 위에서 해요. 아래 셀은 파라미터(parameter)가 몇 개인지 세어요. 마지막 줄은 diffusers에 적힌 기본 크기, 곧 진짜 모델과 같은 크기의
# 유넷이에요. `meta`에서는 크기만 세고 메모리를 쓰지 않아요.

# %% [markdown] lang="en" id="parts-text"
# ## Part 3. Inside the pipeline
#
# The pipeline holds three neural networks.
#
# | part | what it does |
# |---|---|
# | `vae`, a variational autoencoder (VAE) | compresses a picture to a small **latent** representation (encoding), and turns latents into a picture again (decoding) |
# | `image_encoder`, CLIP's image encoder | summarises the whole picture as one vector |
# | `unet`, a UNet | looks at the latents of a noisy video and makes a **prediction** of the video without noise |
#
# The work is done on latents, not on pixels. The next cell counts the parameters. Its last line is a UNet of diffusers' default size,
# the size of the real model's; on `meta` it is only counted and takes no memory.

# %% tags=["nbval-check-output"] id="parts"
millions = {}
for name in ("vae", "image_encoder", "unet"):
    part = getattr(pipe, name)
    millions[name] = sum(p.numel() for p in part.parameters()) / 1e6
    print(f"{name:14} {type(part).__name__:36} {millions[name]:8.1f} M")
with torch.device("meta"):
    real = type(pipe.unet)()
millions["real unet"] = sum(p.numel() for p in real.parameters()) / 1e6
print(f"{'real unet':14} {type(real).__name__:36} {millions['real unet']:8.1f} M")

# %% [markdown] lang="ko" id="vae-text"
# ### VAE: 픽셀에서 잠재 표현으로
#
# 입력 그림을 인코딩했다가 바로 디코딩해요. 노이즈도 유넷도 쓰지 않으니, 여기서 달라지는 것은 모두 VAE가 잃은 거예요. 진짜 모델의 VAE는 16비트에서 값이 넘치는 일이 있어서
# 32비트로 계산해요(`force_upcast`). 아래의 `latent_dist.mode()`는 VAE가 가장 그럴듯하다고 보는 잠재 표현이에요.

# %% [markdown] lang="en" id="vae-text"
# ### VAE: from pixels to latents
#
# We encode the input picture and decode it right away. Neither noise nor UNet is involved, so whatever changes here is what the VAE
# loses. The real model's VAE can overflow in 16 bits, so it runs in 32 (`force_upcast`). `latent_dist.mode()` below is the latent
# representation that the VAE considers most likely.

# %% id="vae" alt_ko="입력 그림, 인코딩하고 디코딩한 그림, 둘의 차이를 10배로 키운 그림. 첫 프레임의 차이와 거의 같아요" alt_en="The input picture, the same encoded and decoded, and their difference times 10, nearly that of the first frame"
vae = pipe.vae
if here.dtype == torch.float16:
    vae.to(torch.float32)  # ko| 계산이 끝나면 되돌려요 # en| put back after the computation
pixels = pipe.video_processor.preprocess(image, height=height, width=width).to(here.device, vae.dtype)
with torch.no_grad():
    latents = vae.encode(pixels).latent_dist.mode()  # ko| 그림 → 잠재 표현 # en| picture → latents
    # ko| 수업처럼 두 프레임씩 디코딩해요: 같은 그림 두 장을 넣고 하나를 꺼내요.
    # en| Decode two frames at a time, as the class does: decode the picture twice, keep one.
    decoded = vae.decode(latents.repeat(2, 1, 1, 1), num_frames=2).sample[:1]
decoded = pipe.video_processor.postprocess(decoded.float())[0]
if here.dtype == torch.float16:
    vae.to(here.dtype)

vae_psnr = psnr(decoded, image)
lost = [np.asarray(difference_map(one, image, 1), dtype=float).ravel() for one in (decoded, frames[0])]
vae_alike = float(np.corrcoef(lost)[0, 1])
print("pixels ", tuple(pixels.shape), pixels.numel(), "numbers")
print("latents", tuple(latents.shape), latents.numel(), "numbers")
print(f"correlation with the first frame's difference: {vae_alike:.2f}")
labels = ["input picture", f"encoded and decoded, {vae_psnr:.1f} dB", "difference x 10"]
show(grid([image, decoded, difference_map(decoded, image)], labels, columns=3, width=1000))

# %% [markdown] lang="ko" id="vae-question"
# 큰 모양은 그대로인데 별처럼 작은 점과 가는 선은 흐려지거나 사라졌어요. 30 dB가 넘어도 눈에 보이는 차이가 있을 수 있으니, 숫자와 그림을 함께 봐요. 이 차이 그림은 영상의
# 첫 프레임에서 본 차이 그림과 거의 같아요. 첫 프레임이 입력 그림과 달랐던 까닭은 대부분 VAE예요.
#
# **1.7 (예상)** 노이즈를 제거하는 동안 한 프레임을 바꾸면 다른 프레임의 출력까지 바뀌는 부품은 무엇일까요? 다음 그림에서 확인해요.
#
# - a. VAE의 인코더
# - b. CLIP 이미지 인코더
# - c. 유넷
#
# **1.8 (계산하기)** 잠재 표현에 든 수는 픽셀 값의 몇 분의 1일까요? `pixels`와 `latents`로 계산해도 좋아요.
#
# **1.9 (코드 쓰기)** PSNR을 직접 써 보세요. 위의 식대로 `one`과 `other`의 PSNR을 돌려주면 돼요. 두 그림은 0부터 255까지의 uint8 배열이에요.

# %% [markdown] lang="en" id="vae-question"
# Large shapes are the same, but small dots such as stars, and thin lines, are blurred or gone. Even above 30 dB there can be a visible
# difference, so we look at numbers and pictures together. This difference looks nearly the same as that of the video's first frame:
# most of what set the first frame apart from the input picture is the VAE.
#
# **1.7 (predict)** While noise is being removed, one frame is changed. In which part does this change the output in other frames, too?
# The next figure shows it.
#
# - a. the VAE's encoder
# - b. CLIP's image encoder
# - c. the UNet
#
# **1.8 (compute)** The latents hold how many times fewer numbers than the pixels? Feel free to compute it from `pixels` and
# `latents`.
#
# **1.9 (write code)** Write PSNR yourself: return the PSNR of `one` and `other` by the formula above. Both are uint8 arrays of 0 to 255.

# %% id="q-vae"
answer = ...  # solution| "c"
check("1.7", answer)

answer = ...  # solution| pixels.numel() / latents.numel()
check("1.8", answer, pixels=pixels.numel(), latents=latents.numel())


def my_psnr(one, other):
    # solution| mse = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return ...  # solution| 10 * np.log10(255**2 / mse)


check("1.9", my_psnr)

# %% [markdown] lang="ko" id="unet-text"
# ### 유넷: 프레임들이 서로를 봐요
#
# 유넷은 네 가지를 받아요.
#
# - 노이즈가 섞인 영상의 잠재 표현과, 그 옆에 나란히 놓은 **입력 그림의 잠재 표현**. 그래서 입력 채널이 두 배예요. 미니의 잠재 표현은 8채널, 진짜 모델은
#   4채널이에요(1.8의 답이 진짜 모델에서는 두 배가 돼요)
# - CLIP 벡터
# - 지금 노이즈가 얼마나 섞였는지
# - `fps`, `motion_bucket_id`, `noise_aug_strength`: 2강에서 하나씩 바꿔 봐요
#
# 프레임들이 정말 서로를 보는지 재 봐요. 가운데 프레임 하나만 바꾸고, 유넷의 출력이 프레임마다 얼마나 달라지는지 그려요. 프레임을 하나씩 따로 처리하는 모델이라면 바꾼 프레임
# 말고는 모두 0이에요.

# %% [markdown] lang="en" id="unet-text"
# ### UNet: the frames see each other
#
# The UNet receives four things:
#
# - the latents of the noisy video and, beside them, **the latents of the input picture**: hence twice the channels. The mini's latents
#   have 8 channels, the real model's 4 (which doubles the answer to 1.8)
# - CLIP's vector
# - how much noise there is now
# - `fps`, `motion_bucket_id` and `noise_aug_strength`, which lesson 2 changes one by one
#
# Do the frames really see each other? We change one frame in the middle and plot by how much the UNet's output changes in each frame.
# For a model that treats each frame separately, all but the changed frame would be 0.

# %% id="unet" alt_ko="프레임별 유넷 출력의 변화를 그린 막대그래프. 바꾼 프레임이 가장 크고 나머지도 0보다 커요" alt_en="Bar chart of the change of the UNet's output by frame: largest in the changed frame, above 0 in all others"
import matplotlib.pyplot as plt

generator = torch.Generator().manual_seed(seed)
# ko| 무작위 잠재 표현을 넣어요: [영상, 프레임, 채널, 세로, 가로]
# en| Random latents will do: [video, frames, channels, height, width]
shape = (1, num_frames, pipe.unet.config.in_channels, *latents.shape[2:])
inputs = torch.randn(shape, generator=generator).to(here.device, pipe.unet.dtype)
changed = inputs.clone()
middle = num_frames // 2
changed[:, middle] += 1


def clip_vector(one):
    # ko| 파이프라인이 하는 그대로: 224×224로 줄여서 CLIP에 넣어요.
    # en| Just as the pipeline does it: shrink to 224×224, then CLIP.
    with torch.no_grad():
        return pipe._encode_image(one, here.device, 1, False)  # [1, 1, length]


# ko| fps - 1, motion_bucket_id, noise_aug_strength의 기본값
# en| the defaults of fps - 1, motion_bucket_id, noise_aug_strength
numbers = torch.tensor([[6, 127, 0.02]], device=here.device, dtype=pipe.unet.dtype)
with torch.no_grad():
    # ko| 0.0은 노이즈의 크기를 알려 주는 값(timestep)이에요. 여기서는 어떤 값이든 괜찮아요.
    # en| 0.0 is the timestep, which says how much noise there is; any will do here.
    outputs = [
        pipe.unet(one, 0.0, encoder_hidden_states=clip_vector(image), added_time_ids=numbers).sample
        for one in (inputs, changed)
    ]
unet_change = (outputs[1] - outputs[0]).abs().float().mean((0, 2, 3, 4)).tolist()
plt.figure(figsize=(7, 2.6))
plt.bar(range(num_frames), unet_change)
plt.xlabel(f"frame, counted from 0 (only frame {middle} was changed)")
plt.ylabel("mean |change| of output")
plt.show()

# %% [markdown] lang="ko" id="clip-text"
# 한 프레임만 바꿨는데 모든 프레임의 출력이 달라졌어요. 유넷 안의 시간 층(temporal layer)이 프레임들을 이어 줘요.
#
# ### CLIP 벡터는 얼마나 쓰일까
#
# 유넷은 그림을 두 가지로 받아요. 하나는 입력 그림의 잠재 표현이고, 하나는 CLIP 벡터예요. 둘 가운데 무엇을 보고 로켓을 움직일까요? 말로 답하지 않고 재 봐요. 그림은 로켓
# 그대로 두고, **CLIP 벡터만 다른 그림의 것으로 바꿔서** 영상을 다시 만들어요. 모두 0인 벡터도 넣어 봐요. 비교할 값으로 **시드만 다른** 영상의 차이도 재요.
#
# **1.10 (예상)** 로켓 그림에 자동차 그림의 CLIP 벡터를 넣으면 영상이 어떻게 될까요?
#
# - a. 로켓이 자동차 모양으로 바뀐다.
# - b. 로켓이 자동차처럼 옆으로 움직인다.
# - c. 거의 달라지지 않는다.

# %% [markdown] lang="en" id="clip-text"
# One frame was changed, and the output changed in every frame. The temporal layers in the UNet connect the frames.
#
# ### How much does the CLIP vector matter?
#
# The UNet receives the picture in two ways: as latents of the input picture, and as CLIP's vector. Which of the two makes the rocket
# move? We measure instead of claiming. The picture stays the rocket's; **only the CLIP vector is replaced by another picture's**, and
# the video is made again. We also try a vector of zeros. As a yardstick we measure the difference that **another seed** makes.
#
# **1.10 (predict)** What does the video look like with the CLIP vector of a car's picture?
#
# - a. The rocket turns into a car.
# - b. The rocket moves sideways, like a car.
# - c. Hardly anything changes.

# %% id="q-clip"
answer = ...  # solution| "c"
check("1.10", answer)

# %% id="clip" alt_ko="로켓의 CLIP 벡터와 자동차의 벡터로 만든 마지막 프레임. 아래는 자동차의 벡터, 다른 시드와의 차이를 10배로 키운 그림" alt_en="The last frames with the rocket's CLIP vector and the car's; below, the differences times 10 made by the car's vector and by another seed"
# ko| 패키지에 들어 있는 그림: 이름 → 파일
# en| the bundled pictures: name → file
from svd_lab.lesson import PICTURES


def again(seed):
    settings = dict(num_frames=num_frames, num_inference_steps=num_inference_steps)
    return svd_lab.generate_video(image, out_dir / "again.mp4", seed, pipe=pipe, **settings)


def with_vector(vector):
    # ko| CLIP의 계산을 이 벡터로 바꾸고, 끝나면 되돌려요. 조건이 없는 예측에는 파이프라인처럼 0을 넣어요.
    # en| Puts this vector in the place of what CLIP computes, and restores it afterwards.
    # en| The prediction without the condition gets zeros, as in the pipeline.
    pipe._encode_image = lambda *_: torch.cat([torch.zeros_like(vector), vector])
    try:
        return again(seed)
    finally:
        del pipe._encode_image


car = load_image(str(PICTURES["car"])).resize((width, height))
vectors = [clip_vector(one) for one in (image, car)]
similarity = torch.cosine_similarity(*(vector.flatten().float() for vector in vectors), dim=0).item()
print(f"cosine similarity of the two vectors {similarity:.2f}")
others = {
    "car's vector": with_vector(vectors[1]),
    "zeros": with_vector(torch.zeros_like(vectors[1])),
    "another seed": again((seed + 1) % 2**32),
}
vector_change = {}
for name, one in others.items():
    vector_change[name] = float(np.abs(as_array(one.frames) - our_pixels).mean())
    print(f"{name:12} mean change of a pixel {vector_change[name]:.2f} of 255")
end = {name: one.frames[-1] for name, one in others.items()}
maps = [difference_map(clip.frames[-1], end[name]) for name in ("car's vector", "another seed")]
labels = [
    "last frame, rocket's vector",
    "car's vector",
    "car's vector: difference x 10",
    "another seed: difference x 10",
]
show(grid([clip.frames[-1], end["car's vector"], *maps], labels, columns=2, width=900))

# %% [markdown] lang="ko" id="noise-text"
# 두 벡터는 방향이 아주 다른데도 영상은 거의 그대로예요. 시드만 바꾼 차이보다도 크지 않아요. 이 그림에서 미니는 CLIP 벡터를 거의 쓰지 않아요. 움직임은 입력 그림의 잠재
# 표현만으로 정해지는 것 같아요(가설이에요). 모두 0인 벡터를 넣어도 마찬가지예요. 다른 그림에서도 그런지는 연습으로 남겨 둘게요.
#
# ### 노이즈에서 영상으로
#
# 파이프라인은 노이즈뿐인 잠재 표현에서 시작해요. 스텝(step)마다 유넷이 노이즈 없는 영상을 예측하고, 잠재 표현은 그 예측 쪽으로 조금 움직여요. 남은 노이즈의 크기가
# **시그마**(sigma, σ)예요. 파이프라인은 스텝이 끝날 때마다 `callback_on_step_end`로 받은 함수를 불러 줘요. 그때의 잠재 표현을 모아요.

# %% [markdown] lang="en" id="noise-text"
# The two vectors point in very different directions, and yet the video stays nearly the same: it changes no more than with another
# seed. So it is with a vector of zeros. For this picture the mini hardly uses the CLIP vector; the latents of the input picture seem to
# be enough (a hypothesis). Whether other pictures behave the same is left as an exercise.
#
# ### From noise to video
#
# The pipeline starts from latents that are nothing but noise. In each step the UNet predicts the video without noise, and the latents
# move a little towards that prediction. The size of the noise that remains is called **sigma** (σ). After each step the pipeline calls
# the function given as `callback_on_step_end`; we use it to collect the latents.


# %% id="noise"
def denoise(max_guidance_scale):
    trail = []

    def keep(pipe, step, timestep, tensors):
        trail.append(tensors["latents"].float())
        return tensors  # ko| 콜백은 받은 것을 돌려줘야 해요 # en| a callback must return what it received

    pipe(
        image,
        height=height,
        width=width,
        num_frames=num_frames,
        num_inference_steps=num_inference_steps,
        max_guidance_scale=max_guidance_scale,
        generator=torch.manual_seed(seed),
        callback_on_step_end=keep,
        output_type="latent",  # ko| 디코딩은 아래에서 직접 해요 # en| we decode ourselves, below
    )
    return trail


trail = denoise(max_guidance_scale=3.0)  # ko| 기본값 # en| the default
sigmas = pipe.scheduler.sigmas.tolist()  # ko| 스텝마다 노이즈의 크기 # en| the noise before each step
print("sigma:", ", ".join(f"{sigma:.3g}" for sigma in sigmas))

# %% [markdown] lang="ko" id="prediction-text"
# 유넷의 예측은 모아 둔 잠재 표현에서 계산할 수 있어요. 스텝 하나는 직선을 따라 움직여요(오일러 방법, Euler method). 노이즈가 σ일 때의 잠재 표현 $x$와 다음 스텝의
# $x'$가 같은 직선 위에 있고, 예측은 그 직선이 σ = 0에 닿는 점이에요.
#
# $$\text{예측} = x - \sigma \, \frac{x' - x}{\sigma' - \sigma}$$
#
# **1.11 (코드 쓰기)** 이 식을 함수로 쓰세요.
#
# **1.12 (예상)** 둘째 스텝에서 잠재 표현은 노이즈뿐이에요. 같은 스텝의 예측을 디코딩하면 무엇이 보일까요?
#
# - a. 똑같은 노이즈
# - b. 색이 이상한 로켓
# - c. 완성된 영상과 같은 그림

# %% [markdown] lang="en" id="prediction-text"
# The UNet's prediction can be computed from the collected latents. A step moves along a straight line (Euler's method). The latents $x$
# at noise σ and the next ones $x'$ are on that line, and the prediction is the point where it reaches σ = 0.
#
# $$\text{prediction} = x - \sigma \, \frac{x' - x}{\sigma' - \sigma}$$
#
# **1.11 (write code)** Write this formula as a function.
#
# **1.12 (predict)** In the second step the latents are only noise. What do you see if the prediction of that step is decoded?
#
# - a. The same noise.
# - b. A rocket in strange colours.
# - c. The picture of the finished video.


# %% id="q-prediction"
def my_prediction(before, after, sigma, next_sigma):
    return ...  # solution| before - sigma * (after - before) / (next_sigma - sigma)


check("1.11", my_prediction)

answer = ...  # solution| "b"
check("1.12", answer)


# %% id="predictions" alt_ko="네 스텝의 잠재 표현을 디코딩한 그림(왼쪽)과 같은 스텝의 예측(오른쪽)" alt_en="Decoded latents of four steps (left) and the predictions in the same steps (right)"
def prediction(trail, step):
    # ko| step번째 스텝에서의 예측. 첫 스텝은 0이고, 그 앞의 잠재 표현은 모으지 않아서 1부터예요.
    # en| The prediction in a step, counted from 0. The latents before step 0 were not collected: from 1 on.
    before, after = trail[step - 1], trail[step]
    return before - sigmas[step] * (after - before) / (sigmas[step + 1] - sigmas[step])


# ko| 식을 스케줄러(scheduler)와 비교해요: 아무 값이나 넣고 스텝 하나를 시키면, 예측도 함께 돌려줘요.
# en| Compare the formula with the scheduler: given any values, its step returns the prediction, too.
pipe.scheduler.set_timesteps(num_inference_steps)
before, output = torch.randn(2, *trail[0].shape, generator=torch.Generator().manual_seed(seed))
stepped = pipe.scheduler.step(output, pipe.scheduler.timesteps[1], before * sigmas[1])
by_formula = prediction([before * sigmas[1], stepped.prev_sample], 1)
formula_error = float((by_formula - stepped.pred_original_sample).abs().max())
print(f"formula against the scheduler: largest difference {formula_error:.5f}")


def decode_last(some):
    # ko| 마지막 두 프레임을 디코딩하고 마지막 것을 그림으로 바꿔요.
    # en| Decode the last two frames and turn the last one into a picture.
    with torch.no_grad():
        scaled = some[0, -2:].to(pipe.vae.dtype) / pipe.vae.config.scaling_factor
        sample = pipe.vae.decode(scaled, num_frames=2).sample[-1:]
    return pipe.video_processor.postprocess(sample.float())[0]


# ko| 노이즈와 영상이 반반인 스텝: 끝난 뒤의 σ가 1에 가장 가까워요.
# en| The step after which noise and video are half and half: σ is nearest to 1.
half = min(range(len(trail)), key=lambda step: abs(np.log(max(sigmas[step + 1], 1e-6))))
moments = sorted({1, half - 2, half, len(trail) - 1} & set(range(1, len(trail))))
noisy = [decode_last(trail[step] / (sigmas[step + 1] ** 2 + 1) ** 0.5) for step in moments]
predicted = [decode_last(prediction(trail, step)) for step in moments]
left = [f"latents after step {step + 1}, sigma {sigmas[step + 1]:.2g}" for step in moments]
right = [
    f"prediction in step {step + 1}, at sigma {sigmas[step]:.2g}: {psnr(one, predicted[-1]):.0f} dB"
    for step, one in zip(moments[:-1], predicted, strict=False)
]
pictures = [one for pair in zip(noisy, predicted, strict=True) for one in pair]
labels = [one for pair in zip(left, [*right, "the result"], strict=True) for one in pair]
page = grid(pictures, labels, columns=2, width=900)
page.save(out_dir / "noise_to_video.jpg", quality=90)
show(page)

# ko| 첫 줄의 두 그림을 결과와 비교해요.
# en| Compare both pictures of the first row with the result.
noisy_db = psnr(noisy[0], predicted[-1])
early, final = (np.asarray(one.convert("L"), dtype=float) for one in (predicted[0], predicted[-1]))
early_outline = float(np.corrcoef(early.ravel(), final.ravel())[0, 1])
print(f"latents {noisy_db:.1f} dB, prediction: correlation {early_outline:.2f}")

# %% [markdown] lang="ko" id="guidance-text"
# 왼쪽은 그때의 잠재 표현을 그대로 디코딩한 거예요. 노이즈를 디코딩하면 얼룩무늬가 나와요. 디코더는 잠재 표현의 칸 하나를 8×8픽셀로 바꾸는데, 칸이 모두 무작위라서 그럴
# 거예요(가설이에요). σ가 1쯤이면 노이즈와 영상이 반반이에요. 오른쪽은 같은 스텝에서의 예측이에요. 왼쪽이 노이즈뿐일 때도 예측에는 로켓이 있어요. 유넷이 입력 그림의 잠재
# 표현도 함께 받기 때문이에요.
#
# 그런데 초반의 예측은 색이 이상해요. 설명은 두 가지가 있을 수 있어요. 노이즈가 많아서 예측이 어려운 걸까요? 아니면 **가이던스**(classifier-free guidance)일까요? 파이프라인은
# 스텝마다 조건이 있는 예측과 없는 예측을 하나씩 하고, 둘의 차이를 `max_guidance_scale`배까지 늘려요. 1이면 늘리지 않아요. 노이즈는 그대로 두고 가이던스만 꺼 봐요.
#
# **1.13 (예상)** 가이던스를 끄면(`max_guidance_scale=1`) 둘째 스텝의 예측은 결과와 얼마나 비슷할까요?
#
# - a. 가이던스 3일 때와 같은 정도. 노이즈가 많은 것은 똑같으니까.
# - b. 6 dB 넘게 더 비슷하다. 가이던스가 색을 망가뜨리니까.
# - c. 덜 비슷하다. 가이던스가 예측을 도우니까.

# %% [markdown] lang="en" id="guidance-text"
# On the left, the latents are decoded as they are. Decoded noise looks like speckled stone, perhaps because the decoder turns each
# latent cell into 8×8 pixels and all cells are random (a hypothesis). Near σ = 1, noise and video are half and half. On the right is the
# prediction in the same step. It shows a rocket even while the left is only noise, because the UNet also receives the latents of the
# input picture.
#
# The early predictions have strange colours, though. There are two possible explanations. Is it hard to predict through so much noise?
# Or is it **guidance** (classifier-free guidance)? In each step the pipeline makes one prediction with the condition and one without,
# and stretches their difference up to `max_guidance_scale` times; 1 stretches nothing. We keep the noise and switch off guidance only.
#
# **1.13 (predict)** Without guidance (`max_guidance_scale=1`), how similar is the prediction of the second step to the result?
#
# - a. As similar as with guidance 3: there is just as much noise.
# - b. More similar by over 6 dB: guidance spoils the colours.
# - c. Less similar: guidance helps the prediction.

# %% id="q-guidance"
answer = ...  # solution| "b"
check("1.13", answer)

# %% id="guidance" alt_ko="스텝별로 예측이 결과와 얼마나 비슷한지를 그린 선 두 개. 가이던스 1이 모든 스텝에서 3보다 높아요" alt_en="Two lines: similarity of the prediction to the result by step; guidance 1 is above guidance 3 in every step"
unguided = denoise(max_guidance_scale=1.0)
prediction_db = {}
for scale, way in ((1, unguided), (3, trail)):
    end = decode_last(way[-1])
    steps = range(1, len(way) - 1)
    prediction_db[scale] = [psnr(decode_last(prediction(way, step)), end) for step in steps]
    numbers = [step + 1 for step in steps]
    plt.plot(numbers, prediction_db[scale], marker="o", label=f"max_guidance_scale = {scale}")
plt.xlabel("step")
plt.ylabel("prediction against its result (dB)")
plt.legend()
plt.gcf().set_size_inches(7, 3)
plt.show()

# %% [markdown] lang="ko" id="look-text"
# 가이던스가 없으면 둘째 스텝의 예측이 벌써 결과와 아주 비슷해요. 눈으로도 비교해요.
#
# **1.14 (값 바꾸기)** 아래 셀의 `look`을 3, 4, …로 바꾸며 다시 실행하세요. 가이던스 3의 예측이 처음으로 **25 dB를 넘는** 스텝은 몇째 스텝일까요?

# %% [markdown] lang="en" id="look-text"
# Without guidance the prediction of the second step is already very similar to the result. Now compare them by eye, too.
#
# **1.14 (change a value)** Change `look` in the cell below to 3, 4, … and run it again. Which is the first step whose prediction with
# guidance 3 has **more than 25 dB**?

# %% id="look" alt_ko="둘째 스텝의 예측 두 장. 가이던스 3은 색이 이상하고, 가이던스 1은 결과와 같은 색이에요" alt_en="Two predictions of the second step: strange colours with guidance 3, the colours of the result with guidance 1"
look = 2  # ko| 이 값을 바꿔 보세요 # en| change this value
two = {scale: decode_last(prediction(way, look - 1)) for scale, way in ((3, trail), (1, unguided))}
results = {scale: decode_last(way[-1]) for scale, way in ((3, trail), (1, unguided))}
labels = [f"guidance {scale}, step {look}: {psnr(two[scale], results[scale]):.1f} dB" for scale in two]
show(grid(list(two.values()), labels, width=900))

# ko| 스텝 2부터의 dB. 마지막 스텝의 예측은 결과와 같아요.
# en| The dB from step 2 on. In the last step the prediction is the result.
every_db = [*prediction_db[3], 99]
answer = ...  # solution| 2 + next(step for step, db in enumerate(every_db) if db > 25)
check("1.14", answer, db=every_db)

# %% [markdown] lang="ko" id="summary"
# 초반 예측의 색이 망가지는 것은 노이즈가 많은 스텝에 가이던스를 쓸 때예요. 가이던스가 없으면 같은 노이즈에서도 29~30 dB이고 색이 처음부터 맞아요. 그 뒤로는 50 dB가 넘을
# 때까지 결과에 가까워져요. 그렇다고 가이던스가 쓸모없다는 뜻은 아니에요. 무엇을 얻고 무엇을 잃는지는 2강에서 재요.
#
# ## 정리
#
# | 이름 | 뜻 | 수업의 값 |
# |---|---|---|
# | VAE | 그림 ↔ 잠재 표현. 작은 점과 가는 선을 잃어요 | 한 변이 8분의 1 |
# | CLIP 벡터 | 그림 전체의 요약. 로켓에서는 바꿔도 거의 그대로였어요 | 224×224로 줄여서 넣음 |
# | 유넷 | 노이즈 없는 영상을 예측. 프레임들이 서로를 봐요 | 입력 채널 = 영상 + 입력 그림 |
# | 시드 `seed` | 처음 노이즈를 정해요 | 42, -1이면 무작위 |
# | `num_frames` | 프레임 수 | 10 |
# | `num_inference_steps` | 노이즈를 제거하는 스텝 수 | 10 |
# | `decode_chunk_size` | 한 번에 디코딩하는 프레임 수 | 2 |
# | `fps` (저장할 때) | 1초에 재생하는 프레임 수 | 7 |
#
# **더 해 보기.** 맨 위 `picture`를 `"balloon"`이나 `"car"`로 바꾸고 처음부터 실행해 보세요. CLIP 벡터를 바꿨을 때의
# 변화(`vector_change`)도 시드를 바꿨을 때보다 작은가요?
#
# 마지막 셀은 이번에 잰 값과 문제의 답을 `result.json`에 남겨요. 다음은 2강, 로켓 발사예요.

# %% [markdown] lang="en" id="summary"
# The early colours break where guidance meets much noise. Without guidance the same noise leaves 29 to 30 dB, and colours are right
# from the start; from there predictions approach the result to more than 50 dB. That does not make guidance useless: lesson 2 measures
# what it gains and what it costs.
#
# ## Summary
#
# | name | meaning | in the class |
# |---|---|---|
# | VAE | picture ↔ latents; loses small dots and thin lines | a side becomes an eighth |
# | CLIP vector | summary of the whole picture; for the rocket, replacing it changed hardly anything | computed at 224×224 |
# | UNet | predicts the video without noise; frames see each other | input channels = video + input picture |
# | `seed` | fixes the initial noise | 42; -1 draws one |
# | `num_frames` | number of frames | 10 |
# | `num_inference_steps` | denoising steps | 10 |
# | `decode_chunk_size` | frames decoded at a time | 2 |
# | `fps` (when saving) | frames played a second | 7 |
#
# **More to try.** At the top change `picture` to `"balloon"` or `"car"` and run everything again. Is the change from another CLIP vector
# (`vector_change`) smaller than that from another seed there, too?
#
# The last cell saves what was measured, and your answers, in `result.json`. Next comes lesson 2, a rocket launch.

# %% id="finish"
measured = {
    "first_frame_psnr": first_frame_psnr,
    "moved_psnr": moved_psnr,
    "boundary_noise_equal": drawn[0] == drawn[2**32],
    "max_difference": max_difference,
    "parameters_millions": millions,
    "vae_psnr": vae_psnr,
    "vae_alike": vae_alike,
    "unet_change_by_frame": unet_change,
    "clip_similarity": similarity,
    "vector_change": vector_change,
    "formula_error": formula_error,
    "noisy_db": noisy_db,
    "early_outline": early_outline,
    "prediction_db": {str(scale): values for scale, values in prediction_db.items()},
}
finish_lesson(lesson, {"rocket": clip}, measured)
