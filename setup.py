"""What the wheel holds beside the package: the rules, config and printed numbers that a project of
one's own takes over (`tsgbench init`). A clone has them at its top, where the code then finds them.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PARTS = ("Snakefile", "workflow", "config", "published", "envs", "profiles/default")


class WithProject(build_py):
    """Copies the project's own files to `tsgbench/project`."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "tsgbench", "project")
        shutil.rmtree(target, ignore_errors=True)
        for part in map(Path, PARTS):
            if part.is_dir():
                shutil.copytree(part, target / part)
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy2(part, target / part)


setup(cmdclass={"build_py": WithProject})
