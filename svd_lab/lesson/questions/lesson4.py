"""Lesson 4: the class's two models, what the text does, guidance, sigmas, attention, and the generator that both share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from svd_lab.lesson.question import FUNCTION, LETTER, NUMBER, Question, choice, number, table, tried


def _known(given: float, wrong: Mapping[str, tuple[float, ...]]) -> str:
    return next((name for name, values in wrong.items() if any(abs(given - value) < 1e-6 for value in values)), "")


def _judge_cosine(function: Any, _facts: Mapping[str, Any]) -> str | None:
    one, other = np.random.default_rng(0).normal(size=(2, 6))
    given = np.asarray(function(one.copy(), other.copy()), dtype=float)
    if given.shape != ():
        return "array"
    dot, lengths = one @ other, np.linalg.norm(one) * np.linalg.norm(other)
    if abs(float(given) - dot / lengths) < 1e-6:
        return None
    wrong = {
        "dot": (dot,),
        "squares": (dot / lengths**2,),
        "one_length": (dot / np.linalg.norm(one), dot / np.linalg.norm(other)),
        "distance": (np.linalg.norm(one - other), 1 - dot / lengths),
        "sums": (dot / (one.sum() * other.sum()), dot / len(one)),
    }
    return _known(float(given), wrong)


def _judge_guided(function: Any, _facts: Mapping[str, Any]) -> str | None:
    without, with_prompt = np.random.default_rng(1).normal(size=(2, 3, 4))
    scale = 7.5
    given = np.asarray(function(without.copy(), with_prompt.copy(), scale), dtype=float)
    if given.shape != without.shape:
        return "shape"
    change = with_prompt - without
    if np.allclose(given, without + scale * change):
        return None
    wrong = {
        "swapped": with_prompt - scale * change,
        "start": with_prompt + scale * change,
        "difference": scale * change,
        "scaled": scale * with_prompt,
        "sum": without + scale * with_prompt,
        "backwards": without - scale * change,
    }
    return next((name for name, value in wrong.items() if np.allclose(given, value)), "")


def _softmax(values: Any, axis: int) -> Any:
    powers = np.exp(values - values.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def _judge_attention(function: Any, _facts: Mapping[str, Any]) -> str | None:
    import torch

    query, key, value = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    given = function(query.clone(), key.clone(), value.clone())
    given = np.asarray(given.detach() if hasattr(given, "detach") else given, dtype=float)
    q, k, v = (part.numpy() for part in (query, key, value))
    scores = q @ k.T
    weights = _softmax(scores / 2, 1)
    if given.shape == weights.shape and np.allclose(given, weights):
        return "weights"
    if given.shape != v.shape:
        return "shape"
    if np.allclose(given, weights @ v):
        return None
    wrong = {
        "scale": _softmax(scores, 1) @ v,
        "size": _softmax(scores / 4, 1) @ v,
        "softmax": scores / 2 @ v,
        "columns": _softmax(scores / 2, 0) @ v,
        "values": weights @ k,
    }
    return next((name for name, value in wrong.items() if np.allclose(given, value)), "")


def _judge_later(function: Any, _facts: Mapping[str, Any]) -> str | None:
    import torch

    seed, skip, count = 7, 32, 48
    everything = torch.randn(skip + count, generator=torch.Generator().manual_seed(seed))
    before = torch.get_rng_state()
    try:
        given = torch.as_tensor(function(seed, skip, count))
        again = torch.as_tensor(function(seed, skip, count))
    finally:
        torch.set_rng_state(before)
    if given.shape == everything.shape and torch.equal(given, everything):
        return "all"
    if given.shape != (count,):
        return "shape"
    if not torch.equal(given, again):
        return "random"
    if torch.equal(given, everything[:count]):
        return "fresh"
    generator = torch.Generator().manual_seed(seed)
    torch.randn(skip, generator=generator)
    if torch.equal(given, torch.randn(count, generator=generator)) or torch.equal(given, everything[skip:]):
        return None
    other = torch.randn(count, generator=torch.Generator().manual_seed(seed + skip))
    return "seed" if torch.equal(given, other) else ""


_MIB = 5 * 2304**2 * 4 / 2**20

QUESTIONS = table(
    [
        Question(
            "4.r1", "recall", choice("b"), LETTER,
            (
                ("모양을 바꾸지 않으면서 아무것도 잘라 내지 않으려면 무엇이 남을까요?", "To keep the shape and cut nothing off, what has to be added?"),
                ("crop은 잘라 내고, stretch는 비율을 바꿔요.", "crop cuts off, stretch changes the proportions."),
                ("답은 b, pad예요. 남는 곳을 채워요.", "It is b, pad: it fills the rest."),
            ),
            {
                "a": ("crop은 그림의 일부를 잘라 내요.", "crop cuts a part of the picture off."),
                "c": ("stretch는 그림을 늘이거나 눌러요.", "stretch changes the proportions."),
                "d": ("셋 가운데 하나는 둘 다 지켜요.", "One of the three keeps both."),
            },
        ),
        Question(
            "4.r2", "recall", number(7 / 16, tolerance=0.005, mistakes={"kept": 9 / 16, "percent": 43.75, "inverse": 16 / 9, "excess": 7 / 9}), NUMBER,
            (
                ("너비는 그대로이고 높이만 잘려요.", "The width stays; only the height is cut."),
                ("남는 높이는 너비의 9/16이에요.", "The height that remains is 9/16 of the width."),
                ("답은 1 - 9/16 = 0.4375예요.", "It is 1 - 9/16 = 0.4375."),
            ),
            {
                "kept": ("그건 남는 비율이에요.", "That is the share that remains."),
                "percent": ("퍼센트가 아니라 0부터 1까지의 비율로 적어 주세요.", "Give a share from 0 to 1, not percent."),
                "inverse": ("비율은 1보다 클 수 없어요.", "A share cannot be above 1."),
                "excess": ("원래 높이로 나누세요. 남은 높이가 아니에요.", "Divide by the original height, not by the one that remains."),
            },
        ),
        Question(
            "4.r3", "recall", choice("c", "abc"), LETTER,
            (
                ("배경이 어두우면 밝은 물체의 픽셀은 더 많이 달라져요.", "Before a dark background the pixels of a bright thing change more."),
                ("움직인 거리는 위치로 재야 해요.", "Distance has to be measured by position."),
                ("답은 c예요. 픽셀 차이는 대비도 함께 재요.", "It is c: a pixel difference also measures contrast."),
            ),
            {
                "a": ("같은 거리를 움직여도 배경에 따라 값이 달라져요.", "The same distance gives other values before other backgrounds."),
                "b": ("프레임 수가 같아도 값은 달라져요.", "The value differs even with the same number of frames."),
            },
        ),
        Question(
            "4.r4", "recall", choice("a", "abc"), LETTER,
            (
                ("1강에서 첫 프레임의 차이 그림을 떠올려 보세요.", "Remember the first frame's difference map in lesson 1."),
                ("VAE로 인코딩하고 디코딩하기만 해도 별이 사라졌어요.", "Encoding and decoding with the VAE alone already lost the stars."),
                ("답은 a, VAE예요.", "It is a, the VAE."),
            ),
            {
                "b": ("CLIP 벡터에서 그림을 되살리지는 않아요.", "No picture is made back from CLIP's vector."),
                "c": ("인코딩은 파일을 저장할 때의 일이에요. 프레임은 그 전에 달라요.", "That happens when the file is saved; the frames differ before."),
            },
        ),
        Question(
            "4.r5", "recall", number(1024, mistakes={"height": 576, "eighth": 128, "square": 512, "mini": 224}), NUMBER,
            (
                ("진짜 SVD의 영상은 576픽셀 높이예요.", "The real SVD's videos are 576 pixels high."),
                ("비율은 16:9예요.", "The proportions are 16:9."),
                ("답은 576 × 16 / 9 = 1024예요.", "It is 576 × 16 / 9 = 1024."),
            ),
            {
                "height": ("그건 높이예요.", "That is the height."),
                "eighth": ("그건 잠재 표현의 너비예요.", "That is the width of the latents."),
                "square": ("정사각형이 아니에요.", "It is not a square."),
                "mini": ("그건 미니의 너비예요.", "That is the mini's width."),
            },
        ),
        Question(
            "4.1", "recall", choice("c"), LETTER,
            (
                ("모델 폴더에는 부품마다 하위 폴더가 있어요. 셀이 그 이름을 출력했어요.", "A model's folder has a folder for each part; the cell printed their names."),
                ("스케줄러는 신경망이 아니라서 가중치가 없어요.", "A scheduler is not a neural network, so it has no weights."),
                ("답은 c예요.", "It is c."),
            ),
            {
                "a": ("모델 전체를 읽는 것은 그다음 줄이에요.", "All of the model is read by the next statement."),
                "b": ("스케줄러에는 배운 가중치가 없어요.", "A scheduler has no trained weights."),
                "d": ("아무것도 내려받지 않아요. 어디서 읽을지 정할 뿐이에요.", "Nothing is downloaded into it; it says where to read."),
            },
        ),
        Question(
            "4.2", "recall", choice("a"), LETTER,
            (
                ("두 호출에서 무작위인 것은 생성기에서 뽑는 수뿐이에요.", "The only random thing in both calls is what is drawn from the generator."),
                ("시드가 같고, 뽑는 순서와 개수가 같아요.", "The seed is the same, and so are order and count of what is drawn."),
                ("답은 a예요. 아래 셀이 0을 출력해요.", "It is a: the cell below prints 0."),
            ),
            {
                "b": ("같은 계산을 같은 순서로 하면 반올림도 같아요.", "The same computation in the same order also rounds the same way."),
                "c": ("두 함수 모두 생성기 하나를 이어서 써요.", "Both functions let one generator go on."),
                "d": ("같은 시드면 그림도 같아요.", "With the same seed the picture is the same, too."),
            },
        ),
        Question(
            "4.3", "change",
            number(lambda facts: facts["tokens"] * facts["length"],
                   mistakes={"tokens": lambda facts: facts["tokens"], "length": lambda facts: facts["length"],
                             "sum": lambda facts: facts["tokens"] + facts["length"],
                             "words": lambda facts: facts["used"] * facts["length"],
                             "inner": lambda facts: (facts["tokens"] - 2) * facts["length"]}),
            NUMBER,
            (
                ("모양 (1, 토큰, 벡터의 길이)의 수를 모두 곱하면 돼요.", "Multiply the numbers of the shape (1, tokens, length of a vector)."),
                ("빈 자리를 채운 토큰의 벡터도 유넷에 들어가요.", "The vectors of padding tokens go into the UNet, too."),
                ("`answer = vectors.numel()`이에요.", "`answer = vectors.numel()`"),
            ),
            {
                "tokens": ("그건 토큰의 수예요. 토큰마다 벡터가 하나씩 있어요.", "That is the number of tokens; each has a vector."),
                "length": ("그건 벡터 하나의 길이예요.", "That is the length of one vector."),
                "sum": ("더하지 말고 곱하세요.", "Multiply; do not add."),
                "words": ("프롬프트의 토큰만 셌어요. 나머지 자리도 들어가요.", "You counted the prompt's tokens only; the other places go in, too."),
                "inner": ("글의 처음과 끝을 알리는 토큰도 들어가요.", "The tokens for beginning and end go in, too."),
            },
        ),
        Question(
            "4.4", "change", tried("a rabbit playing chess", 0), NUMBER,
            (
                ("위 셀이 부른 `pieces`를 다시 부르되, 낱말 하나만 바꾸세요.", "Call `pieces` again, as the cell above does, with one word changed."),
                ("프롬프트는 `\"a rabbit playing chess\"`예요. 출력의 맨 앞이 토큰의 수예요.",
                 "The prompt is `\"a rabbit playing chess\"`. The number of tokens is printed first."),
                ("`answer = pieces(\"a rabbit playing chess\")`예요.", "`answer = pieces(\"a rabbit playing chess\")`"),
            ),
            {"other": ("그건 다른 프롬프트의 토큰 수예요.", "That is the number of another prompt.")},
        ),
        Question(
            "4.5", "code", _judge_cosine, FUNCTION,
            (
                ("내적(dot product)을 두 벡터의 길이로 나누세요.", "Divide the dot product by the lengths of both vectors."),
                ("내적은 `one @ other`, 길이는 `np.linalg.norm(one)`이에요.", "The dot product is `one @ other`, a length is `np.linalg.norm(one)`."),
                ("`return one @ other / (np.linalg.norm(one) * np.linalg.norm(other))`예요.",
                 "`return one @ other / (np.linalg.norm(one) * np.linalg.norm(other))`"),
            ),
            {
                "array": ("배열이 아니라 수 하나를 돌려주세요. `*`는 성분끼리 곱하고, `@`는 더하기까지 해요.",
                          "Return one number: `*` multiplies entry by entry, `@` also adds up."),
                "dot": ("그건 내적이에요. 길이로 나누어야 방향만 남아요.", "That is the dot product; divide by the lengths, and only direction is left."),
                "squares": ("길이의 제곱으로 나누었어요.", "You divided by the squares of the lengths."),
                "one_length": ("한쪽 길이로만 나누었어요.", "You divided by one of the lengths only."),
                "distance": ("그건 거리예요. 비슷할수록 1에 가까워야 해요.", "That is a distance; the more similar, the nearer to 1 it must be."),
                "sums": ("길이는 성분의 합도 개수도 아니에요. 제곱해서 더한 것의 제곱근이에요.",
                         "A length is neither the sum nor the number of entries: it is the root of the sum of squares."),
            },
        ),
        Question(
            "4.6", "recall", choice("b"), LETTER,
            (
                ("미니는 말이 무엇을 타는 그림을 배운 적이 없어요.", "The mini has never been trained on a horse that rides something."),
                ("모르는 것을 시키면 미니는 아는 그림 가운데 가까운 것을 그려요.", "Asked for something unknown, the mini draws something that it knows."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("글을 제대로 읽었다면 그렇겠지요. 미니가 그런지는 그림을 보세요.", "It would be so if word order were understood; the picture shows whether it is."),
                "c": ("두 물건 다 미니가 아는 거예요.", "The mini knows both things."),
                "d": ("두 물건을 모두 말했어요. 아래 그림에서 찾아보세요.", "Both things were asked for; look for them in the picture below."),
            },
        ),
        Question(
            "4.7", "recall", choice("d"), LETTER,
            (
                ("미니에게 불꽃놀이는 물건일까요, 장소일까요?", "Are fireworks a thing or a place to the mini?"),
                ("불꽃놀이도 밤하늘도 장소예요. 미니가 학습한 그림에는 언제나 장소가 하나예요.",
                 "Fireworks and the night sky are both places, and every picture that the mini was trained on has one place."),
                ("답은 d예요. 장소를 둘 말하면 둘을 다 그리지 못해요.", "It is d: of two places it does not draw both."),
            ),
            {
                "a": ("아래 그림의 하늘을 보세요. 불꽃이 있나요?", "Look at the sky in the picture below: are there any?"),
                "b": ("로켓은 두 그림 모두에 있어요.", "There is a rocket in both pictures."),
                "c": ("아래 두 로켓 그림의 땅을 비교하세요.", "Compare the ground in the two pictures of a rocket below."),
            },
        ),
        Question(
            "4.8", "recall", choice("b", "abc"), LETTER,
            (
                ("1이면 프롬프트가 있는 예측을 늘리지 않고 그대로 써요.", "At 1 the prediction with the prompt is used without stretching."),
                ("아래 윗줄에서 해변의 빨간 물건을 세어 보세요.", "Count the red things on a beach in the upper row below."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("그렇다면 가이던스가 필요 없겠지요. 아래 그림을 보세요.", "Then guidance would not be needed. Look at the pictures below."),
                "c": ("노이즈는 모두 제거돼요. 예측은 하니까요.", "All noise is removed: there is a prediction."),
            },
        ),
        Question(
            "4.9", "code", _judge_guided, FUNCTION,
            (
                ("프롬프트가 없는 예측에서 출발해 차이를 `scale`배 하세요.", "Start from the prediction without the prompt and stretch the difference `scale` times."),
                ("차이는 `with_prompt - without`이에요. scale이 1이면 `with_prompt`가 나와야 해요.",
                 "The difference is `with_prompt - without`. At scale 1 the result must be `with_prompt`."),
                ("`return without + scale * (with_prompt - without)`이에요.", "`return without + scale * (with_prompt - without)`"),
            ),
            {
                "shape": ("예측과 모양이 같은 배열을 돌려주세요.", "Return an array of the same shape as the predictions."),
                "swapped": ("두 예측이 바뀌었어요.", "The two predictions are swapped."),
                "start": ("scale이 1일 때 `with_prompt`가 나오지 않아요. 출발점이 달라요.", "At scale 1 this does not give `with_prompt`: the start is another."),
                "difference": ("차이를 늘렸지만 출발점을 더하지 않았어요.", "You stretched the difference but did not add the start."),
                "scaled": ("예측이 아니라 차이를 늘리세요.", "Stretch the difference, not the prediction."),
                "sum": ("차이를 구하지 않았어요.", "You did not take the difference."),
                "backwards": ("프롬프트에서 멀어지는 방향이에요.", "This goes away from the prompt."),
            },
        ),
        Question(
            "4.10", "change", tried(2, 0), NUMBER,
            (
                ("위 셀이 부른 `how_many`를 가이던스 2로 부르세요.", "Call `how_many`, as the cell above does, with guidance 2."),
                ("`how_many(2)`가 돌려주는 수예요.", "It is what `how_many(2)` returns."),
                ("`answer = how_many(2)`예요.", "`answer = how_many(2)`"),
            ),
            {"other": ("그건 다른 가이던스의 수예요. 2로 그려 보세요.", "That is the number at another guidance; draw at 2.")},
        ),
        Question(
            "4.11", "recall", choice("b", "abc"), LETTER,
            (
                ("아래 셀이 출력하는 saturation을 4와 12에서 비교하세요.", "Compare the saturation that the cell below prints at 4 and at 12."),
                ("12의 값을 4의 값으로 나누세요.", "Divide the value at 12 by the value at 4."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("두 배라면 눈에 바로 띄어요. 4와 12의 그림을 보세요.", "Twice as much would leap to the eye: look at the pictures of 4 and 12."),
                "c": ("4의 그림보다 12의 그림이 옅은가요?", "Is the picture of 12 paler than that of 4?"),
            },
        ),
        Question(
            "4.12", "change", number(14.6 / 32, tolerance=0.005, mistakes={"count": 14.6 / 1024, "same": 14.6, "root": 14.6 / 32**0.5, "more": 14.6 * 32}), NUMBER,
            (
                ("독립인 노이즈 n개를 평균하면 크기가 √n분의 1이 돼요.", "The mean of n independent noises is smaller by √n."),
                ("n은 32 × 32 = 1024예요. √1024 = 32예요.", "n is 32 × 32 = 1024, and √1024 = 32."),
                ("답은 14.6 / 32 = 0.456이에요.", "It is 14.6 / 32 = 0.456."),
            ),
            {
                "count": ("n이 아니라 √n으로 나누세요.", "Divide by √n, not by n."),
                "same": ("평균하면 노이즈는 서로 지워져 작아져요.", "In a mean, noise partly cancels and gets smaller."),
                "root": ("칸의 픽셀은 32개가 아니라 32 × 32개예요.", "The square has 32 × 32 pixels, not 32."),
                "more": ("평균하면 커지지 않고 작아져요.", "A mean makes it smaller, not larger."),
            },
        ),
        Question(
            "4.13", "code", _judge_attention, FUNCTION,
            (
                ("점수는 질의와 키의 내적이에요: `query @ key.T`.", "The scores are dot products of queries and keys: `query @ key.T`."),
                ("벡터의 길이의 제곱근으로 나누고, 줄마다(dim=-1) softmax를 한 다음 값에 곱하세요.",
                 "Divide by the root of the vector length, take softmax over each row (dim=-1), then multiply by the values."),
                ("`return torch.softmax(query @ key.T / query.shape[-1] ** 0.5, dim=-1) @ value`예요.",
                 "`return torch.softmax(query @ key.T / query.shape[-1] ** 0.5, dim=-1) @ value`"),
            ),
            {
                "weights": ("그건 비율의 행렬이에요. 값에 곱하는 일이 남았어요.", "That is the matrix of weights; multiply it by the values."),
                "shape": ("칸마다 벡터가 하나씩 나와야 해요. 전치(`.T`)를 확인하세요.", "There must be one vector for each cell; check the transpose (`.T`)."),
                "scale": ("√d로 나누지 않았어요.", "You did not divide by √d."),
                "size": ("d가 아니라 √d로 나누세요.", "Divide by √d, not by d."),
                "softmax": ("softmax를 빠뜨렸어요. 비율의 합이 1이 아니에요.", "Softmax is missing: the weights do not add up to 1."),
                "columns": ("softmax의 방향이 달라요. 한 칸이 나누어 주는 비율은 한 줄(dim=-1)에 있어요.",
                            "Softmax goes the other way; the weights of one cell are in a row (dim=-1)."),
                "values": ("키가 아니라 값을 섞어야 해요.", "Mix the values, not the keys."),
            },
        ),
        Question(
            "4.14", "change",
            number(_MIB, tolerance=0.1, mistakes={"one_head": _MIB / 5, "bytes": 5 * 2304**2 * 4, "numbers": 5 * 2304**2,
                                                  "half": _MIB / 2, "mb": 5 * 2304**2 * 4 / 1e6, "output": 5 * 2304 * 64 * 4 / 2**20}),
            NUMBER,
            (
                ("점수 행렬 하나의 크기는 칸 수의 제곱이에요.", "One matrix has as many entries as the number of cells squared."),
                ("헤드 × 칸 × 칸 × 4바이트를 2**20으로 나누세요.", "Heads × cells × cells × 4 bytes, divided by 2**20."),
                ("답은 5 * 2304**2 * 4 / 2**20 = 101.25예요.", "It is 5 * 2304**2 * 4 / 2**20 = 101.25."),
            ),
            {
                "one_head": ("헤드 하나의 행렬이에요. 헤드는 다섯이에요.", "That is one head's matrix; there are five heads."),
                "bytes": ("MiB로 바꾸려면 2**20으로 나누세요.", "Divide by 2**20 to get MiB."),
                "numbers": ("수의 개수예요. 하나가 4바이트예요.", "That is how many numbers; each takes 4 bytes."),
                "half": ("32비트는 2바이트가 아니라 4바이트예요.", "32 bits are 4 bytes, not 2."),
                "mb": ("1 MiB는 1,000,000이 아니라 2**20바이트예요.", "A MiB is 2**20 bytes, not 1,000,000."),
                "output": ("그건 결과의 크기예요. 점수 행렬은 칸마다 칸 수만큼의 수를 가져요.", "That is the size of the result; the matrix has as many numbers a cell as there are cells."),
            },
        ),
        Question(
            "4.15", "recall", choice("b", "abc"), LETTER,
            (
                ("그림 미니에서 어텐션은 전체 계산의 일부일 뿐이에요.", "In the image mini attention is only a part of the work."),
                ("아래 셀이 출력한 두 시간의 비를 보세요.", "Look at the ratio of the two times that the cell below prints."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("어텐션만 재도 그만큼 느려지지 않아요. 위 셀의 시간을 보세요.", "Even attention alone does not get that slow: look at the times above."),
                "c": ("메모리를 아낀다고 시간이 절반이 되지는 않아요.", "Saving memory does not halve the time."),
            },
        ),
        Question(
            "4.16", "recall", choice("c"), LETTER,
            (
                ("수업의 함수에서 영상 모델이 받는 생성기는 벌써 어디까지 갔나요?", "How far has the generator gone when the class's helper hands it to the video model?"),
                ("새 생성기는 처음부터 시작해요. 그러면 영상의 노이즈가 달라져요.", "A fresh generator starts at the beginning, so the video's noise is another."),
                ("답은 c예요.", "It is c."),
            ),
            {
                "a": ("시드는 같아도 생성기의 자리가 달라요.", "The seed is the same, but the generator's place is not."),
                "b": ("반올림이 아니라 노이즈 자체가 달라요.", "It is not rounding: the noise itself is another."),
                "d": ("입력 그림이 같으니 전혀 다르지는 않아요.", "The input picture is the same, so it is not entirely different."),
            },
        ),
        Question(
            "4.17", "code", _judge_later, FUNCTION,
            (
                ("생성기를 하나 만들고 두 번 뽑으세요.", "Make one generator and draw twice."),
                ("먼저 `torch.randn(skip, generator=generator)`를 뽑아서 버려요.", "First draw `torch.randn(skip, generator=generator)` and throw it away."),
                ("`generator = torch.Generator().manual_seed(seed)`, `torch.randn(skip, generator=generator)`, 그다음 "
                 "`return torch.randn(count, generator=generator)`예요.",
                 "`generator = torch.Generator().manual_seed(seed)`, `torch.randn(skip, generator=generator)`, then "
                 "`return torch.randn(count, generator=generator)`"),
            ),
            {
                "all": ("앞의 skip개도 함께 돌려주고 있어요.", "You also return the first skip numbers."),
                "shape": ("수 count개를 돌려주세요.", "Return count numbers."),
                "random": ("부를 때마다 달라요. 뽑을 때 generator를 넘겼나요?", "Every call differs; did you hand the generator over when drawing?"),
                "fresh": ("그건 처음 count개예요. skip개를 먼저 뽑아야 해요.", "Those are the first count numbers; draw skip numbers before."),
                "seed": ("시드를 더하는 것은 생성기를 앞으로 보내는 것과 달라요.", "Adding to the seed is not moving the generator on."),
            },
        ),
        Question(
            "4.18", "recall", choice("b", "abc"), LETTER,
            (
                ("같은 수인 것은 더하는 노이즈의 일부뿐이고, 그 노이즈는 약해요.", "Only a part of the added noise is the same, and that noise is weak."),
                ("아래 그래프에서 o와 다른 두 표시의 높이를 비교하세요.", "Compare the height of the o with the other two marks in the plot below."),
                ("답은 b예요.", "It is b."),
            ),
            {
                "a": ("그럴듯하지만, 아래 그래프의 o는 그렇게 낮지 않아요.", "It sounds plausible, but the o in the plot below is not that low."),
                "c": ("아래 그래프의 o는 그렇게 높지 않아요.", "The o in the plot below is not that high."),
            },
        ),
    ]
)  # fmt: skip
