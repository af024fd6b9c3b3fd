"""Lesson 2: a rocket launch, one setting at a time; its warm-up asks about lesson 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from svd_lab.lesson.question import FUNCTION, LETTER, NUMBER, Question, choice, number, plain_number, table
from svd_lab.lesson.tracking import displacement

_HILLS = (0.05, 0.6, 0.25, 0.9)  # the box that question 2.2 asks for


def _near(given: float, wanted: float) -> bool:
    return abs(given - wanted) <= 1e-6 * max(1.0, abs(wanted))


def _judge_difference(function: Any, _facts: Mapping[str, Any]) -> str | None:
    generator = np.random.default_rng(0)
    one, other = generator.integers(0, 256, (2, 3, 6, 5, 3), dtype=np.uint8)
    change = one.astype(float) - other
    result = function(one, other)
    if np.size(result) != 1:
        return "array"
    given = float(result)
    known = {
        "wraps": (float(np.mean(one - other)), float(np.abs((one - other).astype(float)).mean())),
        "signed": (float(change.mean()), float(abs(change.mean()))),
        "square": (float((change**2).mean()), float((change**2).mean() ** 0.5)),
        "total": (float(np.abs(change).sum()),),
        "largest": (float(np.abs(change).max()),),
    }
    if _near(given, float(np.abs(change).mean())):
        return None
    return next((name for name, values in known.items() if any(_near(given, value) for value in values)), "")


def _judge_expected(function: Any, _facts: Mapping[str, Any]) -> str | None:
    known: dict[str, Any] = {
        "": lambda d, b, f: d * b / 127 * 7 / f,
        "fps": lambda d, b, f: d * b / 127 * f / 7,
        "bucket": lambda d, b, f: d * 127 / b * 7 / f,
        "both": lambda d, b, f: d * 127 / b * f / 7,
        "only_bucket": lambda d, b, f: d * b / 127,
        "only_fps": lambda d, b, f: d * 7 / f,
        "units": lambda d, b, f: d * b / f,
    }
    tries = ((30.0, 127, 7), (30.0, 200, 7), (28.0, 90, 5), (10.0, 60, 12))
    given = [float(function(*values)) for values in tries]
    fits = [
        name
        for name, wanted in known.items()
        if all(_near(one, wanted(*values)) for one, values in zip(given, tries, strict=True))
    ]
    return fits[0] or None if fits else ""


def _distance(ends: Any, box: Any) -> float:
    return float(np.hypot(*displacement(ends[0], ends[-1], box)))


def _judge_box(answer: Any, facts: Mapping[str, Any]) -> str | None:
    given = plain_number(answer)
    if abs(given - _distance(facts["ends"], _HILLS)) <= 0.1:
        return None
    return "same" if abs(given - _distance(facts["ends"], facts["box"])) <= 0.1 else ""


def _judge_made(answer: Any, facts: Mapping[str, Any]) -> str | None:
    """The distance in a clip of 10 fps that the student made, found by its recipe; all else as in the class."""
    given = plain_number(answer)
    made = [
        clip for clip in facts["clips"].values() if (clip.recipe["motion_bucket_id"], clip.recipe["fps"]) == (127, 10)
    ]
    if any(abs(given - _distance(clip.frames, facts["box"])) <= 0.1 for clip in made):
        return None
    return "reference" if abs(given - _distance(facts["clips"]["reference"].frames, facts["box"])) <= 0.1 else ""


def _judge_clipped(function: Any, _facts: Mapping[str, Any]) -> str | None:
    values = np.array([[0, 1, 2, 3], [100, 200, 252, 253], [254, 255, 10, 20], [30, 40, 50, 60]])
    result = function(values)
    if np.size(result) != 1:
        return "array"
    given = float(result)
    known = {
        "count": (6.0,),
        "percent": (37.5,),
        "low": (3 / 16,),
        "edges": (2 / 16, 4 / 16, 5 / 16),
        "inside": (10 / 16,),
        "and": (0.0,),
    }
    if _near(given, 6 / 16):
        return None
    return next((name for name, wrong in known.items() if any(_near(given, value) for value in wrong)), "")


QUESTIONS = table(
    [
        Question(
            "2.r1", "recall", number(12 / 7, tolerance=0.01, mistakes={"product": 84, "inverse": 7 / 12, "gaps": 11 / 7}), NUMBER,
            (
                ("1초에 7프레임이면 한 프레임은 몇 초일까요?", "At 7 frames a second, how long does one frame last?"),
                ("프레임 수를 초당 프레임 수로 나누세요.", "Divide the number of frames by the frames a second."),
                ("답은 12 / 7, 약 1.71이에요.", "It is 12 / 7, about 1.71."),
            ),
            {
                "product": ("곱하지 말고 나누세요.", "Divide; do not multiply."),
                "inverse": ("나누는 순서가 반대예요.", "You divided the other way round."),
                "gaps": ("마지막 프레임도 7분의 1초 동안 보여요.", "The last frame, too, is shown for a seventh of a second."),
            },
        ),
        Question(
            "2.r2", "recall", choice("c", "abc"), LETTER,
            (
                ("노이즈를 제거하는 부품은 무엇인가요?", "Which part removes the noise?"),
                ("시간 층(temporal layer)이 있는 부품이에요. 1강의 막대그래프를 떠올리세요.",
                 "It is the part with temporal layers; recall lesson 1's bar chart."),
                ("답은 c예요.", "It is c."),
            ),
            {
                "a": ("인코더는 그림을 한 장씩 줄여요.", "The encoder compresses one picture at a time."),
                "b": ("CLIP은 입력 그림 한 장만 봐요.", "CLIP sees only the one input picture."),
            },
        ),
        Question(
            "2.r3", "recall", choice("b", "abc"), LETTER,
            (
                ("첫 프레임도 모델이 만들고 VAE를 거쳐 나와요.", "The model makes the first frame, too, and it comes out of the VAE."),
                ("차이 그림에서 윤곽과 별만 밝았어요.", "In the difference picture only outlines and stars were bright."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("입력 그림은 조건일 뿐 복사되지 않아요.", "The input picture is a condition; it is not copied."),
                "c": ("차이 그림은 거의 검은색이었어요.", "The difference picture was almost black."),
            },
        ),
        Question(
            "2.r4", "recall", number(2**32, mistakes={"end": 2**32 + 1, "minus": 2**32 - 1, "power": 32}), NUMBER,
            (
                ("가장 작은 시드는 0이에요. 가장 큰 시드는요?", "The smallest seed is 0. Which is the largest?"),
                ("0부터 2**32 - 1까지예요.", "They are 0 to 2**32 - 1."),
                ("답은 2**32예요.", "It is 2**32."),
            ),
            {
                "end": ("시드 2**32는 시드 0과 같은 노이즈를 줘요.", "Seed 2**32 gives the same noise as seed 0."),
                "minus": ("0도 세어야 해요.", "Count 0, too."),
                "power": ("지수가 아니라 개수를 물었어요.", "The question asks for the number, not for the exponent."),
            },
        ),
        Question(
            "2.r5", "recall", choice("b", "abc"), LETTER,
            (
                ("1강에서 σ는 스텝마다 작아져서 마지막에 0이 됐어요. 무엇이 0이 됐을까요?", "In lesson 1, σ fell from step to step and ended at 0. What was 0 then?"),
                ("σ가 1쯤일 때 영상과 무엇이 반반이었나요?", "Near σ = 1, the video and what else were half and half?"),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("움직임은 σ와 상관없이 영상 안에 있어요.", "The motion is in the video, whatever σ is."),
                "c": ("예측의 오차는 가이던스에 따라서도 달라졌어요. σ는 스케줄러가 정해요.", "The prediction's error also depended on guidance; σ is fixed by the scheduler."),
            },
        ),
        Question(
            "2.1", "code", _judge_difference, FUNCTION,
            (
                ("uint8끼리 빼면 0 아래로 못 내려가요. 빼기 전에 `astype(float)`을 하세요.", "uint8 cannot go below 0: apply `astype(float)` before subtracting."),
                ("빼고, 절댓값(`np.abs`)을 구하고, 평균(`mean`)하세요.", "Subtract, take `np.abs`, then `mean`."),
                ("`return np.abs(one.astype(float) - other.astype(float)).mean()`이에요.", "`return np.abs(one.astype(float) - other.astype(float)).mean()`"),
            ),
            {
                "wraps": ("uint8끼리 빼면 값이 돌아와요: 3 - 5는 254예요.", "Subtracting uint8 wraps around: 3 - 5 is 254."),
                "signed": ("절댓값을 먼저 구하지 않으면 +와 -가 서로 지워져요.", "Without the absolute value first, plus and minus cancel."),
                "square": ("제곱이 아니라 절댓값이에요.", "Take absolute values, not squares."),
                "total": ("합이 아니라 평균이에요.", "Take the mean, not the sum."),
                "largest": ("최댓값이 아니라 평균이에요.", "Take the mean, not the largest."),
                "array": ("배열이 아니라 수 하나를 돌려주세요.", "Return one number, not an array."),
            },
        ),
        Question(
            "2.2", "change", _judge_box, NUMBER,
            (
                ("`my_box = (0.05, 0.6, 0.25, 0.9)`로 바꾸고 셀을 다시 실행하세요.", "Write `my_box = (0.05, 0.6, 0.25, 0.9)` and run the cell again."),
                ("산은 배경이에요. 로켓이 나는 동안 배경은 어떻게 되나요?", "The hills are background. What does the background do while the rocket flies?"),
                ("셀이 출력하는 값이 답이에요. 저장된 실행(시드 42)에서는 0이에요.", "It is what the cell prints; in the saved run (seed 42) that is 0."),
            ),
            {
                "same": ("그건 로켓의 거리예요. `my_box`를 바꾸고 다시 실행하세요.", "That is the rocket's distance; change `my_box` and run the cell again."),
            },
        ),
        Question(
            "2.3", "recall", choice("b", "abc"), LETTER,
            (
                ("시드가 정하는 것은 무엇인가요? 입력 그림도 바뀌나요?", "What does the seed fix? Does the input picture change, too?"),
                ("처음 노이즈만 달라져요. 움직임의 방향은 입력 그림에서 나와요.", "Only the initial noise differs; the direction comes from the picture."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("그림이 같아도 처음 노이즈가 다르면 픽셀까지 같기는 어려워요.", "With other noise the pixels can hardly be equal, even for the same picture."),
                "c": ("입력 그림과 조건이 같으니 로켓은 같은 쪽으로 날아요.", "Picture and conditions are the same, so the rocket flies the same way."),
            },
        ),
        Question(
            "2.4", "recall", choice("c"), LETTER,
            (
                ("1강에서 초반 스텝의 예측은 색이 어땠나요?", "What were the colours of early predictions in lesson 1?"),
                ("아래 그림에서 2스텝과 10스텝의 하늘 색을 비교하세요.", "Compare the sky of 2 and of 10 steps in the picture below."),
                ("답은 c예요. 네온색이 돼요.", "It is c: neon colours."),
            ),
            {
                "a": ("마지막 스텝은 언제나 σ = 0까지 가요. 노이즈가 남지 않아요.", "The last step always goes to σ = 0; no noise is left."),
                "b": ("'덜 그려졌다'는 생각이죠. 아래 그림은 반대예요.", "That is the idea of an unfinished picture; below you see the opposite."),
                "d": ("아래의 5스텝이라면 몰라도, 2스텝은 한눈에 달라요.", "That may be said of the 5 steps below; 2 steps look different at a glance."),
            },
        ),
        Question(
            "2.5", "recall", choice("c", "abc"), LETTER,
            (
                ("1강에서 가이던스를 끄자 초반 예측은 어떻게 됐나요?", "In lesson 1, what became of early predictions without guidance?"),
                ("아래 셀이 출력하는 두 수를 비교하세요.", "Compare the two numbers that the cell below prints."),
                ("답은 c예요.", "It is c."),
            ),
            {
                "a": ("스텝만의 문제라면 그럴 거예요. 아래에서 재 봐요.", "So it would be if only the steps mattered; it is measured below."),
                "b": ("둘이 따로 더해진다면 그럴 수 있어요. 재 보면 훨씬 작아요.", "So it would be if steps and guidance added up; measured, it is far smaller."),
            },
        ),
        Question(
            "2.6", "recall", choice("b", "abc"), LETTER,
            (
                ("색만 바뀌고 로켓은 그대로 있어도 픽셀 차이는 커져요.", "If only colours change and the rocket stays, pixels differ, too."),
                ("위 그림에서 2스텝과 10스텝의 로켓의 자리를 비교하세요.", "In the pictures above, compare where the rocket is after 2 and 10 steps."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("픽셀 차이를 움직임으로 읽었어요. 색의 변화도 들어 있어요.", "You read the pixel difference as motion; it also has the change of colours in it."),
                "c": ("2스텝 영상의 마지막 프레임에서도 로켓은 올라가 있어요.", "In the last frame of the 2-step clip the rocket has climbed, too."),
            },
        ),
        Question(
            "2.7", "change",
            number(lambda facts: facts["travel"] * 240 / 127, tolerance=0.5,
                   mistakes={"inverse": lambda facts: facts["travel"] * 127 / 240, "same": lambda facts: facts["travel"],
                             "ratio": 240 / 127, "added": lambda facts: facts["travel"] + 240 - 127}),
            NUMBER,
            (
                ("127이 240이 되면 몇 배인가요?", "From 127 to 240: how many times as much?"),
                ("travel에 240 / 127을 곱하세요.", "Multiply travel by 240 / 127."),
                ("`answer = travel * 240 / 127`이에요.", "`answer = travel * 240 / 127`"),
            ),
            {
                "inverse": ("값이 커졌으니 거리도 커져야 해요.", "The setting grew, so the distance must grow."),
                "same": ("그건 127에서의 거리예요.", "That is the distance at 127."),
                "ratio": ("그건 배수예요. travel에 곱하세요.", "That is the factor; multiply travel by it."),
                "added": ("더하지 말고 곱하세요.", "Multiply; do not add."),
            },
        ),
        Question(
            "2.8", "recall", choice("b", "abc"), LETTER,
            (
                ("입력 그림에는 로켓 뒤에 무엇이 있는지 나와 있나요?", "Does the input picture show what is behind the rocket?"),
                ("아래 오른쪽 그림에서 로켓이 있던 자리를 보세요.", "Below, on the right, look at the place where the rocket was."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("그 자리는 입력 그림에서 가려져 있었어요. 모델이 지어내야 해요.", "That place was hidden in the input picture; the model has to invent it."),
                "c": ("로켓은 54픽셀쯤 옮겨 갔어요. 두 대가 되지는 않아요.", "The rocket has moved about 54 pixels; there are not two of them."),
            },
        ),
        Question(
            "2.9", "code", _judge_expected, FUNCTION,
            (
                ("비례하면 곱하고, 반비례하면 나눠요. 127과 7에서는 travel이 그대로 나와야 해요.",
                 "Proportional multiplies, inversely proportional divides. At 127 and 7 it must return travel itself."),
                ("travel에 bucket / 127과 7 / fps를 곱하세요.", "Multiply travel by bucket / 127 and by 7 / fps."),
                ("`return travel * bucket / 127 * 7 / fps`예요.", "`return travel * bucket / 127 * 7 / fps`"),
            ),
            {
                "fps": ("fps가 크면 프레임 사이가 짧아져서 거리가 줄어요.", "A larger fps means less time between frames, so a shorter distance."),
                "bucket": ("motion_bucket_id가 크면 거리도 커요.", "A larger motion_bucket_id means a longer distance."),
                "both": ("두 비율이 모두 거꾸로예요.", "Both ratios are upside down."),
                "only_bucket": ("fps를 쓰지 않았어요.", "You did not use fps."),
                "only_fps": ("bucket을 쓰지 않았어요.", "You did not use bucket."),
                "units": ("127과 7에서의 값으로 나누어야 해요.", "Divide by the values 127 and 7."),
            },
        ),
        Question(
            "2.10", "change", number(5, tolerance=0.1, mistakes={"inverse": 10, "same": 7, "bucket": 90}), NUMBER,
            (
                ("움직임을 줄인 만큼 프레임 사이의 시간을 늘려야 해요.", "Less motion needs more time between frames."),
                ("90 / 127 * 7 / fps가 1이 되는 fps예요.", "It is the fps at which 90 / 127 * 7 / fps is 1."),
                ("답은 90 / 127 * 7 = 4.96, 그러니까 5예요.", "It is 90 / 127 * 7 = 4.96, so 5."),
            ),
            {
                "inverse": ("fps를 키우면 거리가 더 줄어요.", "A larger fps shortens the distance still more."),
                "same": ("그대로 7이면 거리가 90 / 127로 줄어요.", "At 7 the distance shrinks to 90 / 127."),
                "bucket": ("90은 motion_bucket_id예요.", "90 is the motion_bucket_id."),
            },
        ),
        Question(
            "2.11", "change", _judge_made, NUMBER,
            (
                ("위 셀의 `make(…)`에서 `fps`만 10으로 바꾼 호출이에요.", "It is the call of `make(…)` in the cell above, with `fps` 10."),
                ("`make(\"fps_10\", num_inference_steps=quick, fps=10, playback_fps=7)`을 실행한 뒤 `distance(clips[\"fps_10\"])`를 재세요.",
                 "Run `make(\"fps_10\", num_inference_steps=quick, fps=10, playback_fps=7)`, then measure `distance(clips[\"fps_10\"])`."),
                ("그 `make(…)`을 실행하고 `answer = distance(clips[\"fps_10\"])`라고 쓰면 돼요.",
                 "Run that `make(…)` and write `answer = distance(clips[\"fps_10\"])`."),
            ),
            {
                "reference": ("그건 7 fps인 기준 영상의 거리예요.", "That is the distance of the reference, at 7 fps."),
            },
        ),
        Question(
            "2.12", "recall", choice("b", "abc"), LETTER,
            (
                ("모델은 노이즈가 섞인 입력 그림을 조건으로 받아요.", "The model receives the noisy picture as its condition."),
                ("아래 그림에서 0.5의 하늘을 보세요.", "Look at the sky for 0.5 in the picture below."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("거리를 재 보면 더 멀리 가지 않아요.", "Measured, it does not go further."),
                "c": ("제거되는 것은 영상의 노이즈예요. 조건에 섞인 노이즈는 남아요.", "What is removed is the video's noise; that in the condition stays."),
            },
        ),
        Question(
            "2.13", "code", _judge_clipped, FUNCTION,
            (
                ("`values <= 2`는 True와 False의 배열이에요. 평균하면 비율이에요.", "`values <= 2` is an array of True and False; its mean is a share."),
                ("두 조건을 `|`로 잇고 각각 괄호로 묶으세요.", "Join both conditions with `|`, each in parentheses."),
                ("`return ((values <= 2) | (values >= 253)).mean()`이에요.", "`return ((values <= 2) | (values >= 253)).mean()`"),
            ),
            {
                "count": ("개수가 아니라 비율이에요. 전체로 나누세요.", "Return a share, not a number of values: divide by all."),
                "percent": ("퍼센트가 아니라 0~1의 비율이에요.", "Return a share from 0 to 1, not percent."),
                "low": ("한쪽 끝만 셌어요.", "You counted one end only."),
                "edges": ("2와 253도 들어가요.", "2 and 253 count, too."),
                "inside": ("한계에 붙지 않은 값을 셌어요.", "You counted the values that are not at the limits."),
                "and": ("2 이하이면서 253 이상인 수는 없어요. 또는(|)이에요.", "No number is both at most 2 and at least 253: use or (|)."),
                "array": ("배열이 아니라 수 하나를 돌려주세요.", "Return one number, not an array."),
            },
        ),
        Question(
            "2.14", "recall", choice("c", "abc"), LETTER,
            (
                ("한 장씩 디코딩하면 같은 잠재 표현은 언제나 같은 그림이 돼요.", "Decoded one at a time, equal latents always become equal pictures."),
                ("아래 왼쪽 그래프에서 2와 5, 5와 10을 비교하세요.", "In the left plot below, compare 2 with 5, and 5 with 10."),
                ("답은 c예요.", "It is c."),
            ),
            {
                "a": ("흔히 듣는 말이에요. 2와 5를 재 보면 그렇지 않아요.", "That is what one often hears; measured at 2 and 5 it is not so."),
                "b": ("5에서 10으로 가면 오히려 줄어요.", "From 5 to 10 it falls."),
            },
        ),
    ]
)  # fmt: skip
