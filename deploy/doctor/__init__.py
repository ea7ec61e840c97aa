"""Everything that can be wrong: `looking` gathers what there is, `judging` says, without any I/O, what is wrong with it and what to do."""
