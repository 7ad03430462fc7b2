"""The library of Seg-with-SPN: data, layers, training, inference, labels."""

from segspn import surroundings

surroundings.prepare()
