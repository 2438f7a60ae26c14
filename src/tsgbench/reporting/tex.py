"""Plain text as LaTeX."""

import unicodedata

SPECIAL = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "{}$&#%_"},
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "×": r"$\times$",
    "−": r"$-$",
    "—": "---",
    "–": "--",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "…": r"\dots{}",
    "≠": r"$\neq$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "θ": r"$\theta$",
    "\n": " ",
}


def escape(text: str) -> str:
    """Plain text as LaTeX that pdflatex accepts, whatever the text.

    Latin letters keep their accents; a character of another script becomes its code, `U+4E00`.
    """
    return "".join(SPECIAL.get(character) or _latin(character) for character in text)


def _latin(character: str) -> str:
    if character.isascii() and character.isprintable():
        return character
    base, *accents = list(unicodedata.normalize("NFD", character))
    if base.isascii() and base.isalpha() and accents and ord(character) < 0x180:
        return character
    return f"U+{ord(character):04X}"
