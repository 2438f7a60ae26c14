# Raw data: files from upstream or a mirror, videos rendered or joined by code, annotations as one table.


use rule job as fetch with:
    input:
        unpack(reads("download", ...)),
    output:
        record=RECORDS["download"],
    log:
        LOGS["download"],
    benchmark:
        BENCHMARKS["download"]
    wildcard_constraints:
        source=planned("download", "source"),
    resources:
        **reserves("download", mem_mb=500, runtime=720),
    params:
        **runs("download"),
    message:
        "Downloading {wildcards.source}"


use rule job as render with:
    input:
        unpack(reads("render")),
    output:
        record=RECORDS["render"],
    log:
        LOGS["render"],
    benchmark:
        BENCHMARKS["render"]
    wildcard_constraints:
        dataset=planned("render", "dataset"),
    threads: reserved("render", "threads", 2)
    resources:
        **reserves("render", mem_mb=1500),
    params:
        **runs("render"),
    message:
        "Rendering the videos of {wildcards.dataset}"


use rule job as join with:
    input:
        unpack(reads("join", "sentences", "videos")),
    output:
        record=RECORDS["join"],
    log:
        LOGS["join"],
    benchmark:
        BENCHMARKS["join"]
    wildcard_constraints:
        dataset=planned("join", "dataset"),
    threads: reserved("join", "threads", 2)
    resources:
        **reserves("join", mem_mb=1500),
    params:
        **runs("join"),
    message:
        "Joining the videos of {wildcards.dataset}"


# One's own annotations and videos, which stay where they are
use rule job as gather with:
    input:
        unpack(reads("gather")),
    output:
        record=RECORDS["gather"],
    log:
        LOGS["gather"],
    benchmark:
        BENCHMARKS["gather"]
    wildcard_constraints:
        dataset=planned("gather", "dataset"),
    threads: reserved("gather", "threads", 2)
    resources:
        **reserves("gather", runtime=120),
    params:
        **runs("gather"),
    message:
        "Gathering the files of {wildcards.dataset}"


use rule job as annotations with:
    input:
        unpack(reads("annotations", ...)),
    output:
        record=RECORDS["annotations"],
    log:
        LOGS["annotations"],
    benchmark:
        BENCHMARKS["annotations"]
    resources:
        **reserves("annotations"),
    params:
        **runs("annotations"),
    message:
        "Reading the annotations of {wildcards.dataset}"
