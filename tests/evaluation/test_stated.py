"""Moments stated in words, as language models word them."""

import time

import pytest

from tsgbench.evaluation.stated import stated_moments

SAID = {
    "The event happens in 24.3 - 30.4 seonds.": [(24.3, 30.4)],
    "The event happens in 0.0 - 5.0 seconds.": [(0.0, 5.0)],
    "It is from 12s to 20.5s.": [(12.0, 20.5)],
    "between 3 and 8 seconds": [(3.0, 8.0)],
    "[30.4, 24.3]": [(24.3, 30.4)],
    r"\boxed{[00:12, 01:15]}": [(12.0, 75.0)],
    "10–20 s and then 40–50 s": [(10.0, 20.0), (40.0, 50.0)],
    "starts at 00:00:18 and ends at 00:01:23.5": [(18.0, 83.5)],
    "The start time for this event is 0 seconds, and the end time is 12 seconds.": [(0.0, 12.0)],
    "Starting time: 0.8 seconds\nEnding time: 1.1 seconds": [(0.8, 1.1)],
    "24.3s, 30.4s": [(24.3, 30.4)],
    "<think>first 1 - 2</think> so <answer>3 - 4</answer>": [(3.0, 4.0)],
    "<answer>1 - 2</answer> or rather <answer>3 - 4</answer>": [(3.0, 4.0)],
    "thought 1 - 2 </think> 5 - 6": [(5.0, 6.0)],
    "5-5": [(5.0, 5.0)],
    "[24,30]": [(24.0, 30.0)],
    "(2.5,8.1)": [(2.5, 8.1)],
    # Decimal commas, thousands, versions: half of such a number would be another one
    "from 2,5 s to 8,1 s": [],
    "It lasts from 24,3 to 30,4 seconds.": [],
    "between 1,000 and 2,000 seconds": [],
    "2.5.1 - 8.1.2": [],
    "at 3 seconds, then 2,5": [],
    "I see 2 men.": [],
    "The event does not occur.": [],
    "clip_3 - 4": [],
    "": [],
}


@pytest.mark.parametrize("text", SAID)
def test_what_a_text_states(text):
    assert stated_moments(text) == SAID[text]


@pytest.mark.parametrize(
    "piece", ["1", "1 ", "1:", "start 1", "<answer>", "<think>", "(", "1-", " "]
)
def test_no_text_takes_long(piece):
    started = time.perf_counter()
    stated_moments(piece * 1_000_000)
    assert time.perf_counter() - started < 5
