"""ResNetF, the foreground and per-object nets: description and prototxts."""

WORKING_SIZE = (480, 854)  # (height, width) that the nets are made for: that of DAVIS frames
