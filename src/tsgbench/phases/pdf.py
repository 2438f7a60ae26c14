"""Compile the LaTeX of a table or of the report to a PDF."""

from tsgbench.errors import UserError
from tsgbench.phases import Outcome, Task
from tsgbench.reporting.pdf import compile_pdf


def run(task: Task) -> Outcome:
    """facts: none; the PDF is all there is. `UserError` where TeX is missing or incomplete."""
    document = task.inputs["document"]
    (tex,) = document.files(".tex").values()
    is_made, message = compile_pdf(tex, task.files["pdf"])
    if not is_made:
        raise UserError(message)
    return {}, [task.files["pdf"]]
