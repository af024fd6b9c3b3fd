"""Lesson 1: the class's code, its equal, and the inside of the pipeline."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

import numpy as np

from svd_lab.lesson.question import FUNCTION, LETTER, NUMBER, Question, choice, number, table

_SEEDS = 2**32


def _draws(draw: Any) -> list[Any]:
    """What a function that draws a seed returns: often, and where the functions of `random` return their largest value."""
    largest = {
        "randint": lambda low, high: high,
        "randrange": lambda start, stop=None, step=1: (start if stop is None else stop) - 1,
        "getrandbits": lambda bits: 2**bits - 1,
        "random": lambda: 1 - 2**-53,
    }
    drawn = [draw() for _ in range(200)]
    for name, function in largest.items():
        with patch.object(random, name, function):
            drawn.append(draw())
    return drawn


def _judge_draw(draw: Any, _facts: Mapping[str, Any]) -> str | None:
    state = random.getstate()
    try:
        drawn = _draws(draw)
    finally:
        random.setstate(state)
    if any(isinstance(one, bool) or not isinstance(one, int) for one in drawn):
        return "kind"
    if len(set(drawn[:200])) < 100:
        return "same"
    if min(drawn) < 0 or max(drawn) > _SEEDS:
        return "range"
    if max(drawn) == _SEEDS:
        return "end"
    return None if max(drawn) > _SEEDS * 0.9 else "small"


def _judge_psnr(function: Any, _facts: Mapping[str, Any]) -> str | None:
    generator = np.random.default_rng(0)
    one = generator.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    other = generator.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    error = np.mean((one.astype(float) - other) ** 2)
    right = 10 * np.log10(255**2 / error)
    wrapped = np.mean((one - other).astype(float) ** 2)
    known = {
        "wraps": (10 * np.log10(255**2 / wrapped), 10 * np.log10(255**2 / np.mean((one - other) ** 2))),
        "natural": (10 * np.log(255**2 / error),),
        "twenty": (2 * right, 20 * np.log10(255**2 / error)),
        "sign": (-right,),
        "peak": (10 * np.log10(255 / error), 10 * np.log10(1 / error), 10 * np.log10(256**2 / error)),
        "absolute": (10 * np.log10(255**2 / np.mean(np.abs(one.astype(float) - other))),),
    }
    given = float(function(one, other))
    if abs(given - right) < 1e-6:
        return None
    return next((name for name, values in known.items() if any(abs(given - value) < 1e-6 for value in values)), "")


def _judge_prediction(function: Any, _facts: Mapping[str, Any]) -> str | None:
    generator = np.random.default_rng(1)
    clean, noise = generator.normal(size=(2, 3, 4))
    sigma, next_sigma = 5.0, 2.0
    before, after = clean + sigma * noise, clean + next_sigma * noise
    given = np.asarray(function(before, after, sigma, next_sigma), dtype=float)
    if given.shape != clean.shape:
        return "shape"
    slope = (after - before) / (next_sigma - sigma)
    known = {
        "after": before - next_sigma * slope,
        "sign": before + sigma * slope,
        "slope": slope,
        "step": after + sigma * slope,
    }
    if np.allclose(given, clean):
        return None
    return next((name for name, wrong in known.items() if np.allclose(given, wrong)), "")


QUESTIONS = table(
    [
        Question(
            "1.1", "recall", choice("b", "abc"), LETTER,
            (
                ("프레임은 모두 모델이 노이즈에서 만들어요. 첫 프레임만 복사할까요?",
                 "The model makes every frame from noise. Would it copy only the first?"),
                ("아래의 차이 그림을 보세요. 완전히 검은색이면 같은 거예요.", "Look at the difference picture below: all black would mean equal."),
                ("답은 b예요. 입력 그림은 조건이고, 첫 프레임도 모델이 만들어요.", "It is b: the input picture is a condition, and the model makes the first frame, too."),
            ),
            {
                "a": ("첫 프레임도 VAE를 거쳐 나와요. 그러면 픽셀까지 같기는 어려워요.",
                      "The first frame also comes out of the VAE, so it can hardly be equal to the pixel."),
                "c": ("노이즈는 시드가 정해요. 입력 그림은 다른 길로 들어가요.", "The seed fixes the noise; the picture enters another way."),
            },
        ),
        Question(
            "1.2", "recall", choice("c", "abc"), LETTER,
            (
                ("시드가 클수록 생성기가 기억해야 할 비트도 많아져요. 한없이 기억할까요?", "A larger seed has more bits. Does the generator keep all of them?"),
                ("2**32는 이진수로 1 뒤에 0이 32개예요. 아래 32비트만 보면 무엇일까요?", "In binary, 2**32 is 1 followed by 32 zeros. What are its lower 32 bits?"),
                ("답은 c예요. 아래 셀에서 첫 줄과 셋째 줄이 같아요.", "It is c: the first and the third line of the cell below are equal."),
            ),
            {
                "a": ("시드의 일부만 쓰는 생성기라면 다른 시드가 같은 노이즈를 줄 수 있어요.", "If a generator uses only part of a seed, two seeds can give the same noise."),
                "b": ("2**32 - 1은 아래 32비트가 모두 1이에요. 0과는 달라요.", "The lower 32 bits of 2**32 - 1 are all ones, unlike 0."),
            },
        ),
        Question(
            "1.3", "code", _judge_draw, FUNCTION,
            (
                ("`random` 모듈에는 끝값을 포함하지 않는 함수도 있어요.", "The module `random` also has a function that excludes the end."),
                ("`random.randrange(n)`은 0부터 n - 1까지에서 뽑아요.", "`random.randrange(n)` returns one of 0 to n - 1."),
                ("`return random.randrange(2**32)`라고 쓰면 돼요.", "Write `return random.randrange(2**32)`."),
            ),
            {
                "kind": ("정수(int)를 돌려줘야 해요. torch의 시드는 정수예요.", "It must return an int: torch's seeds are whole numbers."),
                "same": ("늘 같은 수를 돌려주고 있어요. 부를 때마다 새로 뽑아야 해요.", "It keeps returning the same number; draw anew at every call."),
                "range": ("0부터 2**32 - 1까지를 벗어나는 수가 나와요.", "It returns numbers outside 0 to 2**32 - 1."),
                "end": ("가끔 2**32가 나와요. 시드 0과 같은 노이즈예요.", "It can return 2**32, which gives the same noise as seed 0."),
                "small": ("큰 시드는 나오지 않아요. 2**32 - 1까지 뽑아 주세요.", "Large seeds never come; draw up to 2**32 - 1."),
            },
        ),
        Question(
            "1.4", "recall", choice("a", "abc"), LETTER,
            (
                ("`export_to_video`가 불릴 때 프레임은 이미 다 만들어져 있어요.", "When `export_to_video` is called, all frames exist already."),
                ("파이프라인을 다시 부르지 않으면 프레임 안의 그림은 바뀔 수 없어요.", "Without calling the pipeline again, no picture in a frame can change."),
                ("답은 a예요. 재생 속도만 달라져요.", "It is a: only the playback speed changes."),
            ),
            {
                "b": ("프레임 수는 `num_frames`가 정해요.", "`num_frames` fixes the number of frames."),
                "c": ("그건 파이프라인의 인자 `fps`가 하는 일이에요. 2강에서 해 봐요.", "That is what the pipeline's own argument `fps` does; lesson 2 tries it."),
            },
        ),
        Question(
            "1.5", "change",
            number(lambda facts: facts["frames"] / 2.5, tolerance=0.01,
                   mistakes={"same": 7, "seconds": 2.5, "product": lambda facts: facts["frames"] * 2.5, "inverse": lambda facts: 2.5 / facts["frames"],
                             "gaps": lambda facts: (facts["frames"] - 1) / 2.5}),
            NUMBER,
            (
                ("더 오래 재생하려면 1초에 보여 주는 프레임을 늘려야 할까요, 줄여야 할까요?", "To play longer, must there be more or fewer frames a second?"),
                ("셀이 출력하는 초는 프레임 수 ÷ play_fps예요. play_fps를 줄여 보세요.", "The seconds that the cell prints are frames ÷ play_fps. Try a smaller play_fps."),
                ("`play_fps = 4`면 10프레임이 2.5초예요.", "With `play_fps = 4`, ten frames last 2.5 seconds."),
            ),
            {
                "same": ("그건 처음 값이에요. 셀의 play_fps를 바꾸고 다시 실행하세요.", "That is the value to begin with; change play_fps in the cell and run it again."),
                "seconds": ("초가 아니라 play_fps를 적어 주세요.", "Answer with play_fps, not with the seconds."),
                "product": ("곱하지 말고 나누어야 해요.", "Divide; do not multiply."),
                "inverse": ("나누는 순서가 반대예요.", "You divided the other way round."),
                "gaps": ("프레임 사이가 아니라 프레임을 세세요. 마지막 프레임도 한 번 보여요.", "Count frames, not gaps: the last frame is shown, too."),
            },
        ),
        Question(
            "1.6", "recall", choice("a", "abc"), LETTER,
            (
                ("두 호출에서 무작위인 것은 무엇뿐인가요? 그건 무엇이 정하나요?", "What is the only random thing in both calls, and what fixes it?"),
                ("시드가 같으면 노이즈가 같아요. 나머지 계산에는 우연이 없어요.", "The same seed gives the same noise, and nothing else is left to chance."),
                ("답은 a예요. 아래 셀이 0을 출력해요.", "It is a: the cell below prints 0."),
            ),
            {
                "b": ("같은 장치에서 같은 계산을 같은 순서로 하면 반올림도 같아요.",
                      "The same computation in the same order on the same device also rounds the same way."),
                "c": ("노이즈는 시드에서 나와요. 시드가 같으면 노이즈도 같아요.", "The noise comes from the seed: the same seed, the same noise."),
            },
        ),
        Question(
            "1.7", "recall", choice("c", "abc"), LETTER,
            (
                ("어느 부품이 영상 전체를 한꺼번에 받나요?", "Which part receives the whole video at once?"),
                ("아래 그래프는 한 부품의 출력이 프레임마다 얼마나 달라지는지 보여 줘요. 어느 부품인가요?",
                 "The plot below shows by how much one part's output changes in each frame. Which part is it?"),
                ("답은 c, 유넷이에요.", "It is c, the UNet."),
            ),
            {
                "a": ("VAE의 인코더는 그림을 한 장씩 줄여요.", "The VAE's encoder compresses one picture at a time."),
                "b": ("CLIP은 입력 그림 한 장만 봐요.", "CLIP sees only the one input picture."),
            },
        ),
        Question(
            "1.8", "change",
            number(lambda facts: facts["pixels"] / facts["latents"], tolerance=0.01,
                   mistakes={"inverse": lambda facts: facts["latents"] / facts["pixels"], "side": 8, "cell": 64, "cells": 192,
                             "difference": lambda facts: facts["pixels"] - facts["latents"]}),
            NUMBER,
            (
                ("위 셀이 출력한 두 수를 나누어 보세요.", "Divide the two numbers that the cell above printed."),
                ("픽셀 값의 개수 ÷ 잠재 표현의 개수예요.", "Number of pixel values ÷ number of latents."),
                ("`answer = pixels.numel() / latents.numel()`이에요.", "`answer = pixels.numel() / latents.numel()`"),
            ),
            {
                "inverse": ("나누는 순서가 반대예요.", "You divided the other way round."),
                "side": ("8은 한 변의 길이가 줄어드는 배수예요. 면적과 채널도 세어야 해요.", "8 is by how much a side shrinks; count area and channels, too."),
                "cell": ("64는 면적이 줄어드는 배수예요. 채널 수도 바뀌어요.", "64 is by how much the area shrinks; the number of channels changes, too."),
                "cells": ("8×8×3을 한 칸에 든 수의 개수로 나누어야 해요.", "Divide 8×8×3 by the numbers in one cell."),
                "difference": ("차이가 아니라 몇 분의 1인지를 물었어요.", "The question asks for a ratio, not for a difference."),
            },
        ),
        Question(
            "1.9", "code", _judge_psnr, FUNCTION,
            (
                ("식을 그대로 옮기되, 빼기 전에 `astype(float)`을 하세요.", "Write down the formula, but apply `astype(float)` before subtracting."),
                ("MSE는 차이의 제곱의 평균, PSNR은 10 * np.log10(255**2 / MSE)예요.", "The MSE is the mean of the squared differences; PSNR is 10 * np.log10(255**2 / MSE)."),
                ("`mse = np.mean((one.astype(float) - other.astype(float)) ** 2)`, 그다음 `return 10 * np.log10(255**2 / mse)`예요.",
                 "`mse = np.mean((one.astype(float) - other.astype(float)) ** 2)`, then `return 10 * np.log10(255**2 / mse)`."),
            ),
            {
                "wraps": ("uint8끼리 빼면 0 아래로 못 내려가서 값이 돌아와요: 3 - 5는 254예요.",
                          "Subtracting uint8 wraps around below 0: 3 - 5 is 254."),
                "natural": ("자연로그가 아니라 밑이 10인 로그예요.", "Use the logarithm to base 10, not the natural one."),
                "twenty": ("20이 아니라 10을 곱하세요. 255를 이미 제곱했으니까요.", "Multiply by 10, not 20: 255 is squared already."),
                "sign": ("분자와 분모가 바뀌었어요. 비슷할수록 커야 해요.", "Numerator and denominator are swapped: more similar must be larger."),
                "peak": ("분자는 255의 제곱이에요.", "The numerator is 255 squared."),
                "absolute": ("차이를 제곱해서 평균하세요.", "Square the differences before averaging."),
            },
        ),
        Question(
            "1.10", "recall", choice("c", "abc"), LETTER,
            (
                ("유넷은 CLIP 벡터 말고 또 무엇으로 그림을 보나요?", "Besides CLIP's vector, by what else does the UNet see the picture?"),
                ("입력 그림의 잠재 표현은 그대로 로켓이에요. 그것만으로 충분할 수도 있어요.", "The latents of the input picture still show the rocket; that may be enough."),
                ("답은 c예요. 아래 셀이 재 보여 줘요.", "It is c; the cell below measures it."),
            ),
            {
                "a": ("모양은 입력 그림의 잠재 표현에 들어 있어요. 벡터 하나로는 바뀌지 않아요.",
                      "The shape is in the latents of the input picture; one vector does not change it."),
                "b": ("그럴듯하지만 재 보면 그렇지 않아요. 그래서 재 보는 거예요.", "Plausible, but measurement says otherwise. That is why we measure."),
            },
        ),
        Question(
            "1.11", "code", _judge_prediction, FUNCTION,
            (
                ("분수는 직선의 기울기예요. 식을 그대로 파이썬으로 옮기세요.", "The fraction is the slope of the line. Write the formula in Python as it is."),
                ("x는 before, x'는 after, σ는 sigma, σ'는 next_sigma예요.", "x is before, x' is after, σ is sigma, σ' is next_sigma."),
                ("`return before - sigma * (after - before) / (next_sigma - sigma)`예요.", "`return before - sigma * (after - before) / (next_sigma - sigma)`"),
            ),
            {
                "after": ("기울기 앞에 곱하는 것은 σ'가 아니라 σ예요.", "The slope is multiplied by σ, not by σ'."),
                "sign": ("σ = 0으로 가려면 빼야 해요.", "To reach σ = 0, subtract."),
                "slope": ("그건 기울기예요. 예측은 x에서 σ만큼 돌아간 점이에요.", "That is the slope; the prediction is x, moved back by σ along it."),
                "step": ("after가 아니라 before에서 시작하세요.", "Start from before, not from after."),
                "shape": ("잠재 표현과 모양이 같은 배열을 돌려줘야 해요.", "Return an array of the same shape as the latents."),
            },
        ),
        Question(
            "1.12", "recall", choice("b", "abc"), LETTER,
            (
                ("유넷은 노이즈 말고 무엇을 함께 받나요?", "What does the UNet receive besides the noise?"),
                ("입력 그림의 잠재 표현을 받으니 무엇을 그릴지는 알아요. 아래 첫 줄에서 색을 보세요.",
                 "It receives the latents of the input picture, so it knows what to draw. Look at the colours in the first row below."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("유넷의 예측은 노이즈가 없는 영상이에요.", "What the UNet predicts is the video without noise."),
                "c": ("아래 첫 줄을 결과와 비교하세요. 윤곽은 맞지만 색은 달라요.", "Compare the first row below with the result: the outlines are right, the colours are not."),
            },
        ),
        Question(
            "1.13", "recall", choice("b", "abc"), LETTER,
            (
                ("가이던스를 꺼도 노이즈는 똑같아요. 노이즈 때문이라면 그래프는 어떻게 될까요?",
                 "Without guidance the noise is the same. If the noise were the reason, what would the plot look like?"),
                ("아래 그래프에서 둘째 스텝의 두 점을 비교하세요.", "Compare the two points at step 2 in the plot below."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("노이즈 때문이라면 그럴 거예요. 재 보면 두 점이 멀리 떨어져 있어요.", "So it would be if the noise were the reason; measured, the two points are far apart."),
                "c": ("가이던스는 두 예측의 차이를 늘려요. 늘린 예측은 결과에서 멀어질 수 있어요.",
                      "Guidance stretches the difference of two predictions; a stretched prediction can move away from the result."),
            },
        ),
        Question(
            "1.14", "change",
            number(lambda facts: 2 + next(step for step, db in enumerate(facts["db"]) if db > 25),
                   mistakes={"index": lambda facts: 1 + next(step for step, db in enumerate(facts["db"]) if db > 25),
                             "start": 2, "late": lambda facts: 3 + next(step for step, db in enumerate(facts["db"]) if db > 25)}),
            NUMBER,
            (
                ("`look`을 하나씩 키우며 왼쪽 그림의 dB를 읽으세요.", "Raise `look` by one at a time and read the dB of the picture on the left."),
                ("그래프의 아래쪽 선이 25 dB를 넘는 곳이에요.", "It is where the lower line of the plot rises above 25 dB."),
                ("`look`을 하나씩 키워 처음 25 dB를 넘은 값이 답이에요. 저장된 실행(시드 42)에서는 5예요.",
                 "Raise `look` until the left picture first has more than 25 dB; in the saved run (seed 42) that is 5."),
            ),
            {
                "index": ("하나 앞이에요. 그 스텝은 아직 25 dB보다 낮아요.", "One too early: that step is still below 25 dB."),
                "start": ("그건 처음 값이에요. `look`을 바꾸고 다시 실행하세요.", "That is the value to begin with; change `look` and run the cell again."),
                "late": ("그보다 먼저 넘는 스텝이 있어요.", "An earlier step is above it already."),
            },
        ),
    ]
)  # fmt: skip
