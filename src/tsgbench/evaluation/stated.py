"""Moments that an answer in words states: "The event happens in 24.3 - 30.4 seconds".

Language models answer in text. Read are, in this order, of which the first that is there counts:

1. pairs, as many as there are, in their order: `24.3 - 30.4`, `24.3s to 30.4s`, `between 3 and 8`,
   `[24.3, 30.4]`;
2. a time after "start" or "begin" and the next one after "end", "finish" or "stop";
3. the only two times of the text.

A time is a number of seconds or a clock's, `1:05` or `0:01:05.5`. Numbers with a comma, `2,5`, are
none outside brackets: half of one would be another time. Of a text with `<answer>` the
last answer is read, of any other what stands outside `<think>`. The public evaluators of lmms-eval
and TimeLens read texts likewise, take the first pair, and turn one round whose later time comes
first, as is done here.
"""

import re

NUMBER = r"(?<![\w.:])(\d+(?::\d{1,2}){1,2}(?:\.\d+)?|\d+(?:\.\d+)?)"
UNIT = r"(?:\s?s(?:ecs?|econds?)?\b)?"
TIME = rf"(?<!\d,){NUMBER}(?!\d|[.,]\d){UNIT}"
LISTED = rf"{NUMBER}{UNIT}"
PAIR = re.compile(
    rf"{TIME}\s?(?:->|[-–—−~→]|to|until|till|and)\s?{TIME}"
    rf"|[\[(]\s?{LISTED}\s?,\s?{LISTED}\s?[\])]"
)
FROM_TO = re.compile(
    rf"\b(?:start|begin)[^\d]{{0,60}}?{TIME}.{{0,120}}?\b(?:end|finish|stop)[^\d]{{0,60}}?{TIME}"
)
ANY = re.compile(TIME)
ANSWER = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>")
THOUGHT = re.compile(r"^.*</think>|<think>.*?</think>")
LONGEST = 20_000  # characters from the end that are read: an answer comes last


def stated_moments(text: str) -> list[tuple[float, float]]:
    """(start_s, end_s) of every moment that the text states, the earlier time first."""
    # One blank in place of any: no pattern can then try many
    text = " ".join(text[-LONGEST:].lower().split())
    answers = ANSWER.findall(text)
    text = answers[-1] if answers else THOUGHT.sub(" ", text)
    pairs = [[time for time in match if time] for match in PAIR.findall(text)]
    if not pairs:
        pairs = FROM_TO.findall(text)[:1]
    if not pairs and len(times := ANY.findall(text)) == 2:
        pairs = [times]
    timed = [sorted(map(_seconds, pair)) for pair in pairs]
    return [(start, end) for start, end in timed]


def _seconds(time: str) -> float:
    total = 0.0
    for part in time.split(":"):
        total = 60.0 * total + float(part)
    return total
