# %% [markdown] lang="ko" id="title"
# # 3. 내 그림으로 만들기
#
# 이번에는 로켓 말고 다른 그림이에요. 먼저 웹 주소에 있는 그림으로 풍선 영상을 만들고, 그다음에는 여러분의 그림을 넣어요. 모델은 정해진 크기의 그림 한 장만 받아요. 그
# 사이에 그림에 무슨 일이 생기는지, 어떤 그림이 잘되고 어떤 그림이 안되는지 하나씩 만들어 보고 재요. 마치면 **그림을 모델에 맞추고, 결과가 어떨지 예상하고, 지표가 무엇을 재는지
# 말할 수 있어요.**
#
# | | |
# |---|---|
# | 만드는 것 | 풍선 영상 `balloon.mp4`, 토끼 영상 `rabbit.mp4`, 크기, 배경, 그림의 종류를 비교하는 영상 세 개 |
# | 필요한 것 | `svd-lab` 설치. GPU, 계정, 네트워크는 없어도 돼요. 웹에 있는 그림을 가져올 때만 네트워크를 써요 |
# | 걸리는 시간 | 미니로 CPU 코어 하나에서 {time}(저장된 실행에서 잰 값). 이번에 걸린 시간은 마지막 셀이 알려 줘요 |
# | 문제 | 2강 복습 5개와 문제 15개. ☐ 아직, ✓ 맞음, ✗ 다시(힌트는 세 단계) |
#
# 이 노트북의 그림과 숫자는 모두 미니(mini)로 만든 거예요. 진짜 모델에서도 그런지는 여기서 보이지 않았어요.

# %% [markdown] lang="en" id="title"
# # 3. Your own picture
#
# This time it is not the rocket. We make a video of a balloon from a picture at a web address, and then one from a picture of yours. The
# model takes one picture of one fixed size. What happens to a picture on the way there, which pictures work and which do not: we make
# them all and measure. Afterwards **you can fit a picture to a model, predict how well it will do, and say what a metric measures.**
#
# | | |
# |---|---|
# | You make | the balloon's video, `balloon.mp4`, the rabbit's, `rabbit.mp4`, and three videos that compare sizes, backgrounds and kinds of pictures |
# | You need | `svd-lab` installed; no GPU, no account, and a network only to fetch a picture from the web |
# | It takes | {time} with the mini on one CPU core (measured in the saved run). The last cell reports the time of this run |
# | Exercises | 5 on lesson 2, to warm up, and 15 new ones: ☐ open, ✓ right, ✗ try again (hints in three steps) |
#
# All pictures and numbers in this notebook come from the mini. Whether the real model behaves the same has not been shown here.

# %% [markdown] lang="ko" id="instructor" tags=["instructor"]
# # 3강 지도 노트: 내 그림으로 만들기
#
# **목표.** 그림을 파일, 주소, 업로드로 넣고 비율과 투명도를 스스로 정한다. 지표(metric)가 무엇을 재고 무엇을 못 재는지 말한다. 잘못의 원인이 VAE인지 유넷인지 나눠서 확인한다.
#
# | 부분 | 분 | 내용 |
# |---|---|---|
# | 복습과 풍선 | 15 | 복습 다섯 문제, 업로드, 경로, 주소, 수업의 호출 (3.1) |
# | 크기와 비율 | 15 | 자르기, 여백 넣기, 늘이기, 흐린 배경 (3.2~3.6) |
# | 투명한 그림과 움직임 | 15 | 알파, 픽셀 차이는 대비를, 무게중심은 이동을 재요 (3.7~3.9) |
# | 되는 그림, 안 되는 그림 | 15 | 45 dB의 함정 (3.10~3.13), VAE와 유넷, 스텝 (3.14, 3.15) |
#
# **흔한 오해와 해 줄 말**
#
# - "숫자가 크면 많이 움직인 것이다." 검은 배경의 토끼를 보여 주세요. 픽셀은 두 배 넘게 변하지만 이동 거리는 거의 같아요.
# - "dB가 가장 높은 그림이 가장 잘된 것이다." 작은 토끼 안에서만 다시 재면 10 dB 넘게 낮아요.
# - "늘여도 모양만 바뀐다." 늘인 풍선은 떠오르지 않고 옆으로 가요.
# - "머리가 무너지는 것은 압축 때문이다." VAE만 거친 그림에는, 기울여서 들어 올려도 머리가 남아 있어요.
#
# **시간이 모자라면** 여러 형식을 비교하는 셀과 3.4를 숙제로 돌리세요. **건너뛰면 안 되는 것**: 3.8과 3.11.
#
# 풀이: `lessons/solutions/ko/03_your_picture.ipynb`

# %% [markdown] lang="en" id="instructor" tags=["instructor"]
# # Instructor notes for lesson 3: your own picture
#
# **Goals.** Students put in a picture as file, address or upload, and decide about its proportions and transparency; they say what a metric
# measures and what it misses; they separate the VAE's errors from the UNet's.
#
# | part | minutes | content |
# |---|---|---|
# | Warm-up and balloon | 15 | five questions on lesson 2, upload, path, address, the class's call (3.1) |
# | Size and proportions | 15 | crop, pad, stretch, blurred sides (3.2 to 3.6) |
# | Transparency and motion | 15 | alpha; a pixel difference measures contrast, a centroid travel (3.7 to 3.9) |
# | What works and what does not | 15 | the trap of 45 dB (3.10 to 3.13), VAE or UNet, more steps (3.14, 3.15) |
#
# **Misconceptions, and what to say**
#
# - "A large number means much motion." Show the rabbit before black: its pixels change more than twice as much, but it goes as far.
# - "The picture with the highest dB came out best." Measured inside the tiny rabbit alone, it is more than 10 dB lower.
# - "Stretching changes the shape only." The stretched balloon does not rise; it goes sideways.
# - "The head falls apart because of compression." The head survives the VAE alone, tilted and lifted, too.
#
# **Short of time?** Make the cell that compares formats and 3.4 homework. **Do not skip** 3.8 and 3.11.
#
# Solutions: `lessons/solutions/en/03_your_picture.ipynb`

# %% tags=["parameters"] id="parameters"
model: str = "auto"  # ko| 모델: auto(GPU가 있으면 svd, 없으면 mini), mini, svd, 폴더, Hub ID # en| auto (svd on a GPU, else mini), mini, svd, a folder or a Hub id
seed: int = 42  # ko| 시드: 0~4294967295, -1이면 무작위로 뽑음 # en| 0 to 4294967295; -1 draws one
picture: str = "balloon"  # ko| 들어 있는 그림(ball, balloon, boat, car, rabbit, rocket), 파일 경로, 웹 주소 # en| bundled (ball, balloon, boat, car, rabbit, rocket), a path or an address
num_frames: int = 10  # ko| 만들 프레임 수, 2 이상 # en| frames to make, at least 2
num_inference_steps: int = 10  # ko| 노이즈를 제거하는 스텝 수, 1 이상. 비교할 때는 절반만 써요 # en| denoising steps, at least 1; comparisons take half as many
out_dir: str = "out/03_your_picture"  # ko| 결과를 담을 폴더 # en| folder for the results

# %% [markdown] lang="ko" id="check-text"
# `start_lesson`은 값이 올바른지 확인하고 `out_dir` 폴더를 만들어요. `check`는 답을 채점해요.

# %% [markdown] lang="en" id="check-text"
# `start_lesson` checks the values and creates the folder `out_dir`. `check` checks your answers.

# %% id="check"
from svd_lab.lesson import check, finish_lesson, progress, start_lesson

lesson = start_lesson(
    "03_your_picture",
    model=model,
    seed=seed,
    picture=picture,
    num_frames=num_frames,
    num_inference_steps=num_inference_steps,
    out_dir=out_dir,
)
seed, out_dir = lesson.seed, lesson.out_dir

# %% [markdown] lang="ko" id="recap-text"
# ## 복습
#
# 2강에서 배운 것 다섯 가지예요. 모델은 필요 없어요.
#
# **3.r1** 시드(seed)와 설정값이 모두 같으면 두 영상의 픽셀 값은 평균 얼마나 다를까요?
#
# **3.r2** 노이즈(noise)를 2스텝(step) 만에 제거한 네온색 영상의 색을 되돌리는 것은 a. 스텝을 5로 늘리기만, b. 가이던스(guidance)를 1로 낮추기만, c. 둘 가운데 어느 것이든
#
# **3.r3** 그 네온색 영상에서는 이웃한 프레임(frame) 사이의 픽셀 차이가 세 배를 넘었어요. 로켓은 a. 세 배 멀리 갔다, b. 비슷한 거리를 갔다, c. 가지 않았다
#
# **3.r4** `motion_bucket_id`를 100에서 200으로 바꾸면 로켓이 가는 거리는 몇 배가 될까요?
#
# **3.r5** `playback_fps`를 7에서 14로 바꾸면 달라지는 것은 a. 프레임, b. 파일을 재생하는 빠르기, c. 로켓이 가는 거리

# %% [markdown] lang="en" id="recap-text"
# ## Warm-up
#
# Five things from lesson 2. No model is needed.
#
# **3.r1** Same seed, same settings: by how much do the pixel values of two videos differ on average?
#
# **3.r2** The noise of the neon video was removed in 2 steps. What brings back its colours? a. only 5 steps, b. only guidance of 1, c. either of the two
#
# **3.r3** In that neon video the pixels of neighbouring frames changed over three times as much. The rocket went a. three times as far,
# b. about as far, c. nowhere
#
# **3.r4** `motion_bucket_id` goes from 100 to 200. By which factor does the rocket's distance grow?
#
# **3.r5** `playback_fps` goes from 7 to 14. What changes? a. the frames, b. how fast the file plays, c. how far the rocket goes

# %% id="q-recap"
answer = ...  # solution| 0
check("3.r1", answer)

answer = ...  # solution| "c"
check("3.r2", answer)

answer = ...  # solution| "b"
check("3.r3", answer)

answer = ...  # solution| 2
check("3.r4", answer)

answer = ...  # solution| "b"
check("3.r5", answer)

# %% [markdown] lang="ko" id="imports-text"
# ## 그림을 고르는 세 가지 방법
#
# | 방법 | 어떻게 |
# |---|---|
# | 올리기 | 아래 셀의 단추를 눌러 여러분 컴퓨터의 그림을 골라요. 그런 다음 **그 아래 셀부터** 다시 돌려요. JupyterLab 메뉴의 Run → Run Selected Cell and All Below예요 |
# | 경로(path) | 맨 위 `picture`에 파일 이름을 써요. `"photos/rabbit.jpg"`처럼요 |
# | 웹 주소(URL) | 맨 위 `picture`에 `https://`로 시작하는 주소를 써요. 주소는 그림이 실린 페이지가 아니라 **그림 자체의 주소**예요. 브라우저에서 그림을 오른쪽 단추로 눌러 "이미지 주소 복사"를 골라요 |
#
# 올린 그림은 이 노트북이 도는 컴퓨터로만 가요. 그 컴퓨터가 남의 것이라면(Binder나 Colab) 남에게 보여도 되는 그림만 올리세요. 단추는 노트북을 직접 돌릴 때만 보이고, 아무것도
# 올리지 않으면 `picture`로 계속해요.
#
# `svd_lab`에서 가져오는 이름은 2강에서 쓴 것과 같아요. `grid`와 `show`는 그림을 나란히 보여 주고 `side_by_side`는 영상 여럿을 한 영상으로 이어요. `speed="fused"`는
# 계산을 빠르게 하고 반올림만 조금 달라져요. 이 강의에는 정확히 같아야 하는 영상이 없어서 써요. `checkerboard`는 투명한 곳을 회색 바둑판으로 보여 줘요. PIL의 이름들은 그림을 그리고
# (`ImageDraw`, `ImageFont`) 흐리고(`ImageFilter`) 맞추는(`ImageOps`) 도구예요.

# %% [markdown] lang="en" id="imports-text"
# ## Three ways to choose a picture
#
# | way | how |
# |---|---|
# | upload | press the button two cells below and pick a picture on your computer. Then run again **from the cell below it**: in JupyterLab's menu, Run → Run Selected Cell and All Below |
# | path | write a file's name into `picture` at the top, like `"photos/rabbit.jpg"` |
# | address (URL) | write an address that starts with `https://` into `picture`: **the picture's own**, not that of the page that shows it. In a browser, right click on the picture and choose "copy image address" |
#
# An uploaded picture goes to the computer that runs this notebook and nowhere else. If that computer is not yours (Binder, Colab), upload
# only what others may see. The button is there only when you run the notebook yourself; upload nothing, and it goes on with `picture`.
#
# The names from `svd_lab` are those of lesson 2: `grid` and `show` put pictures side by side, `side_by_side` joins videos into one.
# `speed="fused"` computes faster and differs only by rounding; in this lesson no two videos have to be equal to the last bit.
# `checkerboard` shows transparent places as grey squares. The names from PIL draw (`ImageDraw`, `ImageFont`), blur (`ImageFilter`) and
# fit pictures (`ImageOps`).

# %% tags=["nbval-check-output"] id="imports"
import numpy as np
import torch
from ipywidgets import FileUpload
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from svd_lab import generate_video, load_video_pipeline, open_image
from svd_lab.lesson.figures import checkerboard, difference_map, grid, show, side_by_side
from svd_lab.pipe_facts import native_size

pipe = load_video_pipeline(lesson.model, speed="fused")
pipe.set_progress_bar_config(disable=True)
width, height = native_size(pipe)

# %% id="upload"
uploader = FileUpload(accept="image/*", multiple=False)
uploader

# %% id="use" alt_ko="고른 그림과, 모델의 크기에 맞춘 그림: 바닷가의 빨간 풍선" alt_en="The chosen picture, and the picture at the model's size: a red balloon at a beach"
picked = open_image(uploader.value[0]["content"]) if uploader.value else lesson.picture
image = open_image(picked, size=(width, height))
labels = [f"picked, {picked.width}x{picked.height}", f"for the model, {width}x{height}"]
show(grid([picked, image], labels))

# %% [markdown] lang="ko" id="balloon-text"
# ## 주소에서 영상까지
#
# 수업에서는 웹 주소를 호출에 바로 써요.
#
# ```python
# generate_video("https://…/rabbit.png", "rabbit.mp4")
# ```
#
# 우리도 똑같이 해요. 다만 네트워크가 없어도 되도록 `served`로 이 컴퓨터 안에 잠깐 작은 웹 서버를 열고, 고른 그림을 그 주소로 줘요. 설정값은 수업과 같아요: 10프레임, 10스텝, 디코딩은
# 2프레임씩, 7 fps, 시드 42.

# %% [markdown] lang="en" id="balloon-text"
# ## From an address to a video
#
# The class writes a web address straight into the call:
#
# ```python
# generate_video("https://…/rabbit.png", "rabbit.mp4")
# ```
#
# We do the same. To need no network, `served` opens a small web server inside this computer for a moment, and the chosen picture gets an
# address there. The settings are the class's: 10 frames, 10 steps, 2 frames decoded at a time, 7 fps, seed 42.

# %% id="balloon" alt_ko="바닷가에서 빨간 풍선이 떠오르는 영상" alt_en="A video of a red balloon that rises over a beach"
# ko| 폴더 하나를 이 컴퓨터 안에서 웹 주소로 열어 주는 도구
# en| gives a folder a web address inside this computer
from svd_lab.lesson.pictures import served

picked.save(out_dir / "picked.png")
with served(out_dir) as web:
    balloon = generate_video(
        f"{web}/picked.png",
        out_dir / "balloon.mp4",
        seed,
        pipe=pipe,
        num_frames=num_frames,
        num_inference_steps=num_inference_steps,
        on_step=progress("balloon.mp4"),  # ko| 진행 상황을 한 줄로 보여 줘요 # en| shows the progress in one line
    )
balloon

# %% id="balloon-sheet" alt_ko="입력 그림, 첫 프레임, 마지막 프레임. 풍선이 위로 올라갔어요" alt_en="The input picture, the first and the last frame; the balloon has risen"
frames = [image, balloon.frames[0], balloon.frames[-1]]
show(grid(frames, ["input picture", "first frame", "last frame"], width=990))

# %% [markdown] lang="ko" id="same-text"
# ## 어떤 형식이든 같은 그림으로
#
# 손에 든 그림은 파일일 수도, 바이트(bytes)일 수도, NumPy 배열(array)일 수도 있어요. 휴대전화로 찍은 사진은 옆으로 누운 채 저장되고, "시계 방향으로 90도 돌려서 보여 달라"는
# 방향 정보(EXIF 메타데이터)가 붙어 있기도 해요. 아래 셀은 가로 그림을 일부러 세워서 저장하고 이 정보를 붙여 `phone.png`를 만들어요.
#
# **3.1 (예상)** 파일 안에서 `phone.png`의 크기는 128×224(가로×세로)예요. `open_image`가 돌려주는 그림의 크기는?
#
# - a. 128×224. 파일에 그렇게 저장되어 있으니까.
# - b. 224×128. 방향 정보대로 돌리니까.
# - c. 224×224. 둘 다 들어가도록 여백을 넣으니까.

# %% [markdown] lang="en" id="same-text"
# ## The same picture, however it comes
#
# What you have at hand may be a file, bytes, or a NumPy array. A phone often stores a photo lying on its side, with a note attached (EXIF metadata):
# "turn me clockwise by 90 degrees". The next cell stores a wide picture upright on purpose, and attaches this note: `phone.png`.
#
# **3.1 (predict)** In the file, `phone.png` is 128×224 (width × height). What size is the picture that `open_image` returns?
#
# - a. 128×224: that is how it is stored.
# - b. 224×128: it follows the note and turns the picture.
# - c. 224×224: it adds margins, so that both fit.

# %% id="q-exif"
answer = ...  # solution| "b"
check("3.1", answer)

# %% tags=["nbval-check-output"] id="same"
image.save(out_dir / "picture.png")
turned = Image.Exif()
# ko| EXIF 0x0112는 어느 쪽이 위인지 알려 줘요. 6이면 시계 방향으로 90도 돌려서 봐요.
# en| EXIF 0x0112 says which side is up; 6: turn it clockwise by 90 degrees.
turned[0x0112] = 6
image.transpose(Image.Transpose.ROTATE_90).save(out_dir / "phone.png", exif=turned)

array = np.asarray(image)
with served(out_dir) as web:
    ways = {
        "URL": f"{web}/picture.png",
        "path": out_dir / "picture.png",
        "bytes": (out_dir / "picture.png").read_bytes(),
        "phone": out_dir / "phone.png",
        "PIL": image,
        "array": array,
        # ko| torch에서는 채널이 맨 앞이에요.
        # en| torch has the channels first.
        "tensor": torch.from_numpy(array.copy()).permute(2, 0, 1),
    }
    opened = {name: open_image(way) for name, way in ways.items()}
same = {name: int(np.abs(np.asarray(one, dtype=int) - array).max()) for name, one in opened.items()}
for name, value in same.items():
    print(f"{name:7} {opened[name].width}x{opened[name].height}, max difference {value}")

# %% [markdown] lang="ko" id="fit-text"
# 어떤 방법으로 넣어도 크기가 같고 차이는 모두 0이에요.
#
# ## 크기와 비율
#
# 미니는 224×128에서, 진짜 SVD는 1024×576에서 학습했어요. 그림이 더 크면 줄이고, 작으면 키워요. 줄일 때 사라진 잔무늬는 영상에도 없고, 키운다고 없던 무늬가 생기지도 않아요.
#
# 까다로운 것은 **비율**(aspect ratio)이에요. 세로로 긴 그림을 가로로 긴 화면에 넣으려면 무언가를 포기해야 해요. `fit`이 무엇을 포기할지 정해요.
#
# - `"crop"`(자르기): 화면을 가득 채우고 넘치는 위아래를 잘라요. 기본값이에요.
# - `"pad"`(여백 넣기): 그림을 다 넣고 남는 양옆을 검게 채워요.
# - `"stretch"`(늘이기): 비율을 버려요. 수업의 `resize((1024, 576))`이 이렇게 해요.
#
# 네 번째는 직접 만들어요. `blurred`는 여백 넣기와 같지만, 검은색 대신 같은 그림을 늘이고 흐리게 해서 뒤에 깔아요. 연습용 그림은 가로와 세로가 3:4예요.
#
# **3.2 (계산)** 이 그림을 `width`×`height` 화면에 맞게 자르면(crop) 그림의 얼마가 남나요? 0과 1 사이의 수로 답하세요. `width`와 `height`를 써도 돼요.
#
# **3.3 (계산)** 늘이면(stretch) 풍선의 가로는 세로에 비해 몇 배로 늘어날까요?
#
# **3.4 (코드 쓰기)** 여백을 넣을 때(pad) 화면 안에 들어가는 그림의 크기를 구하는 함수를 쓰세요. 크기가 `w`×`h`인 그림을 비율을 지키면서 `width`×`height` 화면에 들어가는 가장 큰 크기로 바꾸고,
# 그 크기 `(가로, 세로)`를 정수로 반올림해서 돌려주세요.

# %% [markdown] lang="en" id="fit-text"
# Whichever way it comes, the size is the same and all differences are 0.
#
# ## Size and proportions
#
# The mini was trained at 224×128, the real SVD at 1024×576. A larger picture is shrunk and a smaller one enlarged. Fine patterns that are
# lost in shrinking are not in the video either, and enlarging brings none.
#
# The awkward thing is the **aspect ratio**. To fit a tall picture into a wide frame something must be given up. `fit` says what:
#
# - `"crop"` fills the frame and cuts off what sticks out above and below. This is the default.
# - `"pad"` shows the whole picture and leaves the sides black.
# - `"stretch"` gives up the proportions, as the class's `resize((1024, 576))` does.
#
# A fourth way we write ourselves: `blurred` is like pad, but instead of black it puts the same picture, stretched and blurred, behind. The
# picture for practice is 3 wide to 4 high.
#
# **3.2 (compute)** What share of this picture remains after crop to `width`×`height`? Answer with a number from 0 to 1; you may use
# `width` and `height`.
#
# **3.3 (compute)** With stretch, by which factor does the balloon's width grow, compared with its height?
#
# **3.4 (write code)** Write a function for the size of the picture inside the frame with pad: a picture of `w`×`h` keeps its proportions and
# becomes as large as fits into `width`×`height`. Return `(width, height)` of the result, rounded to integers.

# %% id="q-fit"
answer = ...  # solution| height / (width * 4 / 3)
check("3.2", answer, width=width, height=height)

answer = ...  # solution| (width / 3) / (height / 4)
check("3.3", answer, width=width, height=height)


def pad_size(w, h, width, height):
    # solution| scale = min(width / w, height / h)
    return ...  # solution| (round(w * scale), round(h * scale))


check("3.4", pad_size)

# %% id="fit" alt_ko="세로로 긴 그림을 자르기, 여백 넣기, 늘이기, 흐린 배경으로 맞춘 그림 넷. 늘인 풍선은 럭비공 모양이에요" alt_en="A tall picture fitted in four ways: crop, pad, stretch, blurred sides; the stretched balloon looks like a rugby ball"
wide = min(picked.width, max(1, picked.height * 3 // 4))
# ko| 풍선이 가운데보다 조금 오른쪽에 있어요.
# en| The balloon is a little to the right of the middle.
left = min(max(0, round(picked.width * 0.55 - wide / 2)), picked.width - wide)
tall = picked.crop((left, 0, left + wide, picked.height))

fitted = {fit: open_image(tall, size=(width, height), fit=fit) for fit in ("crop", "pad", "stretch")}
blurred = fitted["stretch"].filter(ImageFilter.GaussianBlur(height / 12))
inside = ImageOps.contain(tall, (width, height))
blurred.paste(inside, ((width - inside.width) // 2, (height - inside.height) // 2))
fitted["blurred"] = blurred
show(grid(list(fitted.values()), list(fitted), columns=2, width=900))

share = height / (width * tall.height / tall.width)
stretch_factor = (width / tall.width) / (height / tall.height)
print(f"{tall.width}x{tall.height}: crop keeps {share:.0%}, stretch widens by {stretch_factor:.2f}")


def black_columns(fit):
    # ko| 맨 위부터 맨 아래까지 검은 세로줄의 수
    # en| How many columns are black from top to bottom.
    frame = np.asarray(open_image(tall, size=(width, height), fit=fit))
    return int((frame.max((0, 2)) < 8).sum())


print("black columns with crop:", black_columns("crop"))

# %% [markdown] lang="ko" id="fit-video-text"
# **3.5 (값 바꾸기)** 위 셀의 마지막 줄은 자르기를 세었어요. `black_columns`에 다른 값을 주어, 여백을 넣으면 검은 세로줄이 몇 개인지 알아보세요. `answer`에 호출을 그대로 적어도 돼요.
#
# 이제 넷으로 영상을 만들어요. 비교용 영상의 스텝은 절반이에요. 풍선이 어디로 얼마나 갔는지는 2강의 `displacement`로 재요. 첫 프레임에서 `boxes`의 부분을 오려 마지막
# 프레임에서 가장 잘 맞는 자리를 찾아요. x는 오른쪽, y는 아래쪽으로 간 픽셀 수예요. 다른 그림을 쓰면 `boxes`를 바꾸세요.
#
# **3.6 (예상)** 원래 그림의 풍선은 위로 떠올랐어요. 늘인 풍선은?
#
# - a. 위로 떠오른다
# - b. 옆으로 간다
# - c. 제자리에 있다

# %% [markdown] lang="en" id="fit-video-text"
# **3.5 (change a value)** The last line above counted for crop. Give `black_columns` another value, to find out how many columns are black with
# pad. You may write the call itself into `answer`.
#
# Now we make videos of all four. Videos for comparison take half the steps. Where the balloon goes is measured by lesson 2's
# `displacement`: it cuts the part in `boxes` out of the first frame and looks for where it fits best in the last; x counts pixels to the
# right and y pixels down. For another picture, change `boxes`.
#
# **3.6 (predict)** In the whole picture the balloon rose. The stretched balloon
#
# - a. rises
# - b. goes sideways
# - c. stays where it is

# %% id="q-stretch"
answer = ...  # solution| black_columns("pad")
check("3.5", answer, width=width, inside=inside.width)

answer = ...  # solution| "b"
check("3.6", answer)

# %% id="fit-video" alt_ko="네 가지로 맞춘 풍선의 영상. 여백을 넣거나 흐린 배경을 깔면 떠오르고, 자르면 제자리에서 커지고, 늘이면 오른쪽으로 가요" alt_en="Videos of the balloon fitted in four ways: with black or blurred sides it rises, cropped it grows in place, stretched it goes right"
from svd_lab.lesson.tracking import displacement

quick = max(1, num_inference_steps // 2)
clips = {"balloon": balloon}


def make(name, picture, steps=quick):
    clips[name] = generate_video(
        picture,
        out_dir / f"{name.replace(' ', '_')}.mp4",
        seed,
        pipe=pipe,
        num_frames=num_frames,
        num_inference_steps=steps,
        on_step=progress(name),
    )
    return clips[name]


for fit, fitted_picture in fitted.items():
    make(fit, fitted_picture)
# ko| 왼쪽, 위, 오른쪽, 아래. 그림 크기에 대한 비율이에요.
# en| Left, top, right, bottom, as shares of the picture.
boxes = {
    "balloon": (0.46, 0.33, 0.67, 0.78),
    "crop": (0.30, 0.10, 0.72, 0.90),
    "pad": (0.42, 0.33, 0.60, 0.78),
    "stretch": (0.30, 0.33, 0.72, 0.70),
    "blurred": (0.42, 0.33, 0.60, 0.78),
}
shift = {}
for name, box in boxes.items():
    shift[name] = displacement(clips[name].frames[0], clips[name].frames[-1], box).tolist()
    print(f"{name:8} x {shift[name][0]:+.0f}, y {shift[name][1]:+.0f} pixels")
together = side_by_side([clips[fit] for fit in fitted], list(fitted), columns=2, width=660)
together.save(out_dir / "compare_fit.mp4")
together

# %% [markdown] lang="ko" id="alpha-text"
# 여백을 넣은 풍선과 흐린 배경의 풍선은 원래 풍선처럼 20픽셀 넘게 떠올라요. **늘인 풍선은 떠오르지 않고 오른쪽으로 가요.** 자른 풍선도 떠오르지 않고 제자리에서 커져요. 맞추는 방법이 모양만이
# 아니라 움직임도 바꿔요. 납작한 풍선이 다른 탈것으로 보였는지도 몰라요(가설이에요). 여기서는 다 보여 주는 두 방법, 여백과 흐린 배경이 가장 나았어요.
#
# ## 투명한 그림
#
# 스티커나 로고 그림에는 픽셀마다 네 번째 숫자가 있어요. **알파**(alpha), 곧 얼마나 불투명한지예요. 0이면 투명하고 255면 불투명해요. 영상에는 투명이 없으니 뒤에 무언가를 깔아야 해요.
#
# - `open_image`는 흰색을 깔아요.
# - Pillow의 `convert("RGB")`는 알파를 그냥 버려요. 투명한 곳에 숨어 있던 색(여기서는 검정)이 드러나고 테두리가 거칠어져요.
# - 다른 배경을 원하면 직접 깔아요. 불투명한 만큼 그림의 색을, 나머지만큼 배경의 색을 섞어요.
#
# **3.7 (코드 쓰기)** 마지막 것을 함수로 쓰세요. `color`와 `background`는 [세로, 가로, 3], `alpha`는 [세로, 가로]이고 값은 모두 0~255예요. 섞은 색 [세로, 가로, 3]을 돌려주세요. 반올림은
# 하지 않아요.

# %% [markdown] lang="en" id="alpha-text"
# With black or blurred sides the balloon rises by more than 20 pixels, as it does in the whole picture. **The stretched balloon does not rise;
# it goes to the right.** The cropped one does not rise either: it grows in place. How a picture is fitted changes not only shapes but motion,
# too. A flat balloon may look like a vehicle to the model (a hypothesis). Here the two ways that show all of it, pad and blurred, did best.
#
# ## Transparent pictures
#
# In stickers and logos every pixel has a fourth number, **alpha**: how opaque it is, from 0 (transparent) to 255 (opaque). A video has no
# transparency, so there must be something behind.
#
# - `open_image` puts white behind.
# - Pillow's `convert("RGB")` drops alpha. The colour that was hidden in transparent pixels (here black) appears, and edges turn rough.
# - For another background, put it behind yourself: weight the picture's colour by its opacity and the background's by the
#   rest.
#
# **3.7 (write code)** Write the last one as a function. `color` and `background` are [height, width, 3], `alpha` is [height, width], all from
# 0 to 255. Return the mixed colours, [height, width, 3], without rounding.


# %% id="q-blend"
def blend(color, alpha, background):
    # solution| share = alpha[..., None] / 255
    return ...  # solution| share * color + (1 - share) * background


check("3.7", blend)

# %% [markdown] lang="ko" id="sticker-text"
# 미니가 학습한 물건의 그림은 배경이 투명해요. `stand`가 그런 물건 하나를 빈 화면에 놓아요. x와 y는 물건의 가운데, 마지막 수는 높이이고 모두 화면에 대한 비율이에요. 같은 토끼를 흰색, 검은색, 하늘
# 앞에 놓아요. 손으로 섞은 색과 Pillow의 `alpha_composite`가 얼마나 다른지도 재요.

# %% [markdown] lang="en" id="sticker-text"
# The things that the mini has learnt come as pictures with nothing behind them. `stand` puts one on a page: x and y say where its middle
# is, the last number how tall it is, all as shares of the page. We put the same rabbit before white, black and a sky. We also measure how
# much our own mixing differs from Pillow's `alpha_composite`.

# %% id="sticker" alt_ko="투명한 토끼, convert로 알파를 버려 테두리가 거친 토끼, 흰색, 검은색, 하늘 앞에 놓은 토끼" alt_en="A transparent rabbit; one with rough edges, for convert dropped its alpha; and the rabbit before white, black and a sky"
from svd_lab.lesson.pictures import stand

sky = ImageOps.colorize(Image.linear_gradient("L"), "#6fb1ee", "#6aa84f", mid="#e6f3f4")
sky = sky.resize((width, height))
sticker = stand(Image.new("RGBA", (width, height)), "rabbit", 0.65, 0.6, 0.55)
sticker.save(out_dir / "sticker.png")
backgrounds = {
    "white": Image.new("RGB", sky.size, "white"),
    "black": Image.new("RGB", sky.size, "black"),
    "sky": sky,
}
behind = {"white": open_image(out_dir / "sticker.png")}
for name in ("black", "sky"):
    behind[name] = Image.alpha_composite(backgrounds[name].convert("RGBA"), sticker).convert("RGB")
labels = ["sticker.png", 'convert("RGB"): rough edges', "white: open_image"]
labels += ["black: alpha_composite", "sky: alpha_composite"]
shown = [checkerboard(sticker), sticker.convert("RGB"), *behind.values()]
show(grid(shown, labels, columns=3, width=990))

rgba = np.asarray(sticker, dtype=float)
opaque = rgba[..., 3:] / 255
by_hand = opaque * rgba[..., :3] + (1 - opaque) * np.asarray(sky)
blend_error = float(np.abs(by_hand - np.asarray(behind["sky"], dtype=float)).max())
print(f"by hand and by Pillow: max difference {blend_error:.1f} of 255")

# %% [markdown] lang="ko" id="centroid-text"
# 차이는 반올림뿐이에요.
#
# 이제 어느 토끼가 더 멀리 가는지 재요. 우리가 만든 그림이라 배경을 정확히 알아요. 그래서 배경과 다른 픽셀이 토끼이고, 그 좌표의 평균인 **무게중심**이 얼마나 갔는지 잴 수 있어요. 흔히 쓰는 다른 지표,
# 곧 이웃한 프레임 사이의 **픽셀 차이**(difference)를 평균한 값도 함께 재요.
#
# **3.8 (예상)** 첫 프레임과 마지막 프레임 사이에 토끼가 뚜렷하게 더 멀리 가는 배경은 어느 것일까요?
#
# - a. 흰색
# - b. 검은색
# - c. 하늘
# - d. 셋이 거의 같다
#
# **3.9 (코드 쓰기)** `frame`과 `background`는 uint8 배열 [세로, 가로, 3]이에요. 세 색 가운데 가장 큰 차이가 40보다 큰 픽셀을 찾아, 무게중심 `(x, y)`를 돌려주세요.

# %% [markdown] lang="en" id="centroid-text"
# They differ by rounding only.
#
# Now we measure which rabbit travels farther. We made these pictures, so we know the background exactly: the pixels that differ from it are
# the rabbit, and the mean of their coordinates, the **centroid**, shows how far it went. We also measure what is often taken instead: how
# much the pixels of neighbouring frames differ on average.
#
# **3.8 (predict)** Before which background does the rabbit travel clearly farther, from the first frame to the last?
#
# - a. white
# - b. black
# - c. sky
# - d. nearly the same before all three
#
# **3.9 (write code)** `frame` and `background` are uint8 arrays [height, width, 3]. Find the pixels whose largest difference of the three
# colours is above 40, and return their centroid `(x, y)`.

# %% id="q-centroid"
answer = ...  # solution| "d"
check("3.8", answer)


def my_centroid(frame, background):
    # solution| change = np.abs(frame.astype(float) - background).max(2)
    # solution| y, x = np.nonzero(change > 40)
    return ...  # solution| (x.mean(), y.mean())


check("3.9", my_centroid)

# %% id="alpha" alt_ko="흰색, 검은색, 하늘 앞에서 뛰어오르는 토끼의 영상" alt_en="Videos of the rabbit hopping before white, black and a sky"
# ko| 프레임마다 무게중심을 찾고, 첫 자리와 마지막 자리의 거리를 재는 도구
# en| find the centroid of each frame, and the distance from the first place to the last
from svd_lab.lesson.tracking import centroids, travelled


def pixels(clip):
    return np.stack([np.asarray(frame, dtype=float) for frame in clip.frames])


def motion(clip):
    return float(np.abs(np.diff(pixels(clip), axis=0)).mean())


alpha_motion, alpha_travel = {}, {}
for name, page in behind.items():
    make(name, page)
    alpha_motion[name] = motion(clips[name])
    alpha_travel[name] = travelled(centroids(clips[name].frames, backgrounds[name]))
    print(f"{name:6} difference {alpha_motion[name]:.2f}, travel {alpha_travel[name]:.0f} pixels")
together = side_by_side([clips[name] for name in behind], list(behind), columns=2, width=660)
together.save(out_dir / "compare_backgrounds.mp4")
together

# %% [markdown] lang="ko" id="kinds-text"
# 검은 배경에서 픽셀 차이는 다른 배경의 두 배가 넘는데, **세 토끼가 간 거리는 거의 같아요.** 달라진 것은 배경뿐이에요. 픽셀 차이는 배경과의 대비(contrast)도 함께 재요. 그래서 차이가 크다고 더
# 움직였다고 말하면 안 돼요.
#
# ## 어떤 그림이 되고 어떤 그림이 안 될까
#
# 그림 여섯 가지로 영상을 만들어요. 아주 작은 물건("too small"), 화면을 채우는 물건("too near", 위의 자른 풍선), 물건 여럿("several things"), 선으로 그린 그림("line drawing"), 글자("letters"), 사진
# ("photograph")이에요. 첫 프레임이 입력 그림과 얼마나 비슷한지를 1강의 PSNR로 재요. 단위는 dB이고, 클수록 비슷해요.
#
# **3.10 (예상)** 여섯 가운데 첫 프레임의 dB가 가장 낮은 것은?
#
# - a. too small
# - b. photograph
# - c. letters
# - d. line drawing

# %% [markdown] lang="en" id="kinds-text"
# Before black the pixels differ more than twice as much as before the other backgrounds, and yet **all three rabbits travel nearly the same
# distance.** Only the background was changed: a pixel difference measures the contrast with it, too. So a larger difference does not mean more
# motion.
#
# ## Which pictures work, and which do not
#
# We make videos of six kinds of pictures: a tiny thing ("too small"), one that fills the frame ("too near": the cropped balloon), several things, a line drawing,
# letters, and a photograph. How similar the first frame is to the input picture is measured as PSNR (lesson 1), in dB; higher is more
# similar.
#
# **3.10 (predict)** Whose first frame has the lowest dB?
#
# - a. too small
# - b. photograph
# - c. letters
# - d. line drawing

# %% id="q-lowest"
answer = ...  # solution| "c"
check("3.10", answer)

# %% id="kinds" alt_ko="여섯 가지 그림의 입력 그림, 첫 프레임, 마지막 프레임. 글자는 끝에서 읽을 수 없고, 공은 무늬를 잃고, 사진의 불빛과 철탑 무늬는 첫 프레임부터 없어요" alt_en="Input picture, first and last frame of six kinds: letters end unreadable, the ball loses its pattern, the photograph its lights and lattice"
several = sky
places = {"rabbit": (0.12, 0.72), "automobile": (0.38, 0.78)}
places |= {"balloon": (0.62, 0.35), "soccer ball": (0.88, 0.75)}
for thing, (x, y) in places.items():
    several = stand(several, thing, x, y, 0.34)
# ko| 집과 기구를 네 배 크기로 그린 다음 줄여요. 그러면 선이 매끄러워요.
# en| A house and a balloon, drawn four times as large and then shrunk: that makes lines smooth.
line_drawing = Image.new("RGB", (896, 512), "white")
pen = ImageDraw.Draw(line_drawing)
house, roof = [(140, 430), (140, 240), (420, 240), (420, 430)], [(140, 240), (280, 120), (420, 240)]
for path in (house, roof, [(0, 430), (896, 430)], [(600, 285), (640, 370)], [(720, 285), (680, 370)]):
    pen.line(path, "black", 4)
for corners in ((240, 320, 310, 430), (165, 270, 225, 330), (635, 370, 685, 410)):
    pen.rectangle(corners, outline="black", width=4)
for corners in ((560, 100, 760, 300), (620, 100, 700, 300)):
    pen.ellipse(corners, outline="black", width=4)
letters = Image.new("RGB", (width, height), "white")
for line, text in enumerate(["One picture in,", "one video out"]):
    font = ImageFont.load_default(height / 5)
    ImageDraw.Draw(letters).text((width * 0.08, height * (0.2 + 0.35 * line)), text, "black", font)
kinds = {
    "too small": stand(sky, "rabbit", 0.6, 0.6, 0.12),
    "too near": fitted["crop"],
    "several things": several,
    "line drawing": line_drawing,
    "letters": letters,
    "photograph": open_image("photo"),
}


def psnr(one, other):
    error = np.mean((np.asarray(one, dtype=float) - np.asarray(other, dtype=float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-10)))


clips["too near"] = clips["crop"]  # ko| 위에서 만든 영상이에요 # en| made above
first_db, pictures, labels = {}, [], []
for name, source in kinds.items():
    given = open_image(source, size=(width, height))
    clip = clips[name] if name in clips else make(name, given)
    first_db[name] = psnr(clip.frames[0], given)
    pictures += [given, clip.frames[0], clip.frames[-1]]
    labels += [name, f"first frame, {first_db[name]:.1f} dB", "last frame"]
show(grid(pictures, labels, columns=3, width=990))
photo = clips["photograph"].frames
photo_shift = displacement(photo[0], photo[-1], (0.4, 0.2, 0.6, 0.95)).tolist()
print(f"the rocket in the photograph: x {photo_shift[0]:+.0f}, y {photo_shift[1]:+.0f} pixels")

# %% id="kinds-video" alt_ko="여섯 가지 그림의 영상" alt_en="Videos of the six kinds of pictures"
together = side_by_side([clips[name] for name in kinds], list(kinds), columns=2, width=660)
together.save(out_dir / "compare_kinds.mp4")
together

# %% [markdown] lang="ko" id="small-text"
# 글자는 첫 프레임의 dB가 가장 낮지만 아직 읽을 수 있어요. 두 그림의 대비를 똑같이 반으로 줄이면 차이도 반이 되어 dB가 6 높아져요. 그래서 대비가 큰 그림은 dB가 낮게 나와요. dB가 가장 높은 것은
# "too small"이에요.
#
# **3.11 (예상)** 왜 이 그림의 dB가 가장 높을까요?
#
# - a. 미니가 작은 물건을 가장 잘 그려서
# - b. 픽셀 대부분이 쉬워서
# - c. 움직임이 가장 작아서
#
# **3.12 (코드 쓰기)** 그림 둘(uint8 [세로, 가로, 3])과 마스크(bool [세로, 가로])를 받아, 마스크가 True인 픽셀에서만 PSNR을 재는 함수를 쓰세요.

# %% [markdown] lang="en" id="small-text"
# Letters have the lowest dB, and can still be read in the first frame. Halve the contrast of both pictures, and their difference halves, too: that
# is 6 dB more. So pictures of high contrast get low values. The highest value belongs to "too small".
#
# **3.11 (predict)** Why does this picture score highest?
#
# - a. The mini draws small things best.
# - b. Most of its pixels are easy.
# - c. It moves least.
#
# **3.12 (write code)** Write a function that takes two pictures (uint8 [height, width, 3]) and a mask (bool [height, width]), and returns the
# PSNR of the pixels where the mask is True.

# %% id="q-small"
answer = ...  # solution| "b"
check("3.11", answer)


def psnr_inside(one, other, mask):
    # solution| error = (one.astype(float) - other) ** 2
    return ...  # solution| 10 * np.log10(255**2 / error[mask].mean())


check("3.12", psnr_inside)

# %% id="small" alt_ko="작은 토끼를 크게 오린 입력 그림과 첫 프레임. 첫 프레임의 토끼는 얼룩에 가까워요" alt_en="The tiny rabbit enlarged, in the input picture and in the first frame, where it is little more than a blot"
tiny, made = kinds["too small"], clips["too small"].frames[0]
mask = np.abs(np.asarray(tiny, dtype=float) - np.asarray(sky, dtype=float)).max(2) > 20
inside_db = psnr(np.asarray(tiny)[mask], np.asarray(made)[mask])
print(f"whole picture {first_db['too small']:.1f} dB")
print(f"rabbit alone, {mask.mean():.1%} of the pixels: {inside_db:.1f} dB")
spot = (width // 2, int(height * 0.45), int(width * 0.7), int(height * 0.75))
labels = ["input picture, enlarged", "first frame, enlarged"]
show(grid([tiny.crop(spot), made.crop(spot)], labels, width=700))

tried = {0.12: inside_db}


def rabbit_db(tall):
    # ko| 높이가 화면의 tall배인 토끼로 영상을 만들고, 첫 프레임의 PSNR을 토끼 안에서만 재요.
    # en| Makes a video of a rabbit `tall` times as high as the frame; PSNR inside it, in frame 1.
    given = stand(sky, "rabbit", 0.6, 0.6, tall)
    first = make(f"rabbit {tall}", given).frames[0]
    inside = np.abs(np.asarray(given, dtype=float) - np.asarray(sky, dtype=float)).max(2) > 20
    tried[tall] = psnr(np.asarray(given)[inside], np.asarray(first)[inside])
    print(f"height {tall}: whole {psnr(given, first):.1f} dB, rabbit alone {tried[tall]:.1f} dB")
    return tried[tall]


# %% [markdown] lang="ko" id="size-text"
# 토끼는 그림의 1%도 안 되고, 나머지는 매끈한 하늘이에요. **토끼 안에서만 재면 10 dB 넘게 낮아요.** 그림 전체의 PSNR은 작은 물건에 대해 거의 아무것도 말해 주지 않아요.
#
# **3.13 (값 바꾸기)** 위의 토끼는 높이가 화면의 0.12배예요. `rabbit_db`를 불러 0.4배인 토끼로 영상을 만들어 보세요. 그림 전체의 dB와 토끼 안의 dB는 어느 쪽으로 변하나요? 토끼 안의 dB를 답하세요.

# %% [markdown] lang="en" id="size-text"
# The rabbit is less than 1% of the picture; the rest is smooth sky. **Inside the rabbit alone it is more than 10 dB lower.** The PSNR of a whole
# picture says next to nothing about a small thing.
#
# **3.13 (change a value)** The rabbit above is 0.12 times as high as the frame. Call `rabbit_db` to make a video of one that is 0.4 times as high.
# Which way does the value of the whole picture go, and which way that of the rabbit alone? Answer with the rabbit's.

# %% id="q-size"
answer = ...  # solution| rabbit_db(0.4)
check("3.13", answer, tried=tried)

# %% [markdown] lang="ko" id="rabbit-text"
# ## 수업의 토끼
#
# 이제 수업의 마지막 영상, 토끼예요. 값은 풍선과 똑같아요. 미니에게는 어려운 그림이에요.

# %% [markdown] lang="en" id="rabbit-text"
# ## The class's rabbit
#
# Now the class's last video, the rabbit, with the same values as the balloon. For the mini it is a hard picture.

# %% id="rabbit" alt_ko="토끼가 두 번 뛰는 영상. 공중에서 머리가 무너져요" alt_en="A rabbit hops twice; its head breaks in the air"
given = open_image("rabbit", size=(width, height))
rabbit = make("rabbit", given, num_inference_steps)
rabbit

# %% id="rabbit-sheet" alt_ko="토끼 영상의 프레임 여섯 장. 공중의 셋째, 다섯째, 아홉째 프레임에서는 머리가 무너졌고, 땅에 닿은 일곱째에는 눈과 귀가 있어요" alt_en="Six frames of the rabbit: in the air, in frames 3, 5 and 9, its head is broken; on the ground, in frame 7, it has eye and ears"
moments = [number for number in (1, 3, 5, 7, 9, 10) if number <= num_frames]
labels = [f"frame {number}" for number in moments]
show(grid([rabbit.frames[number - 1] for number in moments], labels, columns=2, width=800))

# %% [markdown] lang="ko" id="vae-text"
# 토끼는 두 번 뛰어올라요. 공중에 있을 때 머리와 귀가 무너지고, 땅에 닿은 일곱째 프레임에서는 다시 보여요. 풀잎 하나하나는 첫 프레임부터 없고요. 둘의 원인이 같을까요?
#
# 그림을 VAE로 인코딩하고 바로 디코딩하면 유넷의 예측(prediction)을 거치지 않은 그림이 나와요. 입력 그림을 그대로 한 번, 뛰는 자세처럼 기울여서 들어 올린 것을 한 번 거쳐 봐요.
#
# **3.14 (예상)** VAE만 거친 두 그림에서, 토끼의 머리는?
#
# - a. 둘 다 무너진다.
# - b. 기울인 그림에서만 무너진다.
# - c. 둘 다 남아 있다.

# %% [markdown] lang="en" id="vae-text"
# The rabbit hops twice. Head and ears break while it is in the air, and come back in frame 7, on the ground. The single blades of grass are
# missing from the first frame on. Do both have the same cause?
#
# A picture that the VAE encodes and decodes at once has not passed through any prediction of the UNet. We pass the input picture through it
# as it is, and once more tilted and lifted, as in a hop.
#
# **3.14 (predict)** After the VAE alone, the rabbit's head
#
# - a. is broken in both pictures.
# - b. is broken in the tilted one only.
# - c. is there in both.

# %% id="q-vae"
answer = ...  # solution| "c"
check("3.14", answer)

# %% id="vae" alt_ko="입력 그림과 기울인 그림, 그리고 둘이 VAE만 거친 모습: 머리는 남고 풀잎은 사라져요. 아래는 크게 본 머리: 셋째 프레임에서만 무너졌어요" alt_en="The input picture and a tilted one, before and after the VAE alone: heads stay, blades of grass go. Below, heads enlarged: only the third frame's is broken"
def through_vae(picture):
    # ko| 인코딩하고 바로 디코딩해요. 영상처럼 두 장씩 디코딩하고 한 장만 써요.
    # en| Encodes and decodes at once, two frames at a time like the video, and keeps one.
    with torch.no_grad():
        prepared = pipe.video_processor.preprocess(picture, height=height, width=width)
        prepared = prepared.to(pipe._execution_device, pipe.vae.dtype)
        latents = pipe.vae.encode(prepared).latent_dist.mode()
        decoded = pipe.vae.decode(latents.repeat(2, 1, 1, 1), num_frames=2).sample
    return pipe.video_processor.postprocess(decoded.float())[0]


tilted = given.rotate(15, Image.Resampling.BICUBIC, translate=(0, -height // 12))
vae_only, tilted_vae = through_vae(given), through_vae(tilted)
labels = ["input picture", "VAE alone", "tilted and lifted", "tilted and lifted, VAE alone"]
show(grid([given, vae_only, tilted, tilted_vae], labels, columns=2, width=900))

head = (0.48, 0.33, 0.68, 0.66)
third, seventh = min(2, num_frames - 1), min(6, num_frames - 1)


def head_box(frame):
    # ko| 머리가 움직였으니, 가장 잘 맞는 자리를 찾아요.
    # en| The head has moved: find where it fits best.
    x, y = displacement(vae_only, frame, head)
    left, right = (round(share * width + x) for share in head[::2])
    top, bottom = (round(share * height + y) for share in head[1::2])
    return left, top, right, bottom


before = vae_only.crop(head_box(vae_only))
heads, head_db = {"VAE alone": before}, {}
for name, number in {"first frame": 0, "third frame": third, "frame 7": seventh}.items():
    frame = rabbit.frames[number]
    heads[name] = frame.crop(head_box(frame))
    head_db[name] = psnr(heads[name], before)
labels = ["VAE alone", *(f"{name}: {value:.1f} dB to VAE alone" for name, value in head_db.items())]
show(grid(list(heads.values()), labels, columns=2, width=700))

# ko| VAE를 거친 머리가 입력과 얼마나 비슷한지: 그대로, 그리고 기울였을 때
# en| How similar heads are before and after the VAE: upright, and tilted.
vae_head_db = {}
for name, one, other in (("upright", given, vae_only), ("tilted", tilted, tilted_vae)):
    box = head_box(other)
    vae_head_db[name] = psnr(one.crop(box), other.crop(box))
    print(f"head before and after the VAE, {name}: {vae_head_db[name]:.1f} dB")


def detail(picture):
    # ko| 아래쪽 3분의 1, 곧 풀밭에서 옆 픽셀과의 차이를 평균한 값
    # en| The mean difference of pixels next to each other, in the lowest third: the grass.
    grass = np.asarray(picture, dtype=float)[-height // 3 :]
    return float(np.abs(np.diff(grass, axis=1)).mean())


grass = {
    "input picture": detail(given),
    "VAE alone": detail(vae_only),
    "first frame": detail(rabbit.frames[0]),
}
print("detail of the grass:", *(f"{name} {value:.1f}," for name, value in grass.items()))

# %% [markdown] lang="ko" id="steps-text"
# VAE만 거치면 그대로인 그림에서도 기울인 그림에서도 머리가 남아요. 눈도 귀도 있어요. 영상의 첫 프레임도 그래요. **그러니 압축이 아니라, 유넷이 움직임을 만들 때 머리가 무너졌을 거예요.** (토끼의 몸이
# 뛰면서 모양까지 바뀌는 것은 VAE로 시험하지 않았으니, 아직은 가설이에요.)
#
# 풀밭의 무늬는 VAE만 거쳐도 반 넘게 사라지고, 첫 프레임도 그만큼만 남아요. 그래서 영상을 만들기 전에 위 셀처럼 VAE만 거쳐 보면, 그림에서 무엇이 사라질지 미리 알 수 있어요.
#
# 스텝을 늘리면 나아질까요? 두 배로 만들어 봐요.
#
# **3.15 (예상)** 스텝을 두 배로 늘리면 토끼의 머리는 어떻게 될까요?
#
# - a. 무너지지 않는다.
# - b. 조금 나아져서 눈이 남는다.
# - c. 거의 그대로다.

# %% [markdown] lang="en" id="steps-text"
# After the VAE alone the head is there, eye and ears, upright and tilted; and so it is in the video's first frame. **So it is probably not
# compression: the UNet breaks the head when it makes the motion.** (A body that changes its shape in a hop was not tried with the VAE, so
# this remains a hypothesis.)
#
# Of the grass, the VAE alone loses over half of the detail, and no more is left in the first frame. So before making a video, pass a
# picture through the VAE alone, as above, to see what is going to be lost.
#
# Do more steps help? We take twice as many.
#
# **3.15 (predict)** With twice as many steps, the rabbit's head
#
# - a. stays whole.
# - b. gets a little better, and the eye stays.
# - c. is hardly different.

# %% id="q-steps"
answer = ...  # solution| "c"
check("3.15", answer)

# %% id="more-steps" alt_ko="같은 시드의 셋째 프레임과 차이를 10배로 키운 그림: 스텝이 두 배여도 거의 같아요" alt_en="The third frame of the same seed, and the difference times 10: hardly different with twice the steps"
make("rabbit_more_steps", given, 2 * num_inference_steps)
steps_change = float(np.abs(pixels(rabbit) - pixels(clips["rabbit_more_steps"])).mean())
thirds = [clips[name].frames[third] for name in ("rabbit", "rabbit_more_steps")]
labels = [f"third frame, {count} steps" for count in (num_inference_steps, 2 * num_inference_steps)]
labels += ["difference x 10"]
show(grid([*thirds, difference_map(*thirds)], labels, columns=3, width=990))
print(f"the whole videos differ by {steps_change:.2f} of 255 on average")

# %% [markdown] lang="ko" id="real-text"
# 거의 같은 영상이에요. 평균 차이가 1도 안 돼요. 머리가 무너지는 것은 스텝이 모자라서가 아니에요.
#
# | 그림 | 여기서 본 것 | 왜 그럴까(가설) |
# |---|---|---|
# | 둥글고 큰 물건 하나(풍선) | 물건이 움직여요. 끝에서 조금 일그러져요 | 이런 그림을 학습했어요 |
# | 수업의 토끼 | 뛰지만 공중에서 머리가 무너져요 | 뛰는 자세가 어려워요 |
# | 너무 가까움 | 물건은 제자리이고 카메라가 다가가요 | 화면을 가득 채운 그림에서는 카메라만 움직인다고 학습했어요 |
# | 너무 작음 | 얼룩에 가까워요 | 잠재 표현 한 칸이 8×8픽셀이라 몇 칸밖에 안 돼요 |
# | 물건 여럿 | 저마다 움직이지만, 공은 무늬를 잃고 일그러져요 | 하나만 움직이는 영상을 학습했어요 |
# | 선으로 그린 그림 | 선이 옅어지고 끝에서 끊어져요 | VAE가 가는 무늬를 잘 못 지켜요 |
# | 글자 | 첫 프레임에서는 흐려도 읽을 수 있고, 끝에서는 읽을 수 없어요 | 글자도 가는 무늬예요. 학습한 적도 없고요 |
# | 사진 | 로켓은 제자리이고 카메라만 조금 다가가요. 불빛과 철탑의 무늬는 첫 프레임부터 없어요 | 사진은 한 장도 학습하지 않았어요 |
#
# ### 진짜 모델은 무엇이 다를까
#
# 아래는 여기서 잰 것이 아니라 [논문](https://arxiv.org/abs/2311.15127)과
# [모델 카드](https://huggingface.co/stabilityai/stable-video-diffusion-img2vid)에 적힌 것이에요.
#
# - 진짜 SVD는 실제로 찍은 영상 수억 개에서 골라 학습했어요.
# - 영상은 4초 이하이고, 아주 천천히 카메라만 움직이거나 아예 안 움직이기도 해요.
# - 글자는 제대로 그리지 못해요. 얼굴과 사람도 어색할 수 있어요.
# - 무엇이 어디로 움직일지 글로 시킬 수는 없어요.

# %% [markdown] lang="en" id="real-text"
# It is nearly the same video: the mean difference is below 1. Too few steps are not the reason why the head falls apart.
#
# | picture | what was seen here | why (hypothesis) |
# |---|---|---|
# | one large round thing (the balloon) | the thing moves, and gets a little lumpy in the end | it has learnt such pictures |
# | the class's rabbit | hops, and its head breaks in the air | the pose of a hop is hard |
# | too near | the thing stays in place, and the camera closes in | in the close-ups it has learnt from, only the camera moves |
# | too small | little more than a blot | one cell of latents is 8×8 pixels, so it has a few cells only |
# | several things | each moves in its own way; the ball loses its pattern and its shape | it has learnt videos in which one thing moves |
# | a line drawing | lines get paler, and break in the end | the VAE is bad at thin patterns |
# | letters | blurred but readable in the first frame, unreadable in the end | letters are thin patterns, too, and it has learnt none |
# | a photograph | the rocket stays in place, and the camera closes in a little; lights and lattice are gone from the first frame on | it has never learnt from one |
#
# ### What the real model does differently
#
# This was not measured here; it is what the [paper](https://arxiv.org/abs/2311.15127) and the
# [model card](https://huggingface.co/stabilityai/stable-video-diffusion-img2vid) say.
#
# - The real SVD was trained on a selection from hundreds of millions of filmed clips.
# - Its videos are no longer than 4 seconds, and sometimes the camera just creeps, or nothing moves at all.
# - It cannot render legible letters, and faces and people may come out wrong.
# - It cannot be told in words what should move where.

# %% [markdown] lang="ko" id="studio-text"
# ## 스튜디오: 내 그림으로
#
# 스튜디오에서도 그림을 올릴 수 있어요. **내 그림 올리기**를 누르거나 경로나 주소를 적으면, 왼쪽에 **모델에 들어갈 입력 그림**이 나와요. **모든 설정**을 열고 **그림 맞추기**를 자르기, 여백 넣기, 늘이기로
# 바꾸면 그 그림이 바로 달라져요. 그래서 영상을 만들기 전에 미리 확인할 수 있어요.

# %% [markdown] lang="en" id="studio-text"
# ## The studio: with your own picture
#
# The studio takes pictures, too. Press **Upload a picture**, or enter a path or an address, and on the left you see **what the model
# gets**. Open **All settings** and set **Fitting the picture** to crop, pad or stretch: that picture changes at once, so that you can
# check what this lesson teaches before you make a video.

# %% id="studio"
from svd_lab.studio import video_studio

studio = video_studio(
    pipe,
    image=picked,
    out_dir=out_dir / "studio",
    seed=seed,
    num_frames=num_frames,
    num_inference_steps=num_inference_steps,
)
studio

# %% [markdown] lang="ko" id="end-text"
# ## 정리
#
# | 무엇 | 기억할 것 |
# |---|---|
# | `open_image(source, size=…, fit=…)` | 경로, 주소, 바이트, 배열, 텐서, 무엇이든 바로 선 RGB 그림으로 |
# | `fit="crop"` | 비율을 지키고 넘치는 곳을 잘라요. 기본값 |
# | `fit="pad"` | 다 보여 주고 남는 곳은 검정 |
# | `fit="stretch"` | 수업의 `resize`처럼 비율을 버려요. 움직임까지 달라질 수 있어요. 크게 자른 것도 그래요 |
# | 알파 | 흰색을 깔아요. 다른 배경은 직접 |
# | 프레임 사이의 픽셀 차이 | 대비도 재요. 움직임은 무게중심으로 |
# | 그림 전체의 PSNR | 작은 물건은 못 봐요. 마스크 안에서 다시 |
# | 잘된 그림 | 풍선처럼 둥글고 큰 물건 하나. 다만 토끼도 물건 하나인데 머리가 무너졌으니, 만들어 봐야 알아요 |
#
# **더 해 보기.** 그림을 올려서 영상을 만들어 보세요. 잘될지 먼저 예상하세요. `svd_lab.lesson.pictures.thing_names()`는 미니가 학습한 물건의 이름을 알려 줘요. 다른 물건을 하늘 앞에
# 놓고, 무게중심이 얼마나 가는지 재 보세요.
#
# 마지막 셀은 잰 값과 답을 `result.json`에 남겨요. 다음은 4강이에요. 이번에는 그림도 모델이 그려요.

# %% [markdown] lang="en" id="end-text"
# ## Summary
#
# | what | to remember |
# |---|---|
# | `open_image(source, size=…, fit=…)` | a path, address, bytes, array, tensor: an upright RGB picture of any of them |
# | `fit="crop"` | keeps proportions and cuts what sticks out; the default |
# | `fit="pad"` | shows all; the rest is black |
# | `fit="stretch"` | gives up the proportions, as the class's `resize`; even the motion may change, as it may with a close crop |
# | alpha | white lies behind; put other backgrounds there yourself |
# | the pixel difference of frames | measures contrast, too; take the centroid for motion |
# | PSNR of a whole picture | does not see small things; measure again inside a mask |
# | what worked | one large round thing, like the balloon; but the rabbit is one thing, too, and its head broke: make it and look |
#
# **More to try.** Upload a picture and make a video of it; predict first whether it will work. `svd_lab.lesson.pictures.thing_names()` lists
# the things that the mini has learnt: put another one before the sky and measure how far its centroid travels.
#
# The last cell saves what was measured, and your answers, in `result.json`. Next comes lesson 4, in which a model draws the picture, too.

# %% id="finish"
measured = {
    "uploaded": bool(uploader.value),
    "max_difference": same,
    "share_kept": share,
    "stretch_factor": stretch_factor,
    "shift_by_fit": shift,
    "blend_error": blend_error,
    "motion_by_background": alpha_motion,
    "travel_by_background": alpha_travel,
    "first_frame_db": first_db,
    "photo_shift": photo_shift,
    "small_inside_db": inside_db,
    "small_share": float(mask.mean()),
    "head_db": head_db,
    "vae_head_db": vae_head_db,
    "grass_detail": grass,
    "steps_change": steps_change,
}
finish_lesson(lesson, clips, measured)
