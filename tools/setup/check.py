"""Shows which Caffe is used, and runs a small net with it.

Example:
    python -m tools.setup.check
"""

import numpy as np

from segspn.caffenet import device, prototxt
from segspn.errors import UserError, script

import caffe  # isort: skip - after segspn, by which it is quiet


def small_net():
    """A net that averages 3 x 3 pixels, with the weights to do so."""
    n = caffe.NetSpec()
    n.data = caffe.layers.Input(input_param={"shape": {"dim": [1, 1, 5, 5]}})
    n.mean = caffe.layers.Convolution(
        n.data, num_output=1, kernel_size=3, bias_term=False,
        weight_filler={"type": "constant", "value": 1 / 9})
    return prototxt.build(caffe.Net, n.to_proto(), caffe.TEST)


@script
def main():
    info = device.build_info()
    print(f"caffe   {caffe.__file__}")
    print(f"mode    {info['mode']}" + (f", {device.gpu_count()} GPUs" if info["mode"] == "CUDA"
                                       else ""))
    print(f"convolutions on the CPU by {info['convolutions']}")
    print(f"source  {info['source']}")
    print(f"layers  {len(caffe.layer_type_list())}")
    image = np.arange(25, dtype=np.float32).reshape(5, 5)
    net = small_net()
    net.blobs["data"].data[0, 0] = image
    result = net.forward()["mean"][0, 0]
    expected = image[1:-1, 1:-1]  # the mean of a plane is its centre
    if not np.allclose(result, expected, rtol=1e-5):
        raise UserError(f"a small net gave {result.tolist()} instead of {expected.tolist()}")
    print("a small net runs and is right; next: make demo")


if __name__ == "__main__":
    main()
