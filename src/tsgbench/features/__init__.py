"""From video files, or what others released, to one feature file per data set.

`video` decodes; a network's module (`c3d`, `i3d`, `vgg16`, …) says how it sees; `extract` feeds it;
`reduce` projects; `released` reads the files of others; `store` is the feature file.
"""
