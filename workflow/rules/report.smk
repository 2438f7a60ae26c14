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


rule statistics:
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
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("statistics", "mem_mb", 1000),
        runtime=reserved("statistics", "runtime", 30),
    params:
        identity=identity("statistics"),
    message:
        "Counting what papers print about {wildcards.dataset}"
    shell:
        "tsgbench job statistics {wildcards.dataset} --identity {params.identity} > {log} 2>&1"


rule table:
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
        table=A_TABLE,
    group:
        REPORTS
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("table", "mem_mb", 1000),
        runtime=reserved("table", "runtime", 10),
        small=1,
    params:
        identity=identity("table"),
    message:
        "Writing {wildcards.table}"
    shell:
        "tsgbench job table {wildcards.table} --identity {params.identity} > {log} 2>&1"


rule figure:
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
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("figure", "mem_mb", 1000),
        runtime=reserved("figure", "runtime", 10),
        small=1,
    params:
        identity=identity("figure"),
    message:
        "Drawing {wildcards.figure}"
    shell:
        "tsgbench job figure {wildcards.figure} --identity {params.identity} > {log} 2>&1"


rule findings:
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
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("findings", "mem_mb", 1000),
        runtime=reserved("findings", "runtime", 10),
        small=1,
    params:
        identity=identity("findings"),
    message:
        "Writing what the numbers of this study show"
    shell:
        "tsgbench job findings cells --identity {params.identity} > {log} 2>&1"


rule summary:
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
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("summary", "mem_mb", 1000),
        runtime=reserved("summary", "runtime", 10),
        small=1,
    params:
        identity=identity("summary"),
    message:
        "Writing metrics and curves for DVC"
    shell:
        "tsgbench job summary cells --identity {params.identity} > {log} 2>&1"


rule report:
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
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("report", "mem_mb", 2000),
        runtime=reserved("report", "runtime", 10),
        small=1,
    params:
        identity=identity("report"),
    message:
        "Putting all tables and figures on one page"
    shell:
        "tsgbench job report study --identity {params.identity} > {log} 2>&1"


rule pdf:
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
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("pdf", "mem_mb", 2000),
        runtime=reserved("pdf", "runtime", 30),
    params:
        identity=identity("pdf"),
    message:
        "Compiling {wildcards.document} to PDF"
    shell:
        "tsgbench job pdf {wildcards.document} --identity {params.identity} > {log} 2>&1"
