"""ResNetF, the foreground and per-object nets: description and prototxts."""
