# What people read: MLflow runs, tables, figures, findings, and the files behind `dvc metrics` and
# `dvc plots`.

# Files of tables and figures look alike: what is not planned as a figure is asked of the tables,
# where a wrong name gets an answer that helps
A_TABLE = rf"(?!(?:{planned('figure', 'figure')})[.])[a-z0-9_]+(?:/[a-z0-9_]+)?"


rule statistics:
    input:
        inputs("statistics"),
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
        "tsgbench statistics {wildcards.dataset} --identity {params.identity} > {log} 2>&1"


rule track:
    input:
        inputs("track"),
    output:
        record=RECORDS["track"],
    log:
        LOGS["track"],
    benchmark:
        BENCHMARKS["track"]
    wildcard_constraints:
        table=planned("track", "table"),
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("track", "mem_mb", 1000),
        runtime=reserved("track", "runtime", 120),
    params:
        identity=identity("track"),
    message:
        "Logging the cells of {wildcards.table} to MLflow"
    shell:
        "tsgbench track {wildcards.table} --identity {params.identity} > {log} 2>&1"


rule table:
    input:
        inputs("table"),
        # Logged before it is printed
        tracked=tracked,
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
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("table", "mem_mb", 1000),
        runtime=reserved("table", "runtime", 30),
    params:
        identity=identity("table"),
    message:
        "Writing {wildcards.table}"
    shell:
        "tsgbench table {wildcards.table} --identity {params.identity} > {log} 2>&1"


rule figure:
    input:
        inputs("figure"),
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
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("figure", "mem_mb", 1000),
        runtime=reserved("figure", "runtime", 30),
    params:
        identity=identity("figure"),
    message:
        "Drawing {wildcards.figure}"
    shell:
        "tsgbench figure {wildcards.figure} --identity {params.identity} > {log} 2>&1"


rule findings:
    input:
        inputs("findings"),
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
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("findings", "mem_mb", 1000),
        runtime=reserved("findings", "runtime", 30),
    params:
        identity=identity("findings"),
    message:
        "Writing what the numbers of this study show"
    shell:
        "tsgbench findings cells --identity {params.identity} > {log} 2>&1"


rule summary:
    input:
        inputs("summary"),
    output:
        **FILES["summary"],
        record=RECORDS["summary"],
    log:
        LOGS["summary"],
    benchmark:
        BENCHMARKS["summary"]
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("summary", "mem_mb", 1000),
        runtime=reserved("summary", "runtime", 30),
    params:
        identity=identity("summary"),
    message:
        "Writing metrics and curves for DVC"
    shell:
        "tsgbench summary cells --identity {params.identity} > {log} 2>&1"


rule pdf:
    input:
        tex=FILES["table"]["tex"],
    output:
        pdf=report(
            "results/{table}.pdf",
            category="Tables",
            subcategory=paper_of("table"),
            caption="../report/table.rst",
            labels=shown_as("table", "PDF"),
        ),
    log:
        "logs/pdf/{table}.log",
    benchmark:
        "logs/benchmarks/pdf/{table}.tsv"
    wildcard_constraints:
        table=A_TABLE,
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=1000,
        runtime=30,
    params:
        tex=lambda wildcards, input: input.tex,
    message:
        "Compiling {wildcards.table} to PDF"
    shell:
        "tsgbench pdf {params.tex} > {log} 2>&1"


rule report:
    input:
        inputs("report"),
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
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=reserved("report", "mem_mb", 2000),
        runtime=reserved("report", "runtime", 30),
    params:
        identity=identity("report"),
    message:
        "Putting all tables and figures on one page"
    shell:
        "tsgbench report study --identity {params.identity} > {log} 2>&1"


rule report_pdf:
    input:
        tex=FILES["report"]["tex"],
    output:
        pdf=report(
            str(Path(FILES["report"]["tex"]).with_suffix(".pdf")),
            category="Report",
            caption="../report/report.rst",
            labels={"study": STUDY.name, "file": "PDF"},
        ),
    log:
        "logs/report_pdf.log",
    benchmark:
        "logs/benchmarks/report_pdf.tsv"
    conda:
        "../../envs/tsgbench.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=30,
    params:
        tex=lambda wildcards, input: input.tex,
    message:
        "Compiling the report to PDF"
    shell:
        "tsgbench pdf {params.tex} > {log} 2>&1"
