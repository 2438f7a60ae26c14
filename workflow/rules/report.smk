# What people read: tables, figures, findings, and the files behind `dvc metrics` and
# `dvc plots`.

# Files of tables and figures look alike: what is not planned as a figure is asked of the tables,
# where a wrong name gets an answer that helps
A_TABLE = rf"(?!(?:{planned('figure', 'figure')})[.]){REPORT}"


# Says whose it is and how to get it, where Snakemake would say that no rule makes it
rule of_another_study:
    input:
        refuse,
    output:
        f"{RESULTS}/{{elsewhere}}",
    wildcard_constraints:
        elsewhere=foreign_results(STUDY.name, STUDY.catalogue.published),


use rule job as statistics with:
    input:
        unpack(reads("statistics", "queries", ...)),
    output:
        record=report(
            RECORDS["statistics"],
            category="Data",
            caption="../report/statistics.rst",
            labels={"data set": "{dataset}", "study": STUDY.name},
        ),
    log:
        LOGS["statistics"],
    benchmark:
        BENCHMARKS["statistics"]
    resources:
        **reserves("statistics"),
    params:
        **runs("statistics"),
    message:
        "Counting what papers print about {wildcards.dataset}"


use rule job as table with:
    input:
        unpack(reads("table", "run", "metrics", "statistics", "efficiency")),
    output:
        record=RECORDS["table"],
        html=report(
            FILES["table"]["html"],
            category="Tables",
            subcategory=paper_of("table"),
            caption="../report/table.rst",
            labels=shown_as("table", "page"),
        ),
        tex=report(
            FILES["table"]["tex"],
            category="Tables",
            subcategory=paper_of("table"),
            caption="../report/table.rst",
            labels=shown_as("table", "LaTeX"),
        ),
        csv=FILES["table"]["csv"],
        markdown=FILES["table"]["markdown"],
        provenance=FILES["table"]["provenance"],
    log:
        LOGS["table"],
    benchmark:
        BENCHMARKS["table"]
    wildcard_constraints:
        table=rf"(?!report[.]){A_TABLE}",
    group:
        REPORTS
    resources:
        **reserves("table", runtime=10, small=1),
    params:
        **runs("table"),
    message:
        "Writing {wildcards.table}"


use rule job as figure with:
    input:
        unpack(
            reads("figure", "annotations", "run", "metrics", "inspection", "videos", "statistics")
        ),
    output:
        record=RECORDS["figure"],
        pdf=FILES["figure"]["pdf"],
        png=report(
            FILES["figure"]["png"],
            category="Figures",
            subcategory=paper_of("figure"),
            caption="../report/figure.rst",
            labels=shown_as("figure", "picture"),
        ),
        csv=FILES["figure"]["csv"],
    log:
        LOGS["figure"],
    benchmark:
        BENCHMARKS["figure"]
    wildcard_constraints:
        figure=planned("figure", "figure"),
    group:
        REPORTS
    resources:
        **reserves("figure", runtime=10, small=1),
    params:
        **runs("figure"),
    message:
        "Drawing {wildcards.figure}"


use rule job as findings with:
    input:
        unpack(reads("findings", "run", "metrics", "statistics")),
    output:
        record=RECORDS["findings"],
        markdown=report(
            FILES["findings"]["markdown"],
            category="Findings",
            caption="../report/findings.rst",
            labels={"study": STUDY.name},
        ),
    log:
        LOGS["findings"],
    benchmark:
        BENCHMARKS["findings"]
    group:
        REPORTS
    resources:
        **reserves("findings", runtime=10, small=1),
    params:
        **runs("findings"),
    message:
        "Writing what the numbers of this study show"


use rule job as summary with:
    input:
        unpack(reads("summary", "run", "metrics")),
    output:
        **makes("summary", "record", "learning", "systems", "vega"),
    log:
        LOGS["summary"],
    benchmark:
        BENCHMARKS["summary"]
    group:
        REPORTS
    resources:
        **reserves("summary", runtime=10, small=1),
    params:
        **runs("summary"),
    message:
        "Writing metrics and curves for DVC"


use rule job as report with:
    input:
        unpack(reads("report", "table", "figure", "findings", "statistics")),
    output:
        record=RECORDS["report"],
        html=report(
            FILES["report"]["html"],
            category="Report",
            caption="../report/report.rst",
            labels={"study": STUDY.name, "file": "page"},
        ),
        tex=FILES["report"]["tex"],
    log:
        LOGS["report"],
    benchmark:
        BENCHMARKS["report"]
    group:
        REPORTS
    resources:
        **reserves("report", mem_mb=2000, runtime=10, small=1),
    params:
        **runs("report"),
    message:
        "Putting all tables and figures on one page"


use rule job as pdf with:
    input:
        unpack(typeset),
    output:
        record=RECORDS["pdf"],
        pdf=report(
            FILES["pdf"]["pdf"],
            category=lambda wildcards: "Report" if wildcards.document == "report" else "Tables",
            subcategory=paper_of("document"),
            caption="../report/table.rst",
            labels=shown_as("document", "PDF"),
        ),
    log:
        LOGS["pdf"],
    benchmark:
        BENCHMARKS["pdf"]
    wildcard_constraints:
        document=A_TABLE,
    resources:
        **reserves("pdf", mem_mb=2000),
    params:
        **runs("pdf"),
    message:
        "Compiling {wildcards.document} to PDF"
