"""Makes `datasets/digits` from the images that scikit-learn carries.

``python -m netgraph.hub.digits [folder]`` writes the same bytes on every machine: the split follows the
sha256 of each image, so it depends on no random generator.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from netgraph.hub.checksums import sha256, write_atomically, write_checksums
from netgraph.hub.dataset import DATA_FILE

__all__ = ["make_digits"]

_CARD = """\
---
license: bsd-3-clause
pretty_name: Handwritten digits, 8 x 8
task_categories: [image-classification]
size_categories: [1K<n<10K]
---

# digits

1,797 handwritten digits of 8 x 8 pixels in 16 levels of grey, in ten classes.

## Source

The images that `sklearn.datasets.load_digits` returns. They are the test part of *Optical Recognition of
Handwritten Digits* (E. Alpaydin, C. Kaynak, 1998; UCI Machine Learning Repository,
https://archive.ics.uci.edu/dataset/80): 32 x 32 bitmaps of 13 writers, with the set pixels counted in each
field of 4 x 4. No pixel and no label is changed.

## Licence

scikit-learn distributes the images under the BSD 3-clause licence, whose text stands in `LICENSE`. Name
the two authors of the source when you use them.

## Content

`{file}` (safetensors, no pickle), sha256 `{digest}`:

| tensor | type | shape | is |
|---|---|---|---|
| `images` | uint8, 0 to 16 | {images} | channel, row, column |
| `labels` | int64 | {labels} | the digit |
| `train` | int64 | {train} | positions in the two above |
| `validation` | int64 | {validation} | the same |
| `test` | int64 | {test} | the same |

`netgraph.hub.load_dataset("digits")` divides the grey levels by 16 and returns the three splits.

## Splits

60 / 20 / 20 per cent of each class. Inside a class the images are ordered by the sha256 of their pixels; the
first 60 per cent train, the next 20 validate, the rest test. Train on the first, choose on the second, report
on the third. All writers occur in all three splits, so a test accuracy says little about new writers, and one
test image is worth {image:.2f} points.

| split | images | per class |
|---|---|---|
{rows}

Made by `python -m netgraph.hub.digits`, which writes the same bytes again.
"""

_LICENCE = """\
BSD 3-Clause License

Copyright (c) 2007-2026 The scikit-learn developers.
All rights reserved.

Redistribution and use in source and binary forms, with or without
modification, are permitted provided that the following conditions are met:

* Redistributions of source code must retain the above copyright notice, this
  list of conditions and the following disclaimer.

* Redistributions in binary form must reproduce the above copyright notice,
  this list of conditions and the following disclaimer in the documentation
  and/or other materials provided with the distribution.

* Neither the name of the copyright holder nor the names of its
  contributors may be used to endorse or promote products derived from
  this software without specific prior written permission.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS"
AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE
IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE
DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE
FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR
SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER
CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY,
OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE
OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
"""


def make_digits(folder: Path) -> Path:
    """Write the data file, the card, the licence and the checksums of the digits; return the folder.

    >>> import tempfile
    >>> from netgraph.hub import sha256
    >>> from netgraph.resources import dataset_dir
    >>> with tempfile.TemporaryDirectory() as scratch:
    ...     again = make_digits(Path(scratch))
    ...     sha256(again / "data.safetensors") == sha256(dataset_dir("digits") / "data.safetensors")
    True
    """
    from sklearn.datasets import load_digits  # slow to import, and needed here only

    source = load_digits()
    images = source.images.astype(np.uint8)
    labels = source.target.astype(np.int64)
    hashes = np.array([hashlib.sha256(image.tobytes()).hexdigest() for image in images])
    order = np.argsort(hashes, kind="stable")
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for digit in range(10):
        members = [int(i) for i in order if labels[i] == digit]
        first, second = round(0.6 * len(members)), round(0.8 * len(members))
        parts["train"] += members[:first]
        parts["validation"] += members[first:second]
        parts["test"] += members[second:]
    tensors = {
        "images": torch.from_numpy(images)[:, None],  # (B, C, height, width)
        "labels": torch.from_numpy(labels),
        **{name: torch.tensor(sorted(members)) for name, members in parts.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / DATA_FILE, save(tensors, {"largest": "16"}))
    shapes = {name: " x ".join(str(n) for n in tensor.shape) for name, tensor in tensors.items()}
    rows = "\n".join(
        f"| {name} | {len(members)} | {', '.join(str((labels[members] == d).sum()) for d in range(10))} |"
        for name, members in parts.items()
    )
    card = _CARD.format(
        file=DATA_FILE, digest=sha256(folder / DATA_FILE), image=100 / len(parts["test"]), rows=rows, **shapes
    )
    write_atomically(folder / "README.md", card.encode())
    write_atomically(folder / "LICENSE", _LICENCE.encode())
    write_checksums(folder)
    return folder


if __name__ == "__main__":
    print(make_digits(Path(sys.argv[1] if len(sys.argv) > 1 else "datasets/digits")))
