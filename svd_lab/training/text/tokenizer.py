"""The text miniature's tokenizer, a genuine CLIPTokenizer with its own vocabulary, and the list of the words that it knows.

python -m svd_lab.training.text.tokenizer svd_lab/mini/text      # rewrite words.json after the world has changed
"""

import argparse
import json
import re
from functools import cache
from pathlib import Path
from random import Random

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import CLIPTokenizer

from svd_lab.mini.lexicon import split_words
from svd_lab.training.text import place_words as words
from svd_lab.training.text.captions import ENGLISH, KOREAN, caption, plural
from svd_lab.training.text.scene_grammar import draw_scene, place_words, things

SIZE, LENGTH = 2816, 77  # tokens of the vocabulary, and of a prompt with its start and end
START, END = "<|startoftext|>", "<|endoftext|>"

# How CLIP splits text into words.
CLIP_PIECES = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

FUNCTION_EN = "a an the of and with in on at by to is are this there show me please draw make s photo photograph picture image drawing painting illustration portrait close up view scene two pair 2 small tiny little big large huge"  # noqa: E501
FUNCTION_KO = "사진 그림 이미지 그려줘 보여줘 모습 풍경 있는 있다 두 2 들 작은 큰 커다란 그리고 하고 배경 마리 명 대 척 송이 그루 권 개 한 위 아래 옆 속 앞"  # noqa: E501


@cache
def known_words() -> frozenset[str]:
    """Every word that changes a picture, and the function words between them."""
    text = [
        FUNCTION_EN,
        FUNCTION_KO,
        *words.COLOURS,
        *(c[0] for c in words.COLOURS.values()),
        *words.COLOURS_KO.values(),
    ]
    for thing in things():
        text += [*thing.en, *map(plural, thing.en), *thing.ko]
    text += [phrase for lists in place_words().values() for part in lists for phrase in part]
    text += [re.sub(r"\{[^}]*\}", " ", t) for table in (ENGLISH, KOREAN) for ways in table.values() for t in ways]
    return frozenset(split_words(" ".join(text)))


@cache
def style_words() -> frozenset[str]:
    """Words of style and mood that training mixes into captions and that change nothing."""
    text = [words.STYLE_EN, words.STYLE_KO, words.ADJECTIVES_EN, words.ADJECTIVES_KO]
    return frozenset(split_words(" ".join(text))) - known_words()


def names(language: str) -> dict[str, list[str]]:
    """The first name of each of the "things", "colours" and "places" in "en" or "ko"."""
    colours = list(words.COLOURS) if language == "en" else [row[0] for row in words.COLOURS.values()]
    places = [lists[0 if language == "en" else 2][0] for lists in place_words().values()]
    return dict(things=sorted(getattr(t, language)[0] for t in things()), colours=colours, places=places)


def write_words(folder: str | Path) -> Path:
    """Write words.json, which `svd_lab.mini.lexicon` reads: known words, words of style, and names. Returns its path."""
    words_file = Path(folder) / "words.json"
    content = {
        "known": sorted(known_words()),
        "style": sorted(style_words()),
        "names": {language: names(language) for language in ("en", "ko")},
    }
    words_file.write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    return words_file


def _corpus() -> list[str]:
    """The texts that the vocabulary is fitted to: captions in both languages, names, words of style. Always the same."""
    rng, out = Random(0), []
    for _ in range(12000):
        scene = draw_scene(rng)
        out += [caption(scene, rng, "en", plain=True), caption(scene, rng, "ko", plain=True)]
    extra = [words.STYLE_EN, words.STYLE_KO, words.ADJECTIVES_EN, words.ADJECTIVES_KO, words.WORDS_EN, words.WORDS_KO]
    for thing in things():  # every name, often enough to become few tokens
        out += [*thing.en, *map(plural, thing.en), *thing.ko] * 30
    for lists in place_words().values():
        out += [phrase for part in lists for phrase in part] * 30
    for text in extra:
        out += text.replace("|", " ").split() * 12
    return out


def _byte_level_bpe(vocab: dict[str, int] | None = None, merges: list[tuple[str, str]] | None = None) -> Tokenizer:
    """A tokenizer that normalises and splits text as CLIP's does, with this vocabulary or none."""
    model = models.BPE(
        vocab=vocab, merges=merges, end_of_word_suffix="</w>", unk_token=END, continuing_subword_prefix=""
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CLIP_PIECES), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def write_tokenizer(folder: str | Path, size: int = SIZE) -> Path:
    """Fit byte-level BPE to the captions and write what CLIPTokenizer.from_pretrained reads, and words.json.

    Text is lower-cased, Hangul composed (NFC). Unknown words, in any script, are split into pieces, in the end into bytes; no text
    is an error. Takes 3 s and gives the same result every time.

    Args:
        folder: Where to write; created if it is missing.
        size: Tokens in the vocabulary.

    Returns:
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fitted, letters = _byte_level_bpe(), sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size, end_of_word_suffix="</w>", initial_alphabet=letters, show_progress=False, special_tokens=[]
    )
    fitted.train_from_iterator(_corpus(), trainer)
    merges = [tuple(m) for m in json.loads(fitted.to_str())["model"]["merges"]][: size - 514]
    # In CLIP's order: every byte, every byte at the end of a word, the merged tokens, start and end.
    names = dict.fromkeys([*letters, *(x + "</w>" for x in letters), *("".join(m) for m in merges)])
    vocab = {name: i for i, name in enumerate([*names, START, END])}
    tokenizer = _byte_level_bpe(vocab, merges)
    tokenizer.add_special_tokens([START, END])
    tokenizer.post_processor = processors.RobertaProcessing((END, vocab[END]), (START, vocab[START]), False, False)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(m) for m in merges), ""]
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
    config = dict(
        tokenizer_class="CLIPTokenizer", bos_token=START, eos_token=END, pad_token=END, unk_token=END, model_max_length=LENGTH,
        do_lower_case=True, add_prefix_space=False, errors="replace",
    )  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    write_words(folder)
    return folder


def load_tokenizer(folder: str | Path) -> CLIPTokenizer:
    """The tokenizer of a folder that `write_tokenizer` wrote."""
    return CLIPTokenizer.from_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the text miniature's folder")
    print(write_words(parser.parse_args().folder))


if __name__ == "__main__":
    main()
