"""Speed of fastgd beside its peers, side by side in one run: ``pytest benchmarks``; a group: ``-k networks``."""
