"""`tsgbench sources --check`: whether the sources' addresses still answer."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from tsgbench.cli import bars
from tsgbench.cli.sources import close_over_needs
from tsgbench.downloads import reachability
from tsgbench.downloads.reachability import FINE, NO_NETWORK, Answer


def check(sources: dict[str, dict], folder: Path, names: Iterable[str] | None) -> list[Answer]:
    """Ask every address of the sources, or of the named ones with what they need; note the answers
    in `folder`, where downloads lie."""
    chosen = sources if names is None else close_over_needs(sources, names)
    asked = reachability.list_addresses(
        sources, [name for name in sources if name in chosen], folder
    )
    answers = reachability.ask_all(asked, track=bars.of_total("asking"))
    reachability.write_answers(folder, answers)
    return answers


def lost(answers: list[Answer]) -> list[str]:
    """The sources of which no address answered well."""
    fine = {answer.source for answer in answers if answer.state in FINE}
    return [name for name in dict.fromkeys(one.source for one in answers) if name not in fine]


def as_json(answers: list[Answer]) -> list[dict]:
    """The answers for programs."""
    return [asdict(answer) for answer in answers]


def as_text(answers: list[Answer], folder: Path) -> str:
    """An address a line, by source, and what that means."""
    lines = []
    for source in dict.fromkeys(answer.source for answer in answers):
        lines.append(f"{source}:")
        lines += [
            f"  {one.state:11}{one.address}{f' ({one.said})' if one.said else ''}"
            for one in answers
            if one.source == source
        ]
    days = " to ".join(dict.fromkeys((answers[0].date, answers[-1].date))) if answers else "never"
    gone = lost(answers)
    states = {answer.state for answer in answers}
    counted = [f"{sum(one.state == state for one in answers)} {state}" for state in sorted(states)]
    lines.append(
        f"{days}: {', '.join(counted) or 'no address'}; noted in {folder / reachability.TABLE}"
    )
    if states == {NO_NETWORK}:
        lines.append("No address answered: no network here, so nothing is known of any of them.")
    elif gone:
        lines.append(f"without any address that answers: {', '.join(gone)}")
    return "\n".join(lines)
