"""Config files: what is known (models, data sets, features, sources) and the check of a study.

A wrong setting is refused here, before the first job, in one sentence that names the file, the
field, the value and what is allowed. `sections/` states, once, what each section may hold; the
schemas for editors and docs/settings.md are written from it (`tsgbench schemas`).

No training reads the checks: what it shares with them is `tsgbench.settings`.
"""

from tsgbench.config.adopted import expand_adopted, note_of_adopted
from tsgbench.config.catalogue import Catalogue
from tsgbench.config.own import expand_own
from tsgbench.config.reading import read_yaml
from tsgbench.config.references import check_protocols
from tsgbench.config.studies import (
    check_study,
    default_study,
    export_study,
    extend_study,
    find_study,
    load_study,
    mirror_of,
    others_here,
    studies_here,
)
from tsgbench.config.values import (
    ALL,
    HEADLINE,
    OWN_FEATURES,
    PRINTED,
    as_list,
    maker_of,
    merge,
    protocols_of,
    roles_of,
)
from tsgbench.config.variants import expand_variants, is_variant
from tsgbench.settings import LAST

__all__ = [
    "ALL",
    "HEADLINE",
    "LAST",
    "OWN_FEATURES",
    "PRINTED",
    "Catalogue",
    "as_list",
    "check_protocols",
    "check_study",
    "default_study",
    "expand_adopted",
    "expand_own",
    "expand_variants",
    "export_study",
    "extend_study",
    "find_study",
    "is_variant",
    "load_study",
    "maker_of",
    "merge",
    "mirror_of",
    "note_of_adopted",
    "others_here",
    "protocols_of",
    "read_yaml",
    "roles_of",
    "studies_here",
]
