# Features: clips of every video through an extractor, then centred, standardised and projected; or
# as others released them.


# A part of the videos, for the extraction to go on from, or for several, which share each video that is
# decoded. How many there are decides nothing of the results, so that the plan does not know them: they
# run where extractions are due, and leave nothing.
use rule job as extract_shard with:
    input:
        unpack(reads_of_pass),
    output:
        temp(touch(SHARD)),
    log:
        LOGS["extract"].replace(".log", ".shards/{identity}.{shard}.log"),
    benchmark:
        BENCHMARKS["extract"].replace(".tsv", ".shards/{identity}.{shard}.tsv")
    wildcard_constraints:
        clips="[a-z0-9_+]+",
        identity="[0-9a-f]+",
        shard=r"\d+-of-\d+",
    threads: side_by_side("threads", 2)
    resources:
        **reserves("extract", gpu=1, runtime=1440) | {"mem_mb": side_by_side("mem_mb", 8000)},
    params:
        job=lambda wildcards, output: (
            f"extract {wildcards.dataset}/{wildcards.clips} --shard {wildcards.shard}"
        ),
        identity=lambda wildcards, output: wildcards.identity,
    message:
        "Extracting {wildcards.clips} from the videos of {wildcards.dataset}, {wildcards.shard}"


use rule job as extract with:
    input:
        unpack(reads("extract", "annotations", "videos", "checkpoint")),
        shards=shards_of,
    output:
        **makes("extract", "record", "features", "failed"),
    log:
        LOGS["extract"],
    benchmark:
        BENCHMARKS["extract"]
    threads: reserved("extract", "threads", 2)
    resources:
        **reserves("extract", gpu=1, mem_mb=8000, runtime=1440),
    params:
        **runs("extract"),
    message:
        "Extracting {wildcards.clips} from the videos of {wildcards.dataset}"


use rule job as reduce with:
    input:
        unpack(reads("reduce", "annotations", "clips")),
    output:
        **makes("reduce", "record", "features"),
    log:
        LOGS["reduce"],
    benchmark:
        BENCHMARKS["reduce"]
    wildcard_constraints:
        features=planned("reduce", "features"),
    threads: reserved("reduce", "threads", 2)
    resources:
        **reserves("reduce", mem_mb=4000, runtime=120),
    params:
        **runs("reduce"),
    message:
        "Reducing {wildcards.features} of {wildcards.dataset}"


use rule job as released with:
    input:
        unpack(reads("released", "annotations", "released", "vectors")),
    output:
        **makes("released", "record", "features", "failed"),
    log:
        LOGS["released"],
    benchmark:
        BENCHMARKS["released"]
    wildcard_constraints:
        features=planned("released", "features"),
    resources:
        **reserves("released", mem_mb=2000, runtime=240),
    params:
        **runs("released"),
    message:
        "Reading the released features {wildcards.features} of {wildcards.dataset}"


use rule job as blank with:
    input:
        unpack(reads("blank", "annotations")),
    output:
        **makes("blank", "record", "features"),
    log:
        LOGS["blank"],
    benchmark:
        BENCHMARKS["blank"]
    wildcard_constraints:
        features=planned("blank", "features"),
    resources:
        **reserves("blank"),
    params:
        **runs("blank"),
    message:
        "Writing the time axis of {wildcards.dataset}, without video"
