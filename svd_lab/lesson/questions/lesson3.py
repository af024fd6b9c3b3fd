"""Lesson 3: fitting a picture, what measures motion, and what a whole picture's PSNR hides; its warm-up asks about lesson 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from svd_lab.lesson.question import FUNCTION, LETTER, NUMBER, Question, choice, number, table, tried


def _share(facts: Mapping[str, Any]) -> float:
    return 3 / 4 * facts["height"] / facts["width"]


def _judge_pad_size(function: Any, _facts: Mapping[str, Any]) -> str | None:
    tries = ((300, 400, 224, 128), (640, 100, 224, 128), (30, 40, 1024, 576), (90, 60, 100, 100))

    def scaled(w: int, h: int, scale: float) -> tuple[float, float]:
        return w * scale, h * scale

    known = {
        "": lambda w, h, width, height: scaled(w, h, min(width / w, height / h)),
        "crop": lambda w, h, width, height: scaled(w, h, max(width / w, height / h)),
        "stretch": lambda w, h, width, height: (width, height),
        "height_only": lambda w, h, width, height: scaled(w, h, height / h),
        "width_only": lambda w, h, width, height: scaled(w, h, width / w),
        "order": lambda w, h, width, height: scaled(w, h, min(width / w, height / h))[::-1],
        "no_enlarging": lambda w, h, width, height: scaled(w, h, min(1, width / w, height / h)),
    }
    given = [np.asarray(function(*values), dtype=float) for values in tries]
    if any(size.shape != (2,) for size in given):
        return "shape"
    fits = [
        name
        for name, wanted in known.items()
        if all(np.abs(size - wanted(*values)).max() < 1 for size, values in zip(given, tries, strict=True))
    ]
    if fits and fits[0] == "":
        return None if all((size == size.round()).all() for size in given) else "fraction"
    return fits[0] if fits else ""


def _judge_blend(function: Any, _facts: Mapping[str, Any]) -> str | None:
    generator = np.random.default_rng(5)
    color, background = generator.integers(0, 256, (2, 4, 6, 3)).astype(float)
    alpha = generator.integers(0, 256, (4, 6)).astype(float)
    alpha[0, :2] = 0, 255
    share = alpha[..., None] / 255
    known = {
        "": share * color + (1 - share) * background,
        "swapped": share * background + (1 - share) * color,
        "scale": alpha[..., None] * color + (1 - alpha[..., None]) * background,
        "dark": share * color,
        "dropped": color,
        "sum": share * color + background,
        "half": (color + background) / 2,
        "hard": np.where(share > 0.5, color, background),
    }
    given = np.asarray(function(color.copy(), alpha.copy(), background.copy()), dtype=float)
    if given.shape != color.shape:
        return "shape"
    fits = [name for name, wrong in known.items() if np.abs(given - wrong).max() < 0.01]
    return (fits[0] or None) if fits else ""


def _judge_centroid(function: Any, _facts: Mapping[str, Any]) -> str | None:
    background = np.full((20, 30, 3), 120, dtype=np.uint8)
    frame = background.copy()
    frame[4:8, 10:21] = 30  # darker than the background: a subtraction of uint8 would wrap around
    frame[0, 29] = 125  # noise, far below the threshold
    given = np.asarray(function(frame, background), dtype=float)
    if given.shape != (2,):
        return "shape"
    known = {
        "order": (5.5, 15.0),
        "noise": (
            np.append(np.tile(np.arange(10, 21), 4), 29).mean(),
            np.append(np.repeat(np.arange(4, 8), 11), 0).mean(),
        ),
        "middle": (14.5, 9.5),
        "corner": (10.0, 4.0),
    }
    if np.allclose(given, (15.0, 5.5)):
        return None
    return next((name for name, wrong in known.items() if np.allclose(given, wrong)), "")


def _judge_inside(function: Any, _facts: Mapping[str, Any]) -> str | None:
    generator = np.random.default_rng(3)
    one = generator.integers(0, 256, (8, 9, 3), dtype=np.uint8)
    other = one.copy()
    mask = np.zeros((8, 9), dtype=bool)
    mask[2:5, 3:6] = True
    other[mask] = generator.integers(0, 256, (9, 3))
    error = (one.astype(float) - other) ** 2

    def decibels(mse: float) -> float:
        return float(10 * np.log10(255**2 / mse))

    known = {
        "whole": decibels(error.mean()),
        "mse": float(error[mask].mean()),
        "wraps": decibels(((one - other).astype(float) ** 2)[mask].mean()),
    }
    given = float(function(one, other, mask))
    if abs(given - decibels(error[mask].mean())) < 1e-6:
        return None
    return next((name for name, wrong in known.items() if abs(given - wrong) < 1e-6), "")


QUESTIONS = table(
    [
        Question(
            "3.r1", "recall", number(0, tolerance=1e-9, mistakes={"seed": 1, "most": 255}), NUMBER,
            (
                ("시드는 노이즈를 정해요. 노이즈와 설정값이 모두 같으면요?", "The seed decides the noise. What if noise and settings are all the same?"),
                ("같은 계산을 같은 수로 하면 결과도 같아요.", "The same computation on the same numbers gives the same result."),
                ("답은 0이에요.", "It is 0."),
            ),
            {
                "seed": ("1쯤 다른 것은 시드가 다른 영상이었어요.", "About 1 was the difference of another seed."),
                "most": ("255는 픽셀 값이 가장 크게 다를 때예요.", "255 is the largest difference that pixels can have."),
            },
        ),
        Question(
            "3.r2", "recall", choice("c", "abc"), LETTER,
            (
                ("2강에서 2스텝 영상 말고 멀쩡한 영상을 두 가지 봤어요.", "Lesson 2 showed two videos with sound colours beside the neon one."),
                ("5스텝 영상은 가이던스가 3이어도 멀쩡했고, 2스텝 영상은 가이던스가 1이면 멀쩡했어요.",
                 "With 5 steps guidance of 3 was fine; with 2 steps guidance of 1 was."),
                ("답은 c예요.", "It is c."),
            ),
            {
                "a": ("2스텝 그대로 가이던스만 1로 낮춘 영상을 떠올리세요.", "Recall the video of 2 steps with guidance of 1."),
                "b": ("가이던스는 3 그대로인 5스텝 영상을 떠올리세요.", "Recall the video of 5 steps, with guidance still at 3."),
            },
        ),
        Question(
            "3.r3", "recall", choice("b", "abc"), LETTER,
            (
                ("픽셀이 변하는 것과 물체가 가는 것은 다른 것이에요.", "Pixels changing and a thing travelling are not the same."),
                ("2강의 표에서 두 영상의 `distance`를 비교하세요.", "Compare `distance` of both videos in lesson 2."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("변한 것은 색이에요. 거리는 따로 쟀어요.", "The colours changed; distance was measured separately."),
                "c": ("네온색이어도 로켓은 올라갔어요.", "Neon or not, the rocket climbed."),
            },
        ),
        Question(
            "3.r4", "recall", number(2, tolerance=0.01, mistakes={"half": 0.5, "same": 1, "square": 4, "added": 100}), NUMBER,
            (
                ("거리는 `motion_bucket_id`에 비례했어요.", "The distance was proportional to `motion_bucket_id`."),
                ("200을 100으로 나누세요.", "Divide 200 by 100."),
                ("답은 2예요.", "It is 2."),
            ),
            {
                "half": ("나누는 순서가 반대예요.", "You divided the other way round."),
                "same": ("거리는 달라졌어요. 2강의 그래프를 떠올리세요.", "The distance changed; recall lesson 2's plot."),
                "square": ("제곱이 아니라 비례예요.", "It is proportional, not squared."),
                "added": ("차이가 아니라 몇 배인지를 물었어요.", "The question asks for the factor, not for the difference."),
            },
        ),
        Question(
            "3.r5", "recall", choice("b", "abc"), LETTER,
            (
                ("`fps`는 모델의 조건이고, `playback_fps`는 파일의 설정이에요.", "`fps` is a condition of the model; `playback_fps` is a setting of the file."),
                ("프레임은 모두 만든 뒤에 파일에 담아요.", "The file is written when all frames have been made."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("모델은 `playback_fps`를 받지 않아요.", "The model does not receive `playback_fps`."),
                "c": ("그건 `fps`가 바꿔요.", "That is what `fps` changes."),
            },
        ),
        Question(
            "3.1", "recall", choice("b", "abc"), LETTER,
            (
                ("사진을 보는 프로그램은 쪽지를 보고 사진을 돌려요.", "Programs that show photos read the note and turn the photo."),
                ("90도 돌리면 가로와 세로가 바뀌어요.", "A turn by 90 degrees swaps width and height."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("그러면 누운 그림이 모델로 가요. `open_image`는 쪽지를 읽어요.", "Then the model would get a picture lying on its side; `open_image` reads the note."),
                "c": ("여백은 `fit=\"pad\"`를 줄 때만 넣어요.", "Margins are added only with `fit=\"pad\"`."),
            },
        ),
        Question(
            "3.2", "change",
            number(_share, tolerance=0.006,
                   mistakes={"lost": lambda facts: 1 - _share(facts), "inverse": lambda facts: 1 / _share(facts),
                             "shape": 0.75, "percent": lambda facts: 100 * _share(facts)}),
            NUMBER,
            (
                ("자르기는 그림의 가로를 화면의 가로에 맞춰요. 그때 그림의 세로는 얼마인가요?",
                 "Crop fits the picture's width to the frame's. How tall is the picture then?"),
                ("가로가 width면 세로는 width * 4 / 3이에요. 그 가운데 height만 남아요.",
                 "At a width of `width` it is width * 4 / 3 tall; only `height` of that remains."),
                ("`answer = height / (width * 4 / 3)`이에요.", "`answer = height / (width * 4 / 3)`"),
            ),
            {
                "lost": ("그건 잘려 나가는 몫이에요. 남는 몫을 물었어요.", "That is the share cut off; the question asks for what remains."),
                "inverse": ("나누는 순서가 반대예요. 남는 몫은 1보다 작아요.", "You divided the other way round: the share is below 1."),
                "shape": ("3/4은 그림의 비율이에요. 화면의 비율도 필요해요.", "3/4 is the picture's shape; the frame's matters, too."),
                "percent": ("퍼센트가 아니라 0과 1 사이의 수로 적어 주세요.", "Give a number from 0 to 1, not a percentage."),
            },
        ),
        Question(
            "3.3", "change",
            number(lambda facts: 1 / _share(facts), tolerance=0.02,
                   mistakes={"inverse": _share, "frame": lambda facts: facts["width"] / facts["height"],
                             "picture": 4 / 3, "product": lambda facts: facts["width"] / facts["height"] * 3 / 4}),
            NUMBER,
            (
                ("가로는 몇 배, 세로는 몇 배가 되나요? 둘을 나누세요.", "By which factor does the width grow, by which the height? Divide one by the other."),
                ("가로는 width / 3배, 세로는 height / 4배예요.", "The width becomes width / 3 times as large, the height height / 4 times."),
                ("`answer = (width / 3) / (height / 4)`이에요.", "`answer = (width / 3) / (height / 4)`"),
            ),
            {
                "inverse": ("그건 세로가 가로에 비해 몇 배인지예요. 나누는 순서를 바꾸세요.", "That is the height compared with the width; divide the other way round."),
                "frame": ("화면의 비율만 썼어요. 그림은 정사각형이 아니라 3:4예요.", "You used the frame's proportions only; the picture is not square but 3:4."),
                "picture": ("그림의 비율만 썼어요. 화면의 비율도 필요해요.", "You used the picture's proportions only; the frame's matter, too."),
                "product": ("그림은 세로로 길어요. 3/4이 아니라 4/3을 곱해야 해요.", "The picture is tall: multiply by 4/3, not by 3/4."),
            },
        ),
        Question(
            "3.4", "code", _judge_pad_size, FUNCTION,
            (
                ("가로와 세로에 같은 배율을 곱해야 비율이 지켜져요.", "Width and height must be multiplied by the same scale to keep the proportions."),
                ("배율은 `width / w`와 `height / h` 가운데 작은 것이에요.", "The scale is the smaller one of `width / w` and `height / h`."),
                ("`scale = min(width / w, height / h)`, `return round(w * scale), round(h * scale)`이에요.",
                 "`scale = min(width / w, height / h)`, `return round(w * scale), round(h * scale)`"),
            ),
            {
                "crop": ("그 크기는 화면을 넘쳐요. 자르기(crop)의 배율이에요.", "That is larger than the frame: it is the scale of crop."),
                "stretch": ("그러면 비율이 달라져요.", "That changes the proportions."),
                "height_only": ("세로로 긴 그림에서는 맞아요. 옆으로 긴 그림은 화면을 넘쳐요.", "Right for tall pictures; a wide one would stick out."),
                "width_only": ("가로로 긴 그림에서는 맞아요. 세로로 긴 그림은 화면을 넘쳐요.", "Right for wide pictures; a tall one would stick out."),
                "order": ("가로와 세로의 순서가 바뀌었어요.", "Width and height are swapped."),
                "no_enlarging": ("화면보다 작은 그림은 키워야 해요.", "A picture smaller than the frame must be enlarged."),
                "fraction": ("픽셀 수는 정수예요. `round`로 반올림하세요.", "Pixels are whole numbers: use `round`."),
                "shape": ("수 두 개, (가로, 세로)를 돌려주세요.", "Return two numbers, (width, height)."),
            },
        ),
        Question(
            "3.5", "change",
            number(lambda facts: facts["width"] - facts["inside"], tolerance=2,
                   mistakes={"side": lambda facts: (facts["width"] - facts["inside"]) / 2, "crop": 0, "inside": lambda facts: facts["inside"]}),
            NUMBER,
            (
                ("위 셀의 호출을 따라 쓰고, 괄호 안의 값만 바꾸세요.", "Write the call of the cell above again, with another value in its parentheses."),
                ("여백 넣기의 이름은 `\"pad\"`예요.", "The name of the way with black sides is `\"pad\"`."),
                ("`answer = black_columns(\"pad\")`예요.", "`answer = black_columns(\"pad\")`"),
            ),
            {
                "side": ("그건 한쪽이에요. 양옆을 모두 세세요.", "That is one side; count both."),
                "crop": ("그건 자르기나 늘이기예요. 여백을 넣어 보세요.", "That is crop or stretch; try pad."),
                "inside": ("그건 그림이 차지하는 세로줄의 수예요.", "That is how many columns the picture takes."),
            },
        ),
        Question(
            "3.6", "recall", choice("b", "abc"), LETTER,
            (
                ("늘인 풍선은 납작해요. 미니에게는 다른 물건으로 보일 수도 있어요.", "The stretched balloon is flat; to the mini it may look like another thing."),
                ("아래 셀이 출력하는 x와 y 가운데 0에 가까운 것은 어느 쪽인가요?", "Which of x and y, printed by the cell below, is near 0?"),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("아래 셀의 y를 보세요. 위로 갔다면 0보다 많이 작아요.", "Look at y in the cell below: upward would be far below 0."),
                "c": ("아래 셀의 x를 보세요.", "Look at x in the cell below."),
            },
        ),
        Question(
            "3.7", "code", _judge_blend, FUNCTION,
            (
                ("알파를 0과 1 사이의 몫으로 바꾸세요. 그림의 색과 배경의 색의 몫을 더하면 1이에요.",
                 "Turn alpha into a share from 0 to 1. The shares of the picture's colour and the background's add up to 1."),
                ("`alpha[..., None]`은 [세로, 가로]를 [세로, 가로, 1]로 바꿔서 세 색에 모두 곱해지게 해요.",
                 "`alpha[..., None]` turns [height, width] into [height, width, 1], which multiplies all three colours."),
                ("`share = alpha[..., None] / 255`, `return share * color + (1 - share) * background`이에요.",
                 "`share = alpha[..., None] / 255`, `return share * color + (1 - share) * background`"),
            ),
            {
                "swapped": ("그림과 배경이 바뀌었어요. 알파가 255면 그림만 보여야 해요.", "Picture and background are swapped: at alpha 255 only the picture shows."),
                "scale": ("알파는 0~255예요. 255로 나누세요.", "Alpha goes from 0 to 255: divide by 255."),
                "dark": ("배경의 몫을 더하지 않았어요.", "The background's share is missing."),
                "dropped": ("알파를 쓰지 않았어요. `convert(\"RGB\")`와 같아요.", "Alpha is not used; that is what `convert(\"RGB\")` does."),
                "sum": ("배경에도 `1 - share`를 곱하세요.", "Multiply the background by `1 - share`."),
                "half": ("픽셀마다 알파만큼 섞어야 해요. 늘 반반이 아니에요.", "Mix as much as alpha says at each pixel, not always half and half."),
                "hard": ("반쯤 투명한 픽셀은 섞어야 해요.", "Pixels that are half transparent have to be mixed."),
                "shape": ("[세로, 가로, 3]인 배열을 돌려주세요.", "Return an array [height, width, 3]."),
            },
        ),
        Question(
            "3.8", "recall", choice("d"), LETTER,
            (
                ("픽셀 차이와 실제로 간 거리는 다른 것이에요.", "A pixel difference and a distance travelled are different things."),
                ("아래 셀의 travel을 비교하세요. 단위는 픽셀이에요.", "Compare `travel` in the cell below; its unit is pixels."),
                ("답은 d예요. 이동 거리는 거의 같아요.", "It is d: the distances are nearly the same."),
            ),
            {
                "a": ("흰 배경에서 거리를 재 보세요.", "Measure the distance before white."),
                "b": ("검은 배경에서는 대비가 커요. 대비가 크다고 더 멀리 가는 것은 아니에요.",
                      "Contrast is high before black. High contrast does not mean a longer way."),
                "c": ("하늘 배경에서 거리를 재 보세요.", "Measure the distance before the sky."),
            },
        ),
        Question(
            "3.9", "code", _judge_centroid, FUNCTION,
            (
                ("배경과 많이 다른 픽셀을 찾고, 그 좌표를 평균하세요.", "Find the pixels that differ clearly from the background, and average their coordinates."),
                ("`np.nonzero(mask)`는 (y, x) 순서로 좌표를 돌려줘요. 빼기 전에 `astype(float)`을 하세요.",
                 "`np.nonzero(mask)` returns coordinates in the order y, x. Apply `astype(float)` before subtracting."),
                ("`change = np.abs(frame.astype(float) - background).max(2)`, `y, x = np.nonzero(change > 40)`, `return x.mean(), y.mean()`이에요.",
                 "`change = np.abs(frame.astype(float) - background).max(2)`, `y, x = np.nonzero(change > 40)`, `return x.mean(), y.mean()`"),
            ),
            {
                "order": ("x와 y의 순서가 바뀌었어요. (x, y)를 돌려주세요.", "x and y are swapped; return (x, y)."),
                "noise": ("아주 조금 다른 픽셀까지 세었어요. 40보다 많이 다른 것만 세세요.",
                          "Pixels that hardly differ are counted, too; count only differences above 40."),
                "middle": ("그건 화면의 가운데예요.", "That is the middle of the frame."),
                "corner": ("그건 왼쪽 위 모서리예요. 평균을 내세요.", "That is the upper left corner; take the mean."),
                "shape": ("수 두 개, (x, y)를 돌려주세요.", "Return two numbers, (x, y)."),
            },
        ),
        Question(
            "3.10", "recall", choice("c"), LETTER,
            (
                ("대비가 크면 같은 잘못도 큰 차이가 돼요. 3.8을 떠올리세요.",
                 "At high contrast the same mistake makes a large difference; recall 3.8."),
                ("흰 바탕에 검은 부분이 가장 많은 그림이에요.", "It has the most black on white."),
                ("답은 c예요.", "It is c."),
            ),
            {
                "a": ("작은 물건은 그림의 적은 부분만 차지해요.", "A small thing takes up a small part of the picture only."),
                "b": ("사진에는 매끈한 하늘이 많아요.", "The photograph is mostly smooth sky."),
                "d": ("선이 가늘어서 검은 픽셀이 글자보다 적어요.", "Its lines are thin, so it has fewer black pixels than the letters."),
            },
        ),
        Question(
            "3.11", "recall", choice("b", "abc"), LETTER,
            (
                ("PSNR은 모든 픽셀에서 평균해요. 픽셀은 대부분 무엇인가요?", "PSNR averages over all pixels. What are most of them?"),
                ("토끼는 그림의 1%도 안 돼요. 나머지는 매끈한 하늘이에요.", "The rabbit is less than 1% of the picture; the rest is smooth sky."),
                ("답은 b예요. 아래 셀이 토끼 안에서만 다시 재요.", "It is b; the cell below measures again inside the rabbit alone."),
            ),
            {
                "a": ("첫 프레임의 토끼를 보세요. 얼굴이 잘 보이나요?", "Look at the rabbit in the first frame. Is its face clear?"),
                "c": ("움직임은 프레임 사이의 일이에요. dB는 첫 프레임 한 장만 재요.", "Motion is between frames; the dB measure the first frame alone."),
            },
        ),
        Question(
            "3.12", "code", _judge_inside, FUNCTION,
            (
                ("제곱한 차이를 먼저 구하고, 마스크가 True인 픽셀만 골라 평균하세요.", "Square the differences first, then average over the pixels where the mask is True."),
                ("`error[mask]`는 마스크 안의 픽셀만 골라요.", "`error[mask]` picks the pixels inside the mask."),
                ("`error = (one.astype(float) - other) ** 2`, `return 10 * np.log10(255**2 / error[mask].mean())`이에요.",
                 "`error = (one.astype(float) - other) ** 2`, `return 10 * np.log10(255**2 / error[mask].mean())`"),
            ),
            {
                "whole": ("그림 전체에서 평균했어요. 마스크 밖의 픽셀은 빼세요.", "That is the mean over the whole picture; leave out the pixels outside the mask."),
                "mse": ("그건 MSE예요. 데시벨로 바꾸세요.", "That is the MSE; turn it into decibels."),
                "wraps": ("uint8끼리 빼면 값이 돌아와요. 먼저 `astype(float)`을 하세요.", "Subtracting uint8 wraps around; apply `astype(float)` first."),
            },
        ),
        Question(
            "3.13", "change", tried(0.4, 0.06), NUMBER,
            (
                ("위 셀의 `rabbit_db`는 높이를 받아 영상을 만들고 dB를 돌려줘요.", "`rabbit_db` of the cell above takes a height, makes a video and returns dB."),
                ("높이는 0.4예요. 출력된 두 수 가운데 뒤의 것(rabbit alone)이에요.", "The height is 0.4. Of the two numbers printed take the second, of the rabbit alone."),
                ("`answer = rabbit_db(0.4)`예요.", "`answer = rabbit_db(0.4)`"),
            ),
            {
                "other": ("그건 다른 높이의 값이에요.", "That is the value of another height."),
            },
        ),
        Question(
            "3.14", "recall", choice("c", "abc"), LETTER,
            (
                ("영상의 첫 프레임도 VAE를 거쳤어요. 거기에 머리가 있었나요?", "The video's first frame has been through the VAE, too. Did it have a head?"),
                ("아래 셀의 오른쪽 그림 둘에서 눈과 귀를 찾아보세요.", "Look for eye and ears in the two pictures on the right of the cell below."),
                ("답은 c예요.", "It is c."),
            ),
            {
                "a": ("첫 프레임의 머리를 다시 보세요.", "Look again at the head in the first frame."),
                "b": ("아래 셀에서 기울인 그림을 보세요.", "Look at the tilted picture in the cell below."),
            },
        ),
        Question(
            "3.15", "recall", choice("c", "abc"), LETTER,
            (
                ("스텝은 노이즈를 더 잘게 나누어 제거할 뿐이에요. 모델이 아는 것이 늘어나지는 않아요.",
                 "More steps only remove the noise in smaller portions; the model does not know more."),
                ("아래 셀에서 셋째 프레임 두 장을 비교하세요.", "Compare the two third frames in the cell below."),
                ("답은 c예요.", "It is c."),
            ),
            {
                "a": ("아래 셀의 그림을 보세요. 두 머리가 똑같이 무너져요.", "Look at the cell below: both heads fall apart in the same way."),
                "b": ("아래 셀의 그림을 보세요. 눈이 남아 있나요?", "Look at the cell below. Is there an eye?"),
            },
        ),
    ]
)  # fmt: skip
