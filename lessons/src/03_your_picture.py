# %% [markdown] lang="ko" id="title"
# # 3. 내 그림으로 만들기
#
# 이번에는 로켓 말고 다른 그림이에요. 토끼 그림으로 영상을 하나 만들고, 그다음에는 여러분의 그림을 넣어요. 어떤 그림을 넣어도 모델은 정해진 크기의 그림 한 장만 받아요.
# 그 사이에 그림에 무슨 일이 생기는지, 그리고 어떤 그림은 잘되고 어떤 그림은 안되는지 하나씩 만들어 보고 재요.
#
# ![이 노트북에서 만드는 토끼 영상](../../docs/lesson-03.webp)
#
# | | |
# |---|---|
# | 만들 것 | 토끼 영상 `rabbit.mp4`와, 크기, 투명도, 그림의 종류를 견주는 영상 세 개 |
# | 필요한 것 | `svd-lab` 설치. GPU, 계정, 네트워크는 없어도 돼요. 웹 주소에서 그림을 가져올 때만 네트워크를 써요 |
# | 걸리는 시간 | 미니로 CPU 코어 하나에서 약 2분(잰 값). 진짜 모델은 H100 GPU에서 약 1분과 불러오는 시간(어림). 이번에 걸린 시간은 마지막 셀이 알려 줘요 |

# %% [markdown] lang="en" id="title"
# # 3. Your own picture
#
# This time it is not the rocket. We make a video from a picture of a rabbit, and then from a picture of yours. Whatever you give, the
# model takes one picture of one fixed size. What happens to a picture on the way there, which pictures work and which do not: we make
# them all and measure.
#
# ![The rabbit's video that this notebook makes](../../docs/lesson-03.webp)
#
# | | |
# |---|---|
# | You make | the rabbit's video, `rabbit.mp4`, and three videos that compare sizes, transparency and kinds of pictures |
# | You need | `svd-lab` installed; no GPU, no account, and a network only to fetch a picture from the web |
# | It takes | with the mini about two minutes on one CPU core (measured); with the real model about a minute on an H100 GPU, and the loading (an estimate). The last cell says how long it took this time |

# %% tags=["parameters"] id="parameters"
model: str = "auto"  # ko| 모델: auto(GPU가 있으면 svd, 없으면 mini), mini, svd, 폴더, Hub ID # en| auto (svd on a GPU, else mini), mini, svd, a folder or a Hub id
seed: int = 42  # ko| 시드: 0~4294967295, -1이면 무작위로 뽑음 # en| 0 to 4294967295; -1 draws one
picture: str = "rabbit"  # ko| 들어 있는 그림(ball, balloon, boat, car, rabbit, rocket), 파일 경로, 웹 주소 # en| bundled (ball, balloon, boat, car, rabbit, rocket), a path or an address
num_frames: int = 10  # ko| 만들 프레임 수, 2 이상 # en| frames to make, at least 2
num_inference_steps: int = 10  # ko| 잡음을 걷어 내는 횟수, 1 이상. 비교할 때는 절반만 써요 # en| denoising steps, at least 1; comparisons take half as many
out_dir: str = "out/03_your_picture"  # ko| 결과를 담을 폴더 # en| folder for the results

# %% [markdown] lang="ko" id="check-text"
# 값이 알맞은지 확인하고, 도구와 모델을 불러와요.

# %% [markdown] lang="en" id="check-text"
# We check the values, then load the tools and the model.

# %% id="check"
from svd_lab.lesson import EXAMPLES, PICTURES, finish_lesson, progress, start_lesson

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

# %% tags=["nbval-check-output"] id="imports"
import numpy as np
import torch
from ipywidgets import FileUpload
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from svd_lab import generate_video, load_video_pipeline, open_image
from svd_lab.lesson.figures import checkerboard, grid, show, side_by_side
from svd_lab.pipe_facts import native_size
from svd_lab.studio import video_studio

pipe = load_video_pipeline(lesson.model)
width, height = native_size(pipe)

# %% [markdown] lang="ko" id="upload-text"
# ## 그림을 고르는 세 가지 길
#
# | 길 | 방법 |
# |---|---|
# | 올리기 | 아래 셀의 단추를 눌러 여러분 컴퓨터의 그림을 골라요. 그런 다음 **그 아래 셀부터** 다시 돌려요. JupyterLab 메뉴의 Run → Run Selected Cell and All Below예요 |
# | 경로(path) | 맨 위 `picture`에 파일 이름을 써요. `"photos/rabbit.jpg"`처럼요 |
# | 웹 주소(URL) | 맨 위 `picture`에 `https://`로 시작하는 주소를 써요. 수업에서는 토끼 그림의 주소를 이렇게 넣어요 |
#
# 주소는 그림이 실린 페이지가 아니라 **그림 자체의 주소**여야 해요. 브라우저에서 그림을 오른쪽 단추로 눌러 "이미지 주소 복사"를 고르면 돼요. 올린 그림은 이 노트북이
# 도는 컴퓨터로만 가요. 그 컴퓨터가 남의 것이라면(Binder나 Colab) 남에게 보여도 되는 그림만 올리세요.
#
# 단추는 노트북을 직접 돌릴 때만 보여요. 아무것도 올리지 않으면 `picture`로 계속해요.

# %% [markdown] lang="en" id="upload-text"
# ## Three ways to choose a picture
#
# | way | how |
# |---|---|
# | upload | press the button of the next cell and pick a picture on your computer. Then run again **from the cell below it**: in JupyterLab's menu, Run → Run Selected Cell and All Below |
# | path | write a file's name into `picture` at the top, like `"photos/rabbit.jpg"` |
# | address (URL) | write an address that starts with `https://` into `picture`; the class gives its rabbit in this way |
#
# The address must be **the picture's own**, not that of the page that it is on: in a browser, right click on the picture and choose
# "copy image address". An uploaded picture goes to the computer that runs this notebook and nowhere else. If that computer is not
# yours (Binder, Colab), upload only what others may see.
#
# The button is there only when you run the notebook yourself. Upload nothing, and it goes on with `picture`.

# %% id="upload"
uploader = FileUpload(accept="image/*", multiple=False)
uploader

# %% id="use"
picked = open_image(uploader.value[0]["content"]) if uploader.value else lesson.picture
image = open_image(picked, size=(width, height))
sizes = [f"picked, {picked.width}x{picked.height}", f"for the model, {width}x{height}"]
show(grid([picked, image], sizes))

# %% [markdown] lang="ko" id="rabbit-text"
# ## 토끼
#
# 수업과 똑같은 값으로 만들어요. 호출도 2강과 똑같아요. 바뀐 것은 그림뿐이에요.

# %% [markdown] lang="en" id="rabbit-text"
# ## The rabbit
#
# We make it with exactly the class's values. The call is that of lesson 2, too: only the picture is another.

# %% id="rabbit"
rabbit = generate_video(
    image,
    out_dir / "rabbit.mp4",
    seed,
    pipe=pipe,
    num_frames=num_frames,
    num_inference_steps=num_inference_steps,
    on_step=progress("rabbit.mp4"),
)
rabbit

# %% id="rabbit-sheet"
show(rabbit.contact_sheet(width=720))

# %% [markdown] lang="ko" id="same-text"
# 미니가 만들었다면, 토끼는 껑충 뛰려고 해요. 뒤로 갈수록 귀와 다리처럼 가는 곳부터 물러져요. 풀잎 하나하나는 첫 프레임부터 사라지고요.
#
# ## 무엇을 주든 같은 그림이 되게
#
# 손에 든 그림은 파일일 수도, 바이트(bytes)일 수도, NumPy 배열(array)일 수도 있어요. 휴대전화로 세워 찍은 사진은 파일 안에 누워 있고, "돌려서 보여 달라"는
# 쪽지(EXIF)만 붙어 있기도 해요. `open_image`는 이 모두를 바로 선 RGB 그림으로 바꿔요. 정말 모두 같은지 가장 큰 픽셀 차이를 재 볼게요.

# %% [markdown] lang="en" id="same-text"
# If the mini made it, the rabbit wants to hop. Towards the end what is thin goes soft first, such as ears and legs; the single blades of
# grass are gone from the first frame on.
#
# ## The same picture, however it comes
#
# What you have at hand may be a file, bytes, or a NumPy array. A photo that was taken with the phone held upright may lie on its side in
# the file, with a note attached (EXIF): "turn me". `open_image` makes an upright RGB picture of them all. Are they really all the same?
# We take the largest difference of any pixel.

# %% tags=["nbval-check-output"] id="same"
image.save(out_dir / "picture.png")
turned = Image.Exif()
turned[0x0112] = 6  # ko| EXIF 0x0112: 어느 쪽이 위인지. 6이면 시계 방향으로 90도 돌려서 봐요 # en| EXIF 0x0112 says what is up; 6: turn it clockwise by 90 degrees
image.transpose(Image.Transpose.ROTATE_90).save(out_dir / "phone.png", exif=turned)

array = np.asarray(image)
ways = {
    "path": out_dir / "picture.png",
    "bytes": (out_dir / "picture.png").read_bytes(),
    "phone": out_dir / "phone.png",
    "PIL": image,
    "array": array,
    "tensor": torch.from_numpy(array.copy()).permute(2, 0, 1),  # ko| torch에서는 채널이 맨 앞이에요 # en| torch has the channels first
}
same = {}
for name, way in ways.items():
    same[name] = int(np.abs(np.asarray(open_image(way), dtype=int) - array).max())
for name, value in same.items():
    print(f"{name:7} max difference {value}")

# %% [markdown] lang="ko" id="fit-text"
# ## 크기와 비율
#
# 모델은 배운 크기로만 잘 그려요. 미니는 224×128, 진짜 SVD는 1024×576이에요. 그림이 더 크면 줄이고, 작으면 늘려요. 줄일 때 사라진 무늬는 영상에도 없고, 늘린다고 없던
# 무늬가 생기지도 않아요.
#
# 까다로운 것은 **비율**(aspect ratio)이에요. 세로로 긴 그림을 가로로 긴 칸에 넣으려면 무언가를 내주어야 해요. `fit`이 무엇을 내줄지 정해요.
#
# - `"crop"`(자르기): 칸을 가득 채우고 넘치는 위아래를 잘라요. 따로 정하지 않으면 이렇게 해요.
# - `"pad"`(덧대기): 그림을 다 넣고 남는 양옆을 검게 채워요.
# - `"stretch"`(늘이기): 비율을 버려요. 수업의 `resize((1024, 576))`이 이렇게 해요.
#
# 일부러 세로로 긴 그림을 만들어 세 가지로 영상을 만들어요. 단계 수는 절반이에요.

# %% [markdown] lang="en" id="fit-text"
# ## Size and proportions
#
# The model draws well only at the size that it has learnt: 224×128 the mini, 1024×576 the real SVD. A larger picture is shrunk and a
# smaller one enlarged. Fine patterns that are lost in shrinking are not in the video either, and enlarging brings none.
#
# The awkward thing is the **aspect ratio**. To fit a tall picture into a wide frame something must be given up. What, is said by `fit`:
#
# - `"crop"` fills the frame and cuts off what sticks out above and below. This is the default.
# - `"pad"` shows the whole picture and leaves the sides black.
# - `"stretch"` gives up the proportions, as the class's `resize((1024, 576))` does.
#
# We make a tall picture on purpose, and three videos of it. They take half as many steps.

# %% id="fit"
quick = max(1, num_inference_steps // 2)
clips = {"rabbit": rabbit}


def pixels(clip):
    return np.stack([np.asarray(frame, dtype=float) for frame in clip.frames])


def motion(clip):
    # ko| 이웃한 두 프레임의 픽셀이 평균 얼마나 다른지(0~255). 2강의 자와 같아요.
    # en| How much pixels of neighbouring frames differ on average (0 to 255): the yardstick of lesson 2.
    return float(np.abs(np.diff(pixels(clip), axis=0)).mean())


def make(name, picture, **settings):
    clips[name] = generate_video(
        picture,
        out_dir / f"{name.replace(' ', '_')}.mp4",
        seed,
        pipe=pipe,
        num_frames=num_frames,
        num_inference_steps=quick,
        on_step=progress(name),
        **settings,
    )
    return clips[name]


wide = min(picked.width, max(1, picked.height * 3 // 4))
left = round((picked.width - wide) * 0.7)  # ko| 토끼가 가운데보다 오른쪽에 있어서요 # en| the rabbit stands right of the middle
tall = picked.crop((left, 0, left + wide, picked.height))
share = min(width / tall.width, height / tall.height) / max(width / tall.width, height / tall.height)
print(f"tall     {tall.width}x{tall.height}")
print(f"crop     picture kept {share:.0%}")
print(f"pad      frame filled {share:.0%}")
print(f"stretch  width x {1 / share:.2f}")

fitted = {fit: open_image(tall, size=(width, height), fit=fit) for fit in ("crop", "pad", "stretch")}
show(grid([ImageOps.pad(tall, (width, height), color="white"), *fitted.values()], ["tall", *fitted]))

# %% id="fit-video"
for fit in fitted:
    make(fit, tall, fit=fit)
fit_motion = {fit: motion(clips[fit]) for fit in fitted}
labels = [f"{fit}: motion {value:.2f}" for fit, value in fit_motion.items()]
together = side_by_side([clips[fit] for fit in fitted], labels)
together.save(out_dir / "compare_fit.mp4")
show(together.frames[-1])
together

# %% [markdown] lang="ko" id="alpha-text"
# 비율이 안 맞는 만큼을 `crop`은 그림에서, `pad`는 화면에서, `stretch`는 생김새에서 내줘요. 그림은 하나인데 움직임은 셋이 달라요. 모델이
# 보는 것이 다르니까요. 자르면 물건의 일부가 없고, 덧대면 물건이 작고, 늘이면 배운 것과 다르게 생겼어요. 가장 좋은 방법은 **직접 가로로 길게 오려서 주는 것**이에요.
#
# ## 투명한 그림
#
# 스티커나 로고 그림에는 픽셀마다 네 번째 숫자가 있어요. **알파**(alpha), 곧 얼마나 불투명한지예요. 영상에는 투명이 없으니 뒤에 무언가를 깔아야 해요. 무엇을 까느냐에
# 따라 영상이 달라져요.
#
# - `open_image`는 흰색을 깔아요.
# - Pillow의 `convert("RGB")`는 알파를 그냥 버려요. 투명한 곳에 숨어 있던 색(대개 검정)이 드러나고 테두리가 거칠어져요.
# - 원하는 배경이 있으면 직접 깔아서 주면 돼요.

# %% [markdown] lang="en" id="alpha-text"
# What does not fit `crop` takes from the picture, `pad` from the frame, and `stretch` from the looks. It is one picture, and it moves in
# three ways, for the model sees three things: cut, a part of the thing is missing; padded, it is small; stretched, it looks unlike
# what the model has learnt. Best is to **cut out a wide part yourself**.
#
# ## Transparent pictures
#
# In stickers and logos every pixel has a fourth number, **alpha**: how opaque it is. Videos know no transparency, so something must lie
# behind. What it is makes a difference.
#
# - `open_image` puts white behind.
# - Pillow's `convert("RGB")` drops alpha. The colour that was hidden in transparent pixels (mostly black) appears, and edges turn rough.
# - If there is a background that you want, put it behind yourself.

# %% id="alpha"
# ko| 미니가 배운 물건들이에요. 배경이 투명해요.
# en| The things that the mini has learnt; nothing lies behind them.
from svd_lab.mini.catalogue import catalogue, cutout

names = [thing["en"] for thing in catalogue()]
sky = ImageOps.colorize(Image.linear_gradient("L"), "#6fb1ee", "#6aa84f", mid="#e6f3f4")
sky = sky.resize((width, height))


def stand(page, thing, x, y, size):
    # ko| 물건을 종이에 세워요. x와 y는 가운데의 자리, size는 높이, 모두 종이에 대한 비율이에요.
    # en| Stand a thing on a page; x and y say where its middle is, size how tall it is,
    # en| all as shares of the page.
    thing = cutout(names.index(thing))
    thing = thing.crop(thing.getbbox())
    tall = max(1, round(size * page.height))
    wide = max(1, round(thing.width * tall / thing.height))
    thing = thing.resize((wide, tall), Image.Resampling.LANCZOS)
    corner = round(x * page.width - wide / 2), round(y * page.height - tall / 2)
    page.alpha_composite(thing, corner)
    return page


sticker = stand(Image.new("RGBA", (width, height)), "rabbit", 0.65, 0.6, 0.55)
sticker.save(out_dir / "sticker.png")
behind = {
    "white": open_image(out_dir / "sticker.png"),
    "dropped": sticker.convert("RGB"),
    "sky": Image.alpha_composite(sky.convert("RGBA"), sticker).convert("RGB"),
}
labels = ["sticker.png", "white: open_image", 'dropped: convert("RGB")', "sky: own background"]
show(grid([checkerboard(sticker), *behind.values()], labels))
for name, page in behind.items():
    make(name, page)
alpha_motion = {name: motion(clips[name]) for name in behind}
labels = [f"{name}: motion {value:.2f}" for name, value in alpha_motion.items()]
together = side_by_side([clips[name] for name in behind], labels)
together.save(out_dir / "compare_alpha.mp4")
show(together.frames[-1])
together

# %% [markdown] lang="ko" id="kinds-text"
# 같은 토끼인데 뒤에 무엇이 있느냐에 따라 다르게 움직이고 다르게 무너져요. 모델은 물건만 보지 않고 그림 전체를 봐요.
#
# ## 어떤 그림이 되고 어떤 그림이 안 될까
#
# 이제 솔직해질 시간이에요. 그림 여덟 가지로 영상을 만들고 둘을 재요.
#
# - **dB**: 첫 프레임이 준 그림과 얼마나 닮았는지. 클수록 그림을 잘 지킨 거예요. 1강에서 쓴 자예요.
# - **motion**: 얼마나 움직였는지. 다만 이 자는 앞으로 나아가는 것과 제자리에서 녹는 것을 가리지 못해요. 그래서 눈으로도 봐야 해요.
#
# 그림마다 왼쪽부터 준 그림, 첫 프레임, 마지막 프레임이에요.

# %% [markdown] lang="en" id="kinds-text"
# The same rabbit moves differently, and falls apart differently, with what lies behind it. The model does not see just the thing, but
# the whole picture.
#
# ## Which pictures work, and which do not
#
# Now it is time to be honest. We make videos of eight kinds of pictures and measure two things.
#
# - **dB**: how close the first frame is to the given picture. More means better kept. This is the yardstick of lesson 1.
# - **motion**: how much moved. But this yardstick cannot tell going somewhere from melting on the spot. So look, too.
#
# Of each, from the left: the given picture, the first frame, the last frame.

# %% id="kinds"
whole = open_image(PICTURES["rabbit"])
letters = Image.new("RGB", (width * 2, height * 2), "white")
for line, text in enumerate(["Stable Video Diffusion", "takes one picture", "and makes a video"]):
    font = ImageFont.load_default(height / 3.4)
    ImageDraw.Draw(letters).text((width * 0.12, height * (0.3 + 0.5 * line)), text, "black", font)
several = sky.convert("RGBA")
places = {"rabbit": (0.15, 0.7), "automobile": (0.4, 0.75)}
places |= {"balloon": (0.62, 0.35), "soccer ball": (0.85, 0.75)}
for thing, (x, y) in places.items():
    stand(several, thing, x, y, 0.4)
kinds = {
    "one thing": image,
    "too near": whole.crop((472, 144, 853, 396)),
    "too small": stand(sky.convert("RGBA"), "rabbit", 0.6, 0.6, 0.12),
    "several things": several,
    "no thing": whole.crop((0, 0, 512, 288)),
    "line drawing": ImageOps.invert(whole.convert("L").filter(ImageFilter.FIND_EDGES)),
    "photograph": EXAMPLES["photo"],
    "letters": letters,
}

kept, moved, pictures = {}, {}, []
for name, source in kinds.items():
    given = open_image(source, size=(width, height))
    clip = make(name, given)
    error = np.mean((pixels(clip)[0] - np.asarray(given, dtype=float)) ** 2)
    kept[name] = float(10 * np.log10(255**2 / max(error, 1e-10)))
    moved[name] = motion(clip)
    pictures.append(grid([given, clip.frames[0], clip.frames[-1]], width=3 * 148))

labels = [f"{name}: {kept[name]:.1f} dB, motion {moved[name]:.2f}" for name in kinds]
show(grid(pictures, labels, columns=2))

# %% id="kinds-video"
together = side_by_side([clips[name] for name in kinds], list(kinds), columns=4, width=520)
together.save(out_dir / "compare_kinds.mp4")
together

# %% [markdown] lang="ko" id="real-text"
# | 그림 | 미니가 하는 일 | 왜 |
# |---|---|---|
# | 물건 하나, 움직일 자리가 있음 | 물건이 움직여요. 풀밭처럼 무늬가 잔 배경은 흐려져서 dB가 낮아요 | 이런 그림을 배웠어요 |
# | 너무 가까움 | 모양은 잘 지켜요. 하지만 물건은 가만있고 카메라만 다가가요 | 화면을 가득 채운 그림에서는 카메라만 움직인다고 배웠어요 |
# | 너무 작음 | 점처럼 흐려져요 | 잠재값 한 칸이 8×8픽셀이라 몇 칸밖에 안 돼요 |
# | 물건 여럿 | 한꺼번에 움직이려다 뒤섞여요 | 하나만 움직이는 영상을 배웠어요 |
# | 물건 없음 | 카메라만 조금 다가가요 | 풍경은 그렇게 배웠어요. 잘못이 아니에요 |
# | 선으로 그린 그림 | 가는 선이 흐려져요 | VAE가 가는 무늬를 못 지켜요 |
# | 사진 | 사진인 채로 조금 다가가거나 일렁이기만 해요 | 사진은 한 장도 배우지 않았어요 |
# | 글자 | 첫 프레임부터 뭉개져요. dB가 아주 낮아요 | 글자도 가는 무늬예요. 배운 적도 없고요 |
#
# 첫 프레임의 dB는 거의 VAE가 정해요. 여기서 이미 무너진 그림은 아무리 단계를 늘려도 돌아오지 않아요. 그래서 영상을 만들기 전에 1강의 방법으로 줄였다가 펼쳐 보면
# 시간을 아낄 수 있어요.
#
# ### 진짜 모델은 무엇이 다를까
#
# 아래는 여기서 잰 것이 아니라 [논문](https://arxiv.org/abs/2311.15127)과
# [모델 카드](https://huggingface.co/stabilityai/stable-video-diffusion-img2vid)에 적힌 것이에요.
#
# - 진짜 SVD는 실제로 찍은 영상 수억 개에서 모아 배웠어요. 그래서 **사진**이 오히려 제자리예요. 물결, 연기, 카메라 움직임도 상상해요.
# - 그래도 영상은 4초보다 짧고, 아주 천천히 카메라만 움직이거나 아예 안 움직이기도 해요.
# - 글자는 제대로 그리지 못해요. 얼굴과 사람도 어색할 수 있어요. 이 두 가지는 미니와 진짜가 같아요.
# - 무엇이 어디로 움직일지 글로 시킬 수는 없어요.

# %% [markdown] lang="en" id="real-text"
# | picture | what the mini does | why |
# |---|---|---|
# | one thing with room to move | the thing moves; a fine-patterned background, such as a meadow, blurs and lowers the dB | it has learnt such pictures |
# | too near | keeps its shape well, but only the camera closes in | in the close-ups it has learnt from, nothing but the camera moves |
# | too small | fades into a blot | one cell of latents is 8×8 pixels, so it has a few cells only |
# | several things | wants to move all at once and mixes them up | it has learnt videos in which one thing moves |
# | no thing | only the camera comes a little closer | that is how it learnt landscapes; it is no fault |
# | a line drawing | thin lines blur | the VAE cannot keep thin patterns |
# | a photograph | stays a photograph that comes a little nearer, or wobbles | it has never learnt from one |
# | letters | smears from the first frame on; the dB are very low | letters are thin patterns, too, and it has learnt none |
#
# The dB of the first frame are mostly the VAE's doing. A picture that is in ruins there does not come back, however many steps you take.
# So before making a video you can save time by shrinking and unfolding the picture as in lesson 1.
#
# ### What the real model does differently
#
# This was not measured here; it is what the [paper](https://arxiv.org/abs/2311.15127) and the
# [model card](https://huggingface.co/stabilityai/stable-video-diffusion-img2vid) say.
#
# - The real SVD was trained on a selection from hundreds of millions of filmed clips. So **photographs** are its home. It imagines waves,
#   smoke and a moving camera.
# - Still, videos are shorter than 4 seconds, and sometimes the camera just creeps, or nothing moves at all.
# - It cannot render legible letters, and faces and people may come out wrong. In these two the mini and the real one are alike.
# - It cannot be told in words what should move where.

# %% [markdown] lang="ko" id="studio-text"
# ## 스튜디오: 내 그림으로
#
# 스튜디오에서도 그림을 올릴 수 있어요. **내 그림 올리기**를 누르거나 경로나 주소를 적으면, 왼쪽에 **모델에 들어갈 입력 그림**이 나와요. **모든 설정**을 열고 **그림 맞추기**를 자르기, 여백 넣기, 늘이기로
# 바꾸면 그 그림이 바로 달라져요. 이 강의에서 배운 것을 만들기 전에 눈으로 확인하는 셈이에요.

# %% [markdown] lang="en" id="studio-text"
# ## The studio: with your own picture
#
# The studio takes pictures, too. Press **Upload a picture**, or enter a path or an address, and on the left you see **what the model
# gets**. Open **All settings** and set **Fitting the picture** to crop, pad or stretch: that picture changes at once, so that you can
# check what this lesson teaches before you make a video.

# %% id="studio"
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
# ## 직접 해 보기
#
# **1.** 그림을 하나 올려서 영상을 만들어 보세요. 만들기 전에 잘될지 안될지 먼저 맞혀 보세요.
#
# <details><summary>풀이</summary>
# <p>올린 다음 그 아래 셀부터 다시 돌리면 <code>image</code>가 그 그림이 돼요. 한 셀로도 할 수 있어요. 물건이 하나이고, 다 보이고, 앞에 빈자리가 있고, 배경이 단순하면 잘될 때가 많아요.</p>
# <pre><code>mine = open_image(uploader.value[0]["content"], size=(width, height))
# make("mine", mine)</code></pre>
# </details>
#
# **2.** 세로로 긴 그림 `tall`에서 토끼를 하나도 자르지 않고, 검은 띠도 없이, 비율도 지키며 영상을 만들어 보세요.
#
# <details><summary>풀이</summary>
# <p>검은색 대신 같은 그림을 크게 늘려 흐리게 한 것을 뒤에 깔아요. 텔레비전 뉴스가 세로 영상을 보여 줄 때 쓰는 방법이에요.</p>
# <pre><code>page = open_image(tall, size=(width, height)).filter(ImageFilter.GaussianBlur(height / 12))
# whole_tall = ImageOps.contain(tall, (width, height))
# page.paste(whole_tall, ((width - whole_tall.width) // 2, 0))
# make("blurred", page)</code></pre>
# </details>
#
# **3.** 미니가 배운 물건은 900가지가 넘어요. 하늘 배경에 다른 물건을 세워 보세요. 무엇이 가장 잘 움직이나요?
#
# <details><summary>풀이</summary>
# <p><code>names</code>에 이름이 모두 있어요. 자동차나 로켓처럼 단단하고 한 방향으로 가는 것이 알아보기 쉬워요. 말이나 개미의 가는 다리는 먼저 물러져요.</p>
# <pre><code>print(names[::20])
# page = stand(sky.convert("RGBA"), "automobile", 0.6, 0.7, 0.45)
# make("automobile", page)</code></pre>
# </details>
#
# ## 정리
#
# | 무엇 | 기억할 것 |
# |---|---|
# | `open_image(source, size=…, fit=…)` | 경로, 주소, 바이트, 배열, 텐서, 무엇이든 바로 선 RGB 그림으로 |
# | `fit="crop"` | 비율을 지키고 넘치는 곳을 잘라요. 기본값 |
# | `fit="pad"` | 다 보여 주고 남는 곳은 검정 |
# | `fit="stretch"` | 수업의 `resize`처럼 비율을 버려요 |
# | 알파 | 흰색을 깔아요. 다른 배경은 직접 |
# | 좋은 그림 | 물건 하나, 다 보임, 움직일 자리, 단순한 배경 |
# | 나쁜 그림 | 글자, 가는 선, 너무 작은 것. 미니에서는 사진과 여러 물건도 |
#
# 다음은 4강이에요. 이번에는 그림도 모델이 그려요. 마지막 셀은 잰 값을 모두 `result.json`에 남겨요.

# %% [markdown] lang="en" id="end-text"
# ## Try it yourself
#
# **1.** Upload a picture and make a video of it. Before you do, guess whether it will work.
#
# <details><summary>Solution</summary>
# <p>Upload, then run again from the cell below the button, and <code>image</code> is your picture. Or do it in one cell. A picture of one thing, wholly visible, with room ahead and a simple background works in most cases.</p>
# <pre><code>mine = open_image(uploader.value[0]["content"], size=(width, height))
# make("mine", mine)</code></pre>
# </details>
#
# **2.** Make a video of the tall picture `tall` in which nothing of the rabbit is cut, no bars are black, and the proportions are kept.
#
# <details><summary>Solution</summary>
# <p>In place of black, put the same picture behind, enlarged and blurred, as television news do with videos from phones.</p>
# <pre><code>page = open_image(tall, size=(width, height)).filter(ImageFilter.GaussianBlur(height / 12))
# whole_tall = ImageOps.contain(tall, (width, height))
# page.paste(whole_tall, ((width - whole_tall.width) // 2, 0))
# make("blurred", page)</code></pre>
# </details>
#
# **3.** The mini has learnt more than 900 things. Stand another one before the sky. Which of them moves best?
#
# <details><summary>Solution</summary>
# <p>All names are in <code>names</code>. Stiff things that go one way, such as cars and rockets, stay easy to recognise. The thin legs of a horse or an ant go soft first.</p>
# <pre><code>print(names[::20])
# page = stand(sky.convert("RGBA"), "automobile", 0.6, 0.7, 0.45)
# make("automobile", page)</code></pre>
# </details>
#
# ## Summary
#
# | what | to remember |
# |---|---|
# | `open_image(source, size=…, fit=…)` | a path, address, bytes, array, tensor: an upright RGB picture of any of them |
# | `fit="crop"` | keeps proportions and cuts what sticks out; the default |
# | `fit="pad"` | shows all; the rest is black |
# | `fit="stretch"` | gives up the proportions, as the class's `resize` |
# | alpha | white lies behind; put other backgrounds there yourself |
# | good pictures | one thing, all of it, room to move, a simple background |
# | bad pictures | letters, thin lines, things too small; with the mini also photographs and several things |
#
# Next comes lesson 4, in which a model draws the picture, too. The last cell keeps everything that was measured in `result.json`.

# %% id="finish"
measured = {
    "uploaded": bool(uploader.value),
    "max_difference": same,
    "share_kept": share,
    "motion_by_fit": fit_motion,
    "motion_by_background": alpha_motion,
    "first_frame_db": kept,
    "motion_by_kind": moved,
}
finish_lesson(lesson, clips, measured)
