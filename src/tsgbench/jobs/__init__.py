"""What a job is: where its results lie, what it is known by, and the record that says so.

`layout`: the paths of every phase, and the job. `code` and `syntax`: the digest of what a job runs.
`records`: the file beside each result. Nothing here knows a study (`planning/`) or runs a job
(`running/`).
"""
