"""A cell as MLflow loads it: `mlflow.pyfunc.load_model("models:/ID").predict(table)`.

The model in the store names the cell (tracking/models.py); the cell itself stays where it is, and
is asked as `tsgbench ground` asks it.
"""

import json
from dataclasses import astuple
from typing import TYPE_CHECKING

from tsgbench.errors import UserError
from tsgbench.grounding.cell import TOP, Cell, load

if TYPE_CHECKING:
    from pandas import DataFrame


class Grounder:
    """Answers tables of questions with one cell."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    def predict(self, questions: "DataFrame", params: dict | None = None) -> "DataFrame":
        """The best moments of each row, best first: `video`, `sentence`, `rank`, `start_s`,
        `end_s`, `score`. `UserError` for a video that cannot be read.

        questions: columns `video`, a file, and `sentence`; each video is decoded once.
        params: `top`, how many moments of a row (5).
        """
        from pandas import DataFrame

        top = int((params or {}).get("top", TOP))
        asked = list(zip(questions["video"], questions["sentence"], strict=True))
        answers = {}
        for video in dict.fromkeys(video for video, _ in asked):
            sentences = list(dict.fromkeys(text for other, text in asked if other == video))
            with self.cell.encode([video]) as videos:
                for answer in self.cell.ground(videos, sentences, top=top):
                    answers[video, answer.sentence] = answer.moments
        return DataFrame(
            [(*row, *astuple(moment)) for row in asked for moment in answers[row]],
            columns=["video", "sentence", "rank", "start_s", "end_s", "score"],
        )


def _load_pyfunc(path: str) -> Grounder:
    """What MLflow calls. path: the model's `cell.json`. `UserError` if the cell is no longer it."""
    with open(path, encoding="utf-8") as stream:
        entry = json.load(stream)
    cell = load(entry["folder"])
    if cell.parts.run.identity != entry["identity"]:
        raise UserError(
            f"{entry['folder']}: trained anew since this model was logged; `tsgbench track` logs"
            " the cell that is there now"
        )
    return Grounder(cell)
