"""ResNetF, the foreground and per-object nets: description and prototxts."""

import segspn  # noqa: F401 - before Caffe, which is quiet then
