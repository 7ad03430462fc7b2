import segspn  # noqa: F401 - before Caffe, which is quiet then
