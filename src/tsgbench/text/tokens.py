"""The tokenisers of the papers' lineages, by name.

`nltk_punct` follows NLTK's `word_tokenize` (Treebank rules) on lower-cased text; it was compared
with NLTK 3.10 on 107,000 real sentences: none of Charades-STA or TACoS differs and 6 of ActivityNet
Captions do, all around nested quotes. It also ends a sentence inside a query ("... the drawer. He
...") as NLTK's sentence splitter does, which the Treebank rules alone would not.
"""

import re
import string
from collections.abc import Callable

from tsgbench.errors import UserError

# Always a token of its own, wherever it stands.
_ALONE = r"""[][(){}<>;@\#$%&?!“”«»„‘’`]"""
# Where a contraction may end: before punctuation, a blank or the end of the text.
_END = r"""(?=[][(){}<>;,:?!“”«»’]|''|\.*(?:\s|$))"""
_BREAK = rf"""
    \.{{2,}} | --+
  | `` | '' | {_ALONE}
  | [:,](?!\d)                                              # but 10,000 and 4:30 stay whole
  | (?<!\b(?:mr|dr|st|vs))(?<!\bmrs)(?<!\.\w)\.(?=[])}}>"'”»]*(?:\s|$))      # a sentence's end
  | (?<!\S)'(?=\w)(?!(?:s|m|d|t|ll|re|ve|tis|twas)\b)       # an opening single quote
  | (?<=\w)n't{_END}
  | (?<=[^\s'])'(?:s|m|d|ll|re|ve)?{_END}
"""
_TOKEN = re.compile(rf"{_BREAK} | (?:(?!{_BREAK})\S)+", re.VERBOSE)
_OPENING_QUOTE = re.compile(r'(?<![^\s([{<])"')
_COMPOUNDS = {
    "cannot": ["can", "not"],
    "gimme": ["gim", "me"],
    "gonna": ["gon", "na"],
    "gotta": ["got", "ta"],
    "lemme": ["lem", "me"],
    "wanna": ["wan", "na"],
}
_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)
_CMIN_PUNCTUATION = frozenset(".?,()")


def nltk_punct(sentence: str) -> list[str]:
    """Treebank tokens of the lower-cased sentence, punctuation kept (SeqPAN)."""
    text = _OPENING_QUOTE.sub("``", sentence.lower()).replace('"', "''")
    return [word for token in _TOKEN.findall(text) for word in _COMPOUNDS.get(token, [token])]


def nltk_drop_punct(sentence: str) -> list[str]:
    """As `nltk_punct`, without the tokens . ? , ( ) (the CMIN lineage: IA-Net, FIAN, FSAN)."""
    return [word for word in nltk_punct(sentence) if word not in _CMIN_PUNCTUATION]


def strip_punct(sentence: str) -> list[str]:
    """Lower-cased, ASCII punctuation deleted, split at blanks (the LGI lineage: CMA)."""
    return sentence.lower().translate(_DELETE_PUNCTUATION).split()


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    tokenizer.__name__: tokenizer for tokenizer in (nltk_punct, nltk_drop_punct, strip_punct)
}


def tokenize(sentence: str, tokenizer: str) -> list[str]:
    """Words of one sentence; `UserError` for an unknown tokeniser."""
    return find_tokenizer(tokenizer)(sentence)


def find_tokenizer(name: str) -> Callable[[str], list[str]]:
    """The tokeniser function of this name; `UserError` if there is none."""
    if name not in TOKENIZERS:
        raise UserError(f"tokenizer: unknown name {name!r}; use one of {sorted(TOKENIZERS)}")
    return TOKENIZERS[name]
