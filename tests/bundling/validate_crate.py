"""What the public validator says of a crate, as JSON: `validate_crate.py CRATE PROFILE SEVERITY`.

Runs in the environment of `make validators`. The validator asks the web for RO-Crate's context,
which lies in the package `rocrate`, too; nothing else is asked for, so that this works offline.
"""

import json
import sys
from importlib.resources import files
from pathlib import Path

import requests
from rocrate_validator import services
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.utils.http import HttpRequester

CONTEXT = (files("rocrate") / "data" / "ro-crate.jsonld").read_bytes()


def answer(_, url: str, **__) -> requests.Response:
    found = requests.Response()
    found.url, found.status_code = url, 404
    if url == json.loads(CONTEXT)["@id"]:
        found.status_code, found._content = 200, CONTEXT
        found.headers["Content-Type"] = "application/ld+json"
    return found


HttpRequester.get = answer
said = sys.stdout
sys.stdout = sys.stderr  # where the validator may say what it likes
result = services.validate(
    ValidationSettings(
        rocrate_uri=Path(sys.argv[1]),
        profile_identifier=sys.argv[2],
        requirement_severity=Severity[sys.argv[3]],
        skip_availability_check=True,
    )
)
issues = [
    {
        "check": issue.check.identifier,
        "severity": issue.severity.name,
        "message": issue.message,
        "entity": issue.violatingEntity,
    }
    for issue in result.get_issues()
]
print(
    json.dumps({"profile": sys.argv[2], "passed": result.passed(), "issues": issues}, indent=1),
    file=said,
)
