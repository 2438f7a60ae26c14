# tsgbench: from raw video to LaTeX tables.
#
#   snakemake --cores 8 results/table1.tex                                         the demo study
#   snakemake --cores 8 results/blind/table1.tex --configfile config/blind.yaml    another study
#   snakemake -n                                                                   what would run
#
# The rules ask one plan (src/tsgbench/planning/study.py) what is made from what; they hold no logic.

from snakemake.utils import min_version

min_version("9.0")


if "study" not in config:

    configfile: "config/demo.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/job.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/text.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        RULE_TARGETS["all"],
        as_pdf(RULE_TARGETS["all"]),


# Every numbered table and figure of the papers, with the cells that only these need
rule papers:
    input:
        RULE_TARGETS["papers"],
        as_pdf(RULE_TARGETS["papers"]),


# Everything that the study takes from elsewhere, and nothing else
rule download:
    input:
        RULE_TARGETS["download"],


# Every cell and every report of the study
rule everything:
    input:
        RULE_TARGETS["everything"],
        as_pdf(RULE_TARGETS["everything"]),


# One target a phase: the grain at which DVC versions the pipeline (dvc.yaml)
rule phase_data:
    input:
        RULE_TARGETS["phase_data"],


rule phase_features:
    input:
        RULE_TARGETS["phase_features"],


rule phase_text:
    input:
        RULE_TARGETS["phase_text"],


rule phase_cells:
    input:
        RULE_TARGETS["phase_cells"],


rule phase_report:
    input:
        RULE_TARGETS["phase_report"],


onstart:
    FRESHNESS.settle_stamp()


# Whatever Snakemake decided: what it was asked for is what this study makes, or the run has failed
onsuccess:
    unmet = (
        []
        if workflow.dag_settings.until or workflow.dag_settings.omit_from
        else FRESHNESS.unmet()
    )
    if unmet:
        raise WorkflowError(
            f"{unmet[0]}: not what this study makes now, though every job ended well"
            f" ({len(unmet)} such results); run the same command again"
        )
    forget({STUDY.identity(record) for record in STUDY.targets("train", "evaluate")})
