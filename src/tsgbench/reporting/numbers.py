"""How a value of a table is written: the digits, marks and words that every form shares.

Writers put their markup around the parts and round nothing themselves.
"""

from dataclasses import dataclass
from functools import cached_property

from tsgbench.reporting.document import Result, Value

NOT_RUN = "—"
PEOPLE = "People (no system)"  # the row of what annotators reach
UNDEFINED = "n/a"
DOUBTFUL = "?"
# Beside a difference: what the printed number is to the reproduced one (document.Verdict)
VERDICT_MARKS = {"within interval": "=", "above": "↑", "below": "↓", "protocol differs": "≠"}
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Shown:
    """A value as text; every part is empty where the table has none."""

    value: Value

    @property
    def mean(self) -> str:
        """Mean of the seeds."""
        return self.digits(self.value.mean)

    @property
    def std(self) -> str:
        """Deviation of the seeds; empty for a single one."""
        return self.digits(self.value.std)

    @property
    def mean_std(self) -> str:
        """`51.00 ± 1.41`."""
        return self.mean + spread(self.std)

    @property
    def seeds(self) -> list[str]:
        """Each seed's number."""
        return [self.digits(seed) for seed in self.value.seeds]

    @property
    def interval(self) -> str:
        """`[46.20, 49.81]`."""
        return self.interval_to(self.value.decimals)

    def interval_to(self, decimals: int) -> str:
        """The interval to other digits than the mean's."""
        if self.value.interval is None:
            return ""
        low, high = self.value.interval
        return f"[{low:.{decimals}f}, {high:.{decimals}f}]"

    @property
    def printed(self) -> str:
        """The paper's number with its own digits."""
        return self.value.published_text or ""

    @property
    def printed_std(self) -> str:
        """The deviation that the paper prints; empty where it prints none."""
        return self.digits(self.value.published_std)

    @property
    def printed_number(self) -> str:
        """`60.00 ± 0.50?`, with the mark of doubt."""
        return self.printed and self.printed + spread(self.printed_std) + self.doubt

    @property
    def quoted(self) -> str:
        """The same, or what stands where the paper has no number."""
        return self.printed_missing or self.printed_number

    @property
    def printed_missing(self) -> str:
        """What stands where the paper has no number."""
        if self.value.published is not None:
            return ""
        return DOUBTFUL if self.value.published_uncertain else UNDEFINED

    @property
    def doubt(self) -> str:
        """The mark behind a printed number that is in doubt."""
        return DOUBTFUL if self.value.published_uncertain else ""

    @cached_property
    def difference(self) -> str:
        """Reproduced minus printed with its sign; no sign where both are written alike."""
        if self.value.difference is None:
            return ""
        text = f"{self.value.difference:+.{self.value.decimals}f}"
        return text[1:] if float(text) == 0 else text

    @property
    def mark(self) -> str:
        """Of the verdict."""
        return VERDICT_MARKS.get(self.value.verdict or "", "")

    @property
    def verdict(self) -> str:
        """In words, with its mark."""
        return f"{self.mark} {self.value.verdict or ''}".strip()

    @property
    def p_value(self) -> str:
        """Three significant digits."""
        return "" if self.value.p_value is None else f"{self.value.p_value:.3g}"

    @property
    def detectable(self) -> str:
        """The smallest difference that the test could find: `5.31 (120 videos)`."""
        if self.value.detectable is None:
            return ""
        return f"{self.digits(self.value.detectable)} ({self.value.test_videos:,} videos)"

    @property
    def star(self) -> str:
        """Behind a number that differs from its reference row's."""
        p_value = self.value.p_value
        return "*" if p_value is not None and p_value < SIGNIFICANT else ""

    def missing(self, result: Result) -> str:
        """What stands where no number was reproduced; empty if one was."""
        if not result.cells:
            return f"{NOT_RUN} not run"
        return UNDEFINED if self.value.mean is None else ""

    def digits(self, number: float | None) -> str:
        """A number with as many decimals as the value has."""
        return "" if number is None else f"{number:.{self.value.decimals}f}"


def spread(std: str) -> str:
    """` ± 1.41`, or nothing."""
    return f" ± {std}" if std else ""
