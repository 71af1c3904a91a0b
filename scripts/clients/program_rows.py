# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Rows for transformers and datasets, run by their own interpreter: program_rows.py ROW."""

import json
import os
import sys

from huggingface_hub import HfApi

API = HfApi()
WORDS = ["[UNK]", "[PAD]", "a", "model", "in", "pocket"]


def upload(repository, path, content, **more):
    API.create_repo(repository, exist_ok=True, **more)
    API.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=repository, **more)


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    whole = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    whole.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=whole, unk_token="[UNK]", pad_token="[PAD]")


def config_and_tokenizer():
    from transformers import AutoConfig, AutoTokenizer

    tokenizer().save_pretrained("tiny")
    API.create_repo("me/tiny", exist_ok=True)
    API.upload_folder(folder_path="tiny", repo_id="me/tiny")
    upload("me/tiny", "config.json", json.dumps({"model_type": "bert", "hidden_size": 16}).encode())
    for _ in range(2):
        assert AutoConfig.from_pretrained("me/tiny").hidden_size == 16
        assert AutoTokenizer.from_pretrained("me/tiny")("a model in a pocket")["input_ids"] == [2, 3, 4, 2, 5]
    sha = API.repo_info("me/tiny").sha
    assert AutoTokenizer.from_pretrained("me/tiny", revision=sha)("pocket")["input_ids"] == [5]


def push():
    from transformers import AutoConfig, AutoTokenizer, BertConfig

    tokenizer().push_to_hub("me/pushed")
    BertConfig(hidden_size=24).push_to_hub("me/pushed")
    assert AutoConfig.from_pretrained("me/pushed").hidden_size == 24
    assert AutoTokenizer.from_pretrained("me/pushed")("model")["input_ids"] == [3]


def parquet():
    import datasets
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"number": list(range(100_000)), "text": [str(number) for number in range(100_000)]})
    pyarrow.parquet.write_table(table, "train.parquet")
    upload("me/columns", "data/train-00000-of-00001.parquet", "train.parquet", repo_type="dataset")
    found = datasets.load_dataset("me/columns", split="train")
    assert found.num_rows == 100_000 and found[99_999] == {"number": 99_999, "text": "99999"}
    streamed = datasets.load_dataset("me/columns", split="train", streaming=True)
    assert [row["number"] for row in streamed.take(3)] == [0, 1, 2]


def json_lines():
    import datasets

    lines = "".join(json.dumps({"number": number}) + "\n" for number in range(1000))
    upload("me/lines", "train.jsonl", lines.encode(), repo_type="dataset")
    upload("me/lines", "README.md", b"---\nlicense: mit\n---\n# lines\n", repo_type="dataset")
    assert datasets.load_dataset("me/lines", split="train")[999] == {"number": 999}
    streamed = datasets.load_dataset("me/lines", split="train", streaming=True)
    assert [row["number"] for row in streamed.skip(5).take(2)] == [5, 6]


def push_dataset():
    import datasets

    datasets.Dataset.from_dict({"number": list(range(5000))}).push_to_hub("me/sent", split="train")
    datasets.Dataset.from_dict({"number": [1, 2]}).push_to_hub("me/sent", split="test")
    found = datasets.load_dataset("me/sent")
    assert {split: found[split].num_rows for split in found} == {"train": 5000, "test": 2}, found


if __name__ == "__main__":
    os.environ["HF_DATASETS_CACHE"] = os.path.abspath("datasets-cache")
    globals()[sys.argv[1]]()
