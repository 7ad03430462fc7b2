"""Which annotated frames a training of a video has, and how it goes on where there are several.

The model of an object is trained on the frame in which it is drawn first, as in the paper.  Where
others say where it is, too, a shorter training of all of them, evenly, begins with that model:
what comes of a set of annotated frames does not depend on the order in which they were drawn.
No Caffe here: jobs of a run read it.
"""

SUFFIX = "_corrected"  # of the names of its prototxts and models
SHARE = 0.5  # of the iterations


def iterations(of_first):
    """How many a correction has, by those of the training before it."""
    return max(1, round(SHARE * of_first))


def solver(fields):
    """Fields of the correction's solver, by all of those of the training before it."""
    count = iterations(fields["max_iter"])
    return {**fields, "max_iter": count, "snapshot": min(count, fields["snapshot"])}


def frames_of(said):
    """{object id, or None for all objects together: [names of frames]}, the first one first.

    said: a segspn.data.annotations.Annotations.
    """
    found = {}
    for k in (None, *said.objects):
        saying = list(said.frames if k is None else said.saying(k))
        first = said.first(k)
        found[k] = [first, *(stem for stem in saying if stem != first)]
    return found
