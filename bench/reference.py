# SPDX-License-Identifier: MIT
"""Dumps for bench/kl.py --reference: transformers' float32 logits after every token of a text.

    python bench/reference.py FOLDER_WITH_MODELS TEXT OUT_FOLDER     (the python of make oracle)
"""
import pathlib
import sys

import torch
from transformers import AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools/oracle"), str(ROOT / "tests/models")]
from common import MODELS                  # noqa: E402
from make_fixtures import check_gemma, load  # noqa: E402


@torch.no_grad()
def main(folder, text, out):
    torch.set_num_threads(2)
    text = pathlib.Path(text).read_text(encoding="utf-8").rstrip("\n")
    for name, file_name in MODELS.items():
        ids = AutoTokenizer.from_pretrained(folder, gguf_file=file_name)(text).input_ids
        model = load(folder, file_name, torch.float32)
        check_gemma(model)
        logits = model(torch.tensor([ids])).logits[0].float().contiguous()
        with open(pathlib.Path(out) / f"{name}.dump", "wb") as f:
            head = [0x3154474C, len(ids), logits.shape[1], 0]
            f.write(torch.tensor(head + ids, dtype=torch.int32).numpy().tobytes())
            f.write(logits.numpy().tobytes())


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
