"""Lesson 5: a diffusion model of one number, EDM's coefficients, and SVD's loop by hand; its warm-up asks about lesson 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from svd_lab.lesson.question import FUNCTION, LETTER, NUMBER, Question, choice, formula, number, table

TENSOR = (
    "루프의 결과인 텐서를 넘겨 주세요",
    "hand over the tensor that the loop returns",
)


def _karras(n: int, largest: float, smallest: float, rho: float = 7) -> np.ndarray:
    high, low = largest ** (1 / rho), smallest ** (1 / rho)
    return (high + np.arange(n) / (n - 1) * (low - high)) ** rho


def _judge_loop(latents: Any, facts: Mapping[str, Any]) -> str | None:
    reference = facts["reference"]
    if tuple(latents.shape) != tuple(reference.shape):
        return "shape"
    apart = float((latents.float() - reference.float()).abs().max())
    if apart == 0:
        return None
    spread = float(reference.float().std())
    if apart < 1e-3 * spread:
        return "rounding"
    return "start" if float(latents.float().std()) > 5 * spread else ""


X = np.array([-2.5, -0.4, 0.3, 1.7])

QUESTIONS = table(
    [
        Question(
            "5.r1", "recall", number(77, mistakes={"width": 768, "size": 1024, "words": 1}), NUMBER,
            (
                ("프롬프트의 길이와 상관없이 늘 같은 수예요.", "It is the same number for a prompt of any length."),
                ("토큰이 모자라면 빈자리를 채워요. 4강의 정리 표에 있어요.", "Free places are filled up; it is in lesson 4's summary."),
                ("답은 77이에요.", "It is 77."),
            ),
            {
                "width": ("그건 벡터 하나에 든 수의 개수일 수 있어요. 벡터의 개수를 물었어요.", "That may be how many numbers one vector has; the question asks for the number of vectors."),
                "size": ("그건 벡터 하나에 든 수의 개수일 수 있어요. 벡터의 개수를 물었어요.", "That may be how many numbers one vector has; the question asks for the number of vectors."),
                "words": ("글 전체가 벡터 하나가 되지는 않아요.", "The text does not become a single vector."),
            },
        ),
        Question(
            "5.r2", "recall", number(2, mistakes={"one": 1, "scale": 7.5, "steps": 50}), NUMBER,
            (
                ("가이던스는 예측끼리의 차이를 키워요.", "Guidance enlarges the difference between predictions."),
                ("조건이 있는 예측과 없는 예측이 필요해요.", "It needs a prediction with the condition and one without."),
                ("답은 2예요.", "It is 2."),
            ),
            {
                "one": ("가이던스가 없을 때 한 번이에요.", "One is enough only without guidance."),
                "scale": ("7.5는 차이를 키우는 배율이에요.", "7.5 is by how much the difference is enlarged."),
                "steps": ("50은 스텝 수예요.", "50 is the number of steps."),
            },
        ),
        Question(
            "5.r3", "recall", choice("b", "abc"), LETTER,
            (
                ("이름이 `EulerDiscreteScheduler`예요. 오일러는 다음 값을 계산하는 방법이에요.", "It is called `EulerDiscreteScheduler`; Euler's method computes a next value."),
                ("노이즈는 유넷이 예측하고, 디코딩은 VAE가 해요.", "The UNet predicts, and the VAE decodes."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("그건 유넷이 해요.", "The UNet does that."),
                "c": ("그건 VAE가 해요.", "The VAE does that."),
            },
        ),
        Question(
            "5.r4", "recall", choice("b", "abc"), LETTER,
            (
                ("헤드별로 나누어 차례로 계산하면 한꺼번에 무엇이 덜 필요할까요?", "What is needed less at a time when heads are computed one after another?"),
                ("가장 큰 배열이 5분의 1이 되었어요.", "The largest array became a fifth."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("계산의 양은 그대로예요.", "The amount of computing stays the same."),
                "c": ("디스크는 쓰지 않아요.", "No disk is involved."),
            },
        ),
        Question(
            "5.r5", "recall", choice("b", "abc"), LETTER,
            (
                ("생성기는 수를 뽑을 때마다 앞으로 나아가요.", "A generator moves on with every number drawn."),
                ("새 생성기를 쓰면 같은 수, 이어 쓰면 다음 수예요.", "A fresh generator gives the same numbers, one that goes on the next ones."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("같은 시드의 새 생성기를 쓸 때 그래요.", "That is so with a fresh generator of the same seed."),
                "c": ("노이즈는 0이 아니에요.", "Noise is not 0."),
            },
        ),
        Question(
            "5.1", "recall", choice("c", "abc"), LETTER,
            (
                ("노이즈의 크기가 10이면 3이라는 값은 거의 노이즈예요.", "With noise of size 10, the 3 is almost only noise."),
                ("−1과 +1 가운데 어느 쪽인지 거의 알 수 없어요. 둘의 평균은?", "−1 or +1 can hardly be told. What is their mean?"),
                ("답은 c예요. 정확히는 tanh(3 / 100), 약 0.03이에요.", "It is c: exactly, tanh(3 / 100), about 0.03."),
            ),
            {
                "a": ("점은 3에 있을 수 없어요. −1 아니면 +1이에요.", "The dot cannot be at 3, only at −1 or +1."),
                "b": ("−1이었어도 3이 나왔을 확률이 거의 같아요.", "From −1 the number 3 would be almost as likely."),
            },
        ),
        Question(
            "5.2", "code",
            formula(
                lambda x, s: np.tanh(x / s**2), [(X, 1.0), (X, 0.7), (X, 3.0)],
                {
                    "sigma": lambda x, s: np.tanh(x / s), "hard": lambda x, s: np.sign(x), "seen": lambda x, s: x,
                    "sign": lambda x, s: np.tanh(-x / s**2), "plus": lambda x, s: 1 / (1 + np.exp(-2 * x / s**2)),
                    "two": lambda x, s: np.tanh(x / (2 * s**2)),
                },
            ),
            FUNCTION,
            (
                ("글의 마지막 식을 그대로 쓰면 돼요.", "The last formula of the text is all you need."),
                ("`np.tanh`가 있어요. σ는 제곱이에요.", "There is `np.tanh`; sigma is squared."),
                ("`return np.tanh(x / sigma**2)`이에요.", "`return np.tanh(x / sigma**2)`"),
            ),
            {
                "sigma": ("σ를 제곱하세요.", "Square sigma."),
                "hard": ("언제나 ±1로 정하면 틀렸을 때 오차가 커요. 무게를 주어 평균하세요.", "Deciding for ±1 always makes large errors; take the weighted mean."),
                "seen": ("관찰한 값을 그대로 돌려줬어요.", "That returns the number as it is seen."),
                "sign": ("부호가 반대예요.", "The sign is the other way round."),
                "plus": ("그건 +1일 확률이에요. 평균은 $w_+ - w_-$를 써요.", "That is the probability of +1; the mean takes w₊ − w₋."),
                "two": ("무게의 비를 정리하면 2가 지워져요.", "The 2 cancels in the ratio of the weights."),
            },
        ),
        Question(
            "5.3", "change",
            number(np.tanh(2) - 2, tolerance=0.006, mistakes={"sign": 2 - np.tanh(2), "prediction": np.tanh(2), "place": -2}), NUMBER,
            (
                ("먼저 예측 `my_best(2, 1)`을 구하세요.", "First find the prediction, `my_best(2, 1)`."),
                ("예측에서 x를 빼고 σ의 제곱으로 나누세요.", "Subtract x from the prediction, and divide by sigma squared."),
                ("`answer = (np.tanh(2) - 2) / 1**2`, 약 −1.04예요.", "`answer = (np.tanh(2) - 2) / 1**2`, about −1.04"),
            ),
            {
                "sign": ("빼는 순서가 반대예요. 점수는 예측 쪽을 가리켜요.", "You subtracted the other way round: the score points towards the prediction."),
                "prediction": ("그건 예측이에요. x를 빼세요.", "That is the prediction; subtract x."),
                "place": ("예측은 0이 아니라 tanh(2)예요.", "The prediction is tanh(2), not 0."),
            },
        ),
        Question(
            "5.4", "change",
            number(10**-0.5, tolerance=0.003, mistakes={"root": 0.1, "one": 1 / 3, "inverse": 10**0.5, "skip": 3 / 10**0.5}), NUMBER,
            (
                ("표의 첫 줄이에요.", "It is the first row of the table."),
                ("3의 제곱에 1을 더하고 제곱근을 구해 1을 나누세요.", "Square 3, add 1, take the root, and divide 1 by it."),
                ("`answer = 1 / (3**2 + 1) ** 0.5`, 약 0.316이에요.", "`answer = 1 / (3**2 + 1) ** 0.5`, about 0.316"),
            ),
            {
                "root": ("제곱근을 빠뜨렸어요.", "The square root is missing."),
                "one": ("데이터의 분산 1을 더하지 않았어요.", "Add the data's variance, 1."),
                "inverse": ("그 수로 나눠야 해요.", "Divide by that number."),
                "skip": ("그건 c_out이에요.", "That is c_out."),
            },
        ),
        Question(
            "5.5", "code",
            formula(
                lambda x0, x, s: (x0 - x / (s**2 + 1)) / (s / (s**2 + 1) ** 0.5),
                [(np.sign(X), X, 0.5), (np.sign(X), X, 2.0), (-np.sign(X), X, 5.0)],
                {
                    "sign": lambda x0, x, s: -(x0 - x / (s**2 + 1)) / (s / (s**2 + 1) ** 0.5),
                    "plus": lambda x0, x, s: (x0 + x / (s**2 + 1)) / (s / (s**2 + 1) ** 0.5),
                    "product": lambda x0, x, s: (x0 - x / (s**2 + 1)) * (s / (s**2 + 1) ** 0.5),
                    "no_skip": lambda x0, x, s: x0 / (s / (s**2 + 1) ** 0.5),
                    "no_out": lambda x0, x, s: x0 - x / (s**2 + 1),
                    "noise": lambda x0, x, s: (x - x0) / s,
                },
            ),
            FUNCTION,
            (
                ("$D = c_\\text{skip} x + c_\\text{out} F$에서 $F$만 남기세요.", "Leave F alone in D = c_skip x + c_out F."),
                ("$x_0$에서 $c_\\text{skip} x$를 빼고 $c_\\text{out}$으로 나눠요.", "Subtract c_skip x from x0, and divide by c_out."),
                ("`return (x0 - x / (sigma**2 + 1)) / (sigma / (sigma**2 + 1) ** 0.5)`이에요.",
                 "`return (x0 - x / (sigma**2 + 1)) / (sigma / (sigma**2 + 1) ** 0.5)`"),
            ),
            {
                "sign": ("부호가 반대예요. 그건 diffusers의 v예요.", "The sign is the other way round; that is diffusers' v."),
                "plus": ("$c_\\text{skip} x$는 빼야 해요.", "c_skip x has to be subtracted."),
                "product": ("$c_\\text{out}$은 곱하지 말고 나누세요.", "Divide by c_out; do not multiply."),
                "no_skip": ("$c_\\text{skip} x$를 빼지 않았어요.", "c_skip x has not been subtracted."),
                "no_out": ("$c_\\text{out}$으로 나누세요.", "Divide by c_out."),
                "noise": ("그건 노이즈 n이에요. 이 신경망은 노이즈를 예측하지 않아요.", "That is the noise n; this network does not predict the noise."),
            },
        ),
        Question(
            "5.6", "recall", number(8, tolerance=0.02, mistakes={"same": 0.1, "sigma": 80, "divided": 0.1 / 80}), NUMBER,
            (
                ("$D = x - \\sigma n$에서 n이 0.1만큼 달라지면요?", "What if n changes by 0.1 in D = x − σ n?"),
                ("σ를 곱하세요.", "Multiply by sigma."),
                ("답은 80 × 0.1 = 8이에요. 점은 ±1에 있는데요!", "It is 80 × 0.1 = 8, while the dot is at ±1!"),
            ),
            {
                "same": ("$F$라면 그 정도예요. 노이즈에는 σ가 곱해져요.", "That is about right for F; the noise is multiplied by sigma."),
                "sigma": ("n이 1만큼 틀릴 때의 값이에요.", "That is for an error of 1 in n."),
                "divided": ("나누지 말고 곱하세요.", "Multiply; do not divide."),
            },
        ),
        Question(
            "5.7", "code",
            formula(
                _karras, [(10, 80.0, 0.02), (5, 700.0, 0.002), (3, 10.0, 1.0, 3)],
                {
                    "linear": lambda n, a, b, rho=7: np.linspace(a, b, n),
                    "exponential": lambda n, a, b, rho=7: np.geomspace(a, b, n),
                    "backwards": lambda n, a, b, rho=7: _karras(n, a, b, rho)[::-1],
                    "n": lambda n, a, b, rho=7: _karras(n + 1, a, b, rho)[:n],
                    "no_power": lambda n, a, b, rho=7: _karras(n, a, b, rho) ** (1 / rho),
                    "zero": lambda n, a, b, rho=7: np.append(_karras(n, a, b, rho), 0),
                },
            ),
            FUNCTION,
            (
                ("`share = np.arange(n) / (n - 1)`은 0에서 1까지 고르게 가요.", "`share = np.arange(n) / (n - 1)` goes evenly from 0 to 1."),
                ("ρ제곱근을 고르게 잇고, 끝에 ρ제곱을 해요.", "Go evenly between the ρ-th roots, then take the power ρ."),
                ("`high, low = largest ** (1 / rho), smallest ** (1 / rho)`, `return (high + share * (low - high)) ** rho`이에요.",
                 "`high, low = largest ** (1 / rho), smallest ** (1 / rho)`, `return (high + share * (low - high)) ** rho`"),
            ),
            {
                "linear": ("그건 직선 간격이에요. ρ제곱근에서 고르게 가야 해요.", "These are linear; go evenly between the ρ-th roots."),
                "exponential": ("그건 로그 간격이에요.", "These are exponential."),
                "backwards": ("순서가 반대예요. 큰 것부터예요.", "The order is reversed: the largest comes first."),
                "n": ("마지막이 가장 작은 시그마여야 해요. `n - 1`로 나누세요.", "The last one must be the smallest sigma: divide by `n - 1`."),
                "no_power": ("끝에 ρ제곱을 하세요.", "Take the power ρ at the end."),
                "zero": ("0은 스케줄러가 나중에 붙여요. 크기는 n이에요.", "The scheduler adds the 0 later; the size is n."),
            },
        ),
        Question(
            "5.8", "code",
            formula(
                lambda u, c, s: u + s * (c - u), [(X, X[::-1] + 1, 3.0), (X, 2 * X + 1, 1.0), (X, X - 2, 0.5)],
                {
                    "swapped": lambda u, c, s: c + s * (u - c),
                    "from_condition": lambda u, c, s: c + s * (c - u),
                    "difference": lambda u, c, s: s * (c - u),
                    "scaled": lambda u, c, s: s * c,
                    "mean": lambda u, c, s: (u + s * c) / (1 + s),
                },
            ),
            FUNCTION,
            (
                ("조건 없는 예측에서 출발해 조건 있는 쪽으로 `scale`배만큼 가요.", "Start at the prediction without condition and go `scale` times the way to the other."),
                ("`scale`이 1이면 조건 있는 예측 그대로예요.", "At `scale` 1 it is exactly the prediction with the condition."),
                ("`return without + scale * (with_condition - without)`이에요.", "`return without + scale * (with_condition - without)`"),
            ),
            {
                "swapped": ("두 예측이 바뀌었어요.", "The two predictions are swapped."),
                "from_condition": ("조건 없는 예측에서 출발하세요. 지금은 `scale`이 1보다 큰 것처럼 한 번 더 가요.", "Start at the prediction without condition; this goes one time too far."),
                "difference": ("차이만 있어요. 조건 없는 예측을 더하세요.", "That is the difference only; add the prediction without condition."),
                "scaled": ("조건 있는 예측을 키웠어요. 차이를 키워야 해요.", "That enlarges the prediction; enlarge the difference."),
                "mean": ("그건 둘의 평균이라 조건을 넘어가지 않아요.", "That is a mean of both, which never goes beyond the condition."),
            },
        ),
        Question(
            "5.9", "change",
            number(1 + 8 / 9, tolerance=0.006, mistakes={"count": 1 + 2 * 5 / 9, "tenths": 1 + 2 * 4 / 10, "middle": 2}), NUMBER,
            (
                ("10프레임 사이에는 간격이 9개 있어요.", "There are 9 gaps between 10 frames."),
                ("다섯째 프레임까지는 간격이 4개예요.", "The fifth frame is 4 gaps from the first."),
                ("`answer = 1 + 2 * 4 / 9`, 약 1.89예요.", "`answer = 1 + 2 * 4 / 9`, about 1.89"),
            ),
            {
                "count": ("첫 프레임은 0번째 간격이에요. 다섯째까지는 4개예요.", "The first frame is at gap 0; the fifth is 4 gaps on."),
                "tenths": ("10프레임 사이의 간격은 9개예요.", "10 frames have 9 gaps between them."),
                "middle": ("다섯째와 여섯째 사이가 한가운데예요.", "The middle lies between the fifth and the sixth."),
            },
        ),
        Question(
            "5.10", "code",
            formula(
                lambda x, d, s, t: x + (x - d) / s * (t - s), [(X, X / 3, 2.0, 1.5), (X, 1 - X, 10.0, 4.0), (X, X**2, 0.5, 0.0)],
                {
                    "back": lambda x, d, s, t: x - (x - d) / s * (t - s),
                    "next": lambda x, d, s, t: x + (x - d) / s * t,
                    "jump": lambda x, d, s, t: d,
                    "no_sigma": lambda x, d, s, t: x + (x - d) * (t - s),
                    "score": lambda x, d, s, t: x + (x - d) / s**2 * (t - s),
                },
            ),
            FUNCTION,
            (
                ("`next_sigma`는 `sigma`보다 작으니 차이는 음수예요.", "`next_sigma` is below `sigma`, so their difference is negative."),
                ("방향은 `(x - denoised) / sigma`예요.", "The direction is `(x - denoised) / sigma`."),
                ("`return x + (x - denoised) / sigma * (next_sigma - sigma)`이에요.", "`return x + (x - denoised) / sigma * (next_sigma - sigma)`"),
            ),
            {
                "back": ("노이즈 쪽으로 가요. 더하기와 빼기를 확인하세요.", "This goes back towards the noise: check plus and minus."),
                "next": ("`next_sigma`가 아니라 `next_sigma - sigma`를 곱하세요.", "Multiply by `next_sigma - sigma`, not by `next_sigma`."),
                "jump": ("예측까지 한 번에 뛰었어요. 조금만 가야 해요.", "That jumps all the way to the prediction; go only a part."),
                "no_sigma": ("방향을 σ로 나누세요.", "Divide the direction by sigma."),
                "score": ("σ로 한 번만 나누세요.", "Divide by sigma once only."),
            },
        ),
        Question(
            "5.11", "code", _judge_loop, TENSOR,
            (
                ("`denoise(x, sigma)`가 예측 D를 줘요.", "`denoise(x, sigma)` gives the prediction D."),
                ("5.10의 스텝을 되풀이해요. 방향을 먼저 구하고 σ의 차이를 곱해요.", "Repeat the step of 5.10: first the direction, then times the difference of the sigmas."),
                ("`direction = (x - denoise(x, sigma)) / sigma`, `x = x + direction * (next_sigma - sigma)`이에요.",
                 "`direction = (x - denoise(x, sigma)) / sigma`, `x = x + direction * (next_sigma - sigma)`"),
            ),
            {
                "rounding": ("거의 같아요. 계산 순서까지 같아야 차이가 0이에요: 먼저 σ로 나누고, 그다음에 차이를 곱하세요.",
                             "Nearly. For a difference of 0 the order has to be the same: first divide by sigma, then multiply by the difference."),
                "start": ("노이즈가 남아 있어요. x가 스텝마다 바뀌나요?", "There is noise left. Does x change in every step?"),
                "shape": ("x와 같은 모양의 텐서를 돌려주세요.", "Return a tensor of x's shape."),
            },
        ),
        Question(
            "5.12", "change", choice("b", "abc"), LETTER,
            (
                ("ρ가 1이면 ρ제곱근도 ρ제곱도 아무것도 바꾸지 않아요.", "At ρ = 1 neither the root nor the power changes anything."),
                ("이웃한 두 수의 차이를 보세요. 늘 같은가요?", "Look at the differences of neighbours. Are they all the same?"),
                ("답은 b예요. 8.9씩 줄어요.", "It is b: they fall by 8.9 each."),
            ),
            {
                "a": ("로그 간격이라면 이웃한 두 수의 비가 같아야 해요.", "Exponential ones would have the same ratio between neighbours."),
                "c": ("첫 수는 그대로 80이에요.", "The first is still 80."),
            },
        ),
        Question(
            "5.13", "recall", choice("c", "abc"), LETTER,
            (
                ("아래 그림에서 Heun의 마지막 프레임을 보세요.", "Look at Heun's last frame in the figure below."),
                ("PSNR이 멈춘 영상보다도 낮아요.", "Its PSNR is below even that of the still video."),
                ("답은 c예요.", "It is c."),
            ),
            {
                "a": ("스텝이 충분히 작으면 그래요. 여기서는 다섯 스텝뿐이에요.", "With steps small enough it is; here there are five only."),
                "b": ("아래 그림을 보세요. 같은 영상으로 보이나요?", "Look at the figure below. Do they look alike?"),
            },
        ),
    ]
)  # fmt: skip
