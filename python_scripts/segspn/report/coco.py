"""Labels of a video as COCO JSON: run-length encoded masks, boxes and areas.

A category is an object of the video, under its id and its name; so is "track_id", for tools that
follow objects through a video.
"""

import json

import numpy as np
from pycocotools import mask as rle

from segspn import files


def write(path, clip, pairs):
    """Writes the JSON of an export.Clip.  pairs: its pairs, which may show progress."""
    height, width = clip.size
    images, found = [], []
    for number, (frame, path_of_labels) in enumerate(pairs, 1):
        images.append({"id": number, "video_id": 1, "frame_id": number - 1, "height": height,
                       "width": width, "file_name": f"{clip.video}/{frame.name}"})
        labels = clip.labels(path_of_labels)
        found += [{"image_id": number, "video_id": 1, "category_id": k, "track_id": k,
                   "iscrowd": 0, **encoded(labels == k)}
                  for k in clip.objects if (labels == k).any()]
    files.write_text(path, json.dumps({
        "info": {"description": f"labels of video {clip.video}"},
        "videos": [{"id": 1, "name": clip.video, "height": height, "width": width,
                    "length": len(images)}],
        "categories": [{"id": k, "name": clip.names.get(k, f"object {k}"),
                        "supercategory": "object"} for k in clip.objects],
        "images": images,
        "annotations": [{"id": n, **one} for n, one in enumerate(found, 1)]}) + "\n")


def encoded(mask):
    """What COCO has of a mask (bool, H x W): its runs as text, its area and its box, px."""
    runs = rle.encode(np.asfortranarray(mask, np.uint8))
    return {"segmentation": {"size": runs["size"], "counts": runs["counts"].decode()},
            "area": int(rle.area(runs)), "bbox": rle.toBbox(runs).tolist()}
