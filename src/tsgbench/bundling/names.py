"""What a bundle adds to a project's files is called so, and what it looks for among these."""

CRATE = "ro-crate-metadata.json"
PREVIEW = "ro-crate-preview.html"
README = "README.md"
CODEMETA = "codemeta.json"
CHECKLIST = "checklist.md"
COMPUTE = "compute.md"
COMPUTE_JSON = "compute.json"
LICENCES = "licences.md"
STUDY = "study.json"
CROISSANT = "croissant"
LOCK = "envs/requirements.lock"  # of the project; in a wheel, of what it holds of one

ABOUT = {
    CHECKLIST: "Reproducibility checklist, answered from facts",
    COMPUTE: "Compute report: hours by phase and model, hardware",
    COMPUTE_JSON: "Compute report, for programs",
    LICENCES: "Terms of use of code, data and weights",
    STUDY: "The study: its configuration, with all that it takes over",
    CODEMETA: "CodeMeta of the code",
    PREVIEW: "This bundle as a page",
    README: "What is in the bundle, and how to check and repeat it",
}
