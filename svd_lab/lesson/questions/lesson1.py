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
            "1.2", "change", number(_SEEDS + 1, mistakes={"without_end": _SEEDS, "minus": _SEEDS - 1, "power": 32, "end": 2**31}), NUMBER,
            (
                ("`random.randint(0, 1)`은 서로 다른 수를 몇 개 뽑을 수 있나요?", "How many different numbers can `random.randint(0, 1)` return?"),
                ("randint는 양쪽 끝을 모두 포함해요. 0부터 b까지는 b + 1개예요.", "randint includes both ends: 0 to b are b + 1 numbers."),
                ("답은 2**32 + 1이에요.", "It is 2**32 + 1."),
            ),
            {
                "without_end": ("끝값도 뽑힐 수 있다는 점을 빠뜨렸어요.", "You left out that the end can be returned, too."),
                "minus": ("0과 끝값을 모두 세어야 해요.", "Count both 0 and the end."),
                "power": ("지수가 아니라 수의 개수를 물었어요.", "The question asks how many numbers, not for the exponent."),
                "end": ("2**31이 아니라 2**32까지예요.", "It goes up to 2**32, not 2**31."),
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
            "1.5", "change", number(10 / 7, tolerance=0.01, mistakes={"product": 70, "inverse": 0.7, "rate": 7, "gaps": 9 / 7}), NUMBER,
            (
                ("1초에 7프레임이면 한 프레임은 몇 초일까요?", "At 7 frames a second, how long does one frame last?"),
                ("프레임 수를 초당 프레임 수로 나누세요.", "Divide the number of frames by the frames a second."),
                ("답은 10 / 7, 약 1.43초예요.", "It is 10 / 7, about 1.43 seconds."),
            ),
            {
                "product": ("곱하지 말고 나누어야 해요.", "Divide; do not multiply."),
                "inverse": ("나누는 순서가 반대예요.", "You divided the other way round."),
                "rate": ("7은 초가 아니라 1초에 보여 주는 프레임 수예요.", "7 is not seconds but frames a second."),
                "gaps": ("프레임 사이가 아니라 프레임을 세세요. 마지막 프레임도 7분의 1초 동안 보여요.",
                         "Count frames, not gaps: the last frame is also shown for a seventh of a second."),
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
                ("윗글의 의심이 맞다면, 가이던스를 끄면 초반 예측은 어떻게 될까요?", "If the suspicion above is right, what happens to early predictions without guidance?"),
                ("아래 그래프에서 둘째 스텝의 두 점을 비교하세요.", "Compare the two points at step 2 in the plot below."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("'초반 예측은 원래 흐리다'가 바로 의심하는 설명이에요.", "That early predictions are simply blurry is the very explanation under suspicion."),
                "c": ("가이던스는 두 예측의 차이를 늘려요. 늘린 예측은 결과에서 멀어질 수 있어요.",
                      "Guidance stretches the difference of two predictions; a stretched prediction can move away from the result."),
            },
        ),
    ]
)  # fmt: skip
