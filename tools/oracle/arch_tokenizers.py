# SPDX-License-Identifier: MIT
"""Toy tokenizers in the form of each family's published files, for make_arch.py: tokenizer.json,
tokenizer_config.json, and tokenizer.model where the family has one."""
import json

from sentencepiece import sentencepiece_model_pb2 as spm

MERGES = "Ġ t,Ġ a,h e,i n,r e,o n,Ġt he,Ġ s,Ġ c,a t,Ġ o,e r,Ġo f".split(",")
PIECES = ("▁t he in ▁a re on ▁the ▁s ▁c at ▁o er ▁of "
          "▁ e t a o i n s h r d f c").split(" ")
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|")

# family: special tokens behind the vocabulary, how words are split, rows of the embedding that no
# token has (as Qwen2 and Phi-2 have them), class, bos, eos, pad
BPE = {
    "llama3": (["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"], LLAMA3, 0,
               "PreTrainedTokenizerFast", "<|begin_of_text|>", "<|eot_id|>", None),
    "qwen2": (["<|endoftext|>", "<|im_start|>", "<|im_end|>"], QWEN2, 8,
              "Qwen2Tokenizer", None, "<|im_end|>", "<|endoftext|>"),
    "gpt2": (["<|endoftext|>"], None, 0, "GPT2Tokenizer", "<|endoftext|>", "<|endoftext|>", None),
    "phi2": (["<|endoftext|>"], None, 10, "CodeGenTokenizer", "<|endoftext|>", "<|endoftext|>", None),
    "smollm": (["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "digits", 0,
               "GPT2Tokenizer", "<|im_start|>", "<|im_end|>", "<|im_end|>"),
}
# family: tokens in front, tokens behind the pieces, empty rows, space prefix, class, bos, eos, pad
SPM = {
    "llama": (["<unk>", "<s>", "</s>"], [], 0, True, "LlamaTokenizer", "<s>", "</s>", None),
    "mistral": (["<unk>", "<s>", "</s>"], [], 0, True, "LlamaTokenizer", "<s>", "</s>", None),
    "minicpm": (["<unk>", "<s>", "</s>"], [], 0, True, "LlamaTokenizer", "<s>", "</s>", None),
    "phi3": (["<unk>", "<s>", "</s>"], ["<|endoftext|>", "<|assistant|>", "<|user|>", "<|end|>"], 5, True,
             "LlamaTokenizer", "<s>", "<|endoftext|>", "<|endoftext|>"),
    "gemma": (["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"], [], 0, False,
              "GemmaTokenizer", "<bos>", "<eos>", "<pad>"),
}


def byte_names():
    """GPT-2's printable character for each byte."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in keep]
    return [chr(b) if b in keep else chr(256 + others.index(b)) for b in range(256)]


def added(token, i):
    return {"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True}


def bos_template(bos, ids):
    piece = [{"SpecialToken": {"id": bos, "type_id": 0}}] if bos else []
    return {"type": "TemplateProcessing", "single": piece + [{"Sequence": {"id": "A", "type_id": 0}}],
            "pair": piece + [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {bos: {"id": bos, "ids": [ids[bos]], "tokens": [bos]}} if bos else {}}


def byte_level(use_regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def split_words(split):
    if split is None:
        return byte_level(True)
    if split == "digits":
        return {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True}, byte_level(True)]}
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False},
        byte_level(False)]}


def bpe(family):
    special, split, empty, _, bos, *_ = BPE[family]
    tokens = sorted(byte_names()) + [m.replace(" ", "") for m in MERGES]
    ids = {t: i for i, t in enumerate(tokens + special)}
    doc = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(t, ids[t]) for t in special],
        "normalizer": {"type": "NFC"} if family == "qwen2" else None,
        "pre_tokenizer": split_words(split),
        "post_processor": bos_template(bos, ids) if family == "llama3" else byte_level(True),
        "decoder": byte_level(True),
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                  "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": family == "llama3", "vocab": {t: ids[t] for t in tokens},
                  "merges": [m.split(" ") for m in MERGES]},
    }
    return doc, ids, special, empty


def spm_tokens(family):
    front, _, _, _, *_ = SPM[family]
    return front + [f"<0x{b:02X}>" for b in range(256)] + PIECES


def spm_file(family, path):
    front, _, _, prefix, *_ = SPM[family]
    proto = spm.ModelProto()
    for i, token in enumerate(spm_tokens(family)):
        kind = proto.SentencePiece.NORMAL
        if token == "<unk>":
            kind = proto.SentencePiece.UNKNOWN
        elif token.endswith("_of_turn>"):
            kind = proto.SentencePiece.USER_DEFINED
        elif i < len(front):
            kind = proto.SentencePiece.CONTROL
        elif token.startswith("<0x"):
            kind = proto.SentencePiece.BYTE
        score = float(len(front) + 256 - i) if kind == proto.SentencePiece.NORMAL else 0.0
        proto.pieces.add(piece=token, score=score, type=kind)
    t = proto.trainer_spec
    t.model_type, t.byte_fallback, t.vocab_size = t.BPE, True, len(proto.pieces)
    for name in ("unk", "bos", "eos", "pad"):
        token = {"bos": "<s>", "eos": "</s>"}.get(name, f"<{name}>")
        token = token if token in front else f"<{name}>"
        setattr(t, name + "_id", front.index(token) if token in front else -1)
    n = proto.normalizer_spec
    n.name, n.add_dummy_prefix, n.remove_extra_whitespaces, n.escape_whitespaces = "identity", prefix, False, True
    path.write_bytes(proto.SerializeToString())


def spm_json(family):
    front, behind, empty, prefix, _, bos, *_ = SPM[family]
    tokens = spm_tokens(family)
    ids = {t: i for i, t in enumerate(tokens + behind)}
    rank = {t: i for i, t in enumerate(PIECES)}
    merges = [[t[:i], t[i:]] for t in PIECES for i in range(1, len(t)) if t[:i] in rank and t[i:] in rank]
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    decoders = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"}]
    doc = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(t, ids[t]) for t in front + behind],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, space]}
        if prefix else space,
        "pre_tokenizer": None if prefix else
        {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
        "post_processor": bos_template(bos, ids),
        "decoder": {"type": "Sequence", "decoders": decoders + (
            [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefix else [])},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True,
                  "ignore_merges": False, "vocab": {t: ids[t] for t in tokens}, "merges": merges},
    }
    return doc, ids, front + behind, empty


def write_tokenizer(family, folder):
    """Returns the size of the vocabulary with its empty rows, and the config's ids of bos, eos
    and pad."""
    if family in BPE:
        doc, ids, special, empty = bpe(family)
        kind, *ends = BPE[family][3:]
    else:
        spm_file(family, folder / "tokenizer.model")
        doc, ids, special, empty = spm_json(family)
        kind, *ends = SPM[family][4:]
    (folder / "tokenizer.json").write_text(json.dumps(doc, ensure_ascii=False, indent=1))
    config = {"tokenizer_class": kind, "bos_token": ends[0], "eos_token": ends[1], "pad_token": ends[2],
              "clean_up_tokenization_spaces": False, "model_max_length": 4096,
              "added_tokens_decoder": {str(ids[t]): {k: v for k, v in added(t, 0).items() if k != "id"}
                                       for t in special}}
    if family in SPM:
        config |= {"add_bos_token": True, "add_eos_token": False, "unk_token": "<unk>"}
    elif family in ("qwen2", "gpt2", "phi2", "smollm"):
        config["add_bos_token"] = False
    (folder / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1))
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    return len(ids) + empty, {n: ids[t] if t else None for n, t in zip(names, ends)}
