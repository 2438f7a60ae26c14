"""One archive of what a study's results are, for an artifact committee: `tsgbench bundle`.

`contents` says what goes in and refuses what is not as its record says. From it are written: the
RO-Crate (`crate`), Croissant (`croissant`), CodeMeta and licences (`software`), the compute report
(`compute`) and the checklist (`checklist`); `archive` packs them. No fact comes from elsewhere than
records, study and config, and none from the clock, so that equal results give equal bytes.
"""
