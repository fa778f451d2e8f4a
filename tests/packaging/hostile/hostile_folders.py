"""Folders that a stranger could send: each is a legal folder with one thing changed, its checksums made to fit."""

import io
import json
import os
import pickle
import re
import shutil
import struct
import zipfile
from collections import OrderedDict
from hashlib import sha256

import safetensors.torch
import torch

RUNS, MODELS = {}, {}
"""Name -> (function that changes the folder, words of the refusal)."""
BIG = 10**9
MODEL_FILES = ("config.json", "model.safetensors", "README.md", "hyperparams.yaml", "calibration.json", "model.onnx")


def run(words, name=None):
    return lambda change: RUNS.setdefault(name or change.__name__, (change, words))


def model(words, name=None):
    return lambda change: MODELS.setdefault(name or change.__name__, (change, words))


def make_run(folder, legal, change):
    shutil.copytree(legal, folder)
    change(folder)
    return folder


def seal_run(folder):
    names = [name for name in ("model.ckpt", "model.yaml") if (folder / name).is_file()]
    lines = [f"{sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "model.sha256").write_text("".join(lines))


def seal_model(folder):
    names = [name for name in MODEL_FILES if (folder / name).is_file()]
    lines = [f"{sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "checksums.sha256").write_text("".join(lines))


# -- runs: tags


CODE = {
    "apply": "!apply:os.mkdir [{made}]",
    "apply_system": "!apply:os.system ['mkdir {made}']",
    "applyref": "!applyref:os.mkdir {{path: {made}}}",
    "new_popen": "!new:subprocess.Popen [[mkdir, {made}]]",
    "new_path": "!new:pathlib.Path [{made}]",
    "new_custom": "!new:custom.Model {{}}",
    "new_other_class_of_ours": "!new:mil_asc.training.run_folder.RunFolder [{made}]",
    "new_linear_of_our_module": "!new:mil_asc.model.classifier.nn.Linear [1, 1]",
    "name": "!name:os.mkdir {{path: {made}}}",
    "module": "!module:custom",
    "include": "!include:other.yaml",
    "copy": "!copy <labels>",
    "ref": "!ref <labels>",
    "tuple": "!tuple (1, 2)",
    "list": "!list [1, 2]",
    "placeholder": "!PLACEHOLDER",
    "python_apply": "!!python/object/apply:os.mkdir [{made}]",
    "python_new": "!!python/object/new:os.mkdir [{made}]",
    "python_object": "!!python/object:custom.Model {{}}",
    "python_name": "!!python/name:os.mkdir",
    "python_module": "!!python/module:custom",
    "python_tuple": "!!python/tuple [1, 2]",
    "binary": "!!binary aGVsbG8=",
    "set": "!!set {{a, b}}",
    "omap": "!!omap [a: 1]",
    "timestamp": "2026-01-01",
    "verbatim": "!<!apply:os.mkdir> [{made}]",
    "own_list_on_a_class": "!new:mil_asc.model.features.LogMel [16000]",
    "int_on_a_list": "!!int [1]",
}
"""Values that a YAML file can have instead of plain ones; ``made`` is a folder that the code would make."""


def _put_tag(place, text):
    def change(folder):
        made = folder.parent / f"made-{folder.name}"
        (folder / "custom.py").write_text(f"import os\nos.mkdir({str(made)!r})\nclass Model: pass\n")
        (folder / "other.yaml").write_text(f"!apply:os.mkdir [{made}]\n")
        content, code = (folder / "model.yaml").read_text(), text.format(made=made)
        if place == "top":
            content = f"extra: {code}\n{content}"
        else:
            before, after = content.split("input_norm: none\n    batch_norm", 1)
            content = f"{before}input_norm: {code}\n    batch_norm{after}"
        (folder / "model.yaml").write_text(content)
        seal_run(folder)

    return change


for _name, _text in CODE.items():
    run("is not allowed", f"tag_{_name}")(_put_tag("top", _text))
for _name in ("apply", "new_popen", "include", "python_apply"):
    run("is not allowed", f"tag_{_name}_as_an_argument")(_put_tag("argument", CODE[_name]))


def yaml_of(words, name):
    """Register a run whose model.yaml is changed by a function of its text."""

    def register(edit):
        def change(folder):
            (folder / "model.yaml").write_text(edit((folder / "model.yaml").read_text()))
            seal_run(folder)

        run(words, name)(change)
        return edit

    return register


def replaced(old, new):
    def edit(text):
        text = re.sub(r"(channels: &id\d+)\n(?: +- \d+\n)+", r"\1 [4, 4, 6, 8]\n", text)
        assert old in text, old
        return text.replace(old, new)

    return edit


def _bomb(levels, width, start="x"):
    lines = [f"a0: &a0 [{', '.join([start] * width)}]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


yaml_of("its aliases stand for more than", "alias_bomb")(lambda text: _bomb(12, 9) + text)
yaml_of("its aliases stand for more than", "wide_alias_bomb")(lambda text: _bomb(4, 600) + text)
yaml_of("its aliases stand for more than", "list_within_itself")(lambda text: "a: &a [*a]\n" + text)
yaml_of("its aliases stand for more than", "mapping_within_itself")(lambda text: "a: &a {b: *a}\n" + text)
yaml_of("levels", "deep_lists")(lambda text: "a: " + "[" * 20_000 + "]" * 20_000 + "\n" + text)
yaml_of("levels", "deep_mappings")(lambda text: "a: " + "{b: " * 20_000 + "1" + "}" * 20_000 + "\n" + text)
yaml_of("levels", "deep_indents")(lambda text: "\n".join(" " * n + "- " for n in range(400)) + "\n")
yaml_of("levels", "many_values")(lambda text: "a: [" + "1, " * 45_000 + "]\n" + text)
yaml_of("found undefined alias", "unknown_alias")(lambda text: "a: *nothing\n" + text)
yaml_of("stands twice", "key_twice")(lambda text: text + "labels: [a]\n")
yaml_of("is no key", "list_as_a_key")(lambda text: "? [a, b]\n: 1\n" + text)
yaml_of("is not allowed", "merge_key")(lambda text: "base: &base {a: 1}\nmore: {<<: *base}\n" + text)
yaml_of("damaged", "two_documents")(lambda text: text + "---\na: 1\n")
yaml_of("is not allowed", "tag_by_another_handle")(lambda text: "%TAG !x! !apply:os.\n---\na: !x!mkdir [made]\n" + text)


def run_value(words, name, old, new):
    """A run with a value replaced wherever it stands in the arguments of a class."""
    yaml_of(words, name)(replaced(old, new))


run_value("extractor.arguments.channels", "channels_10_9", "[4, 4, 6, 8]", f"[{BIG}, 4, 6, 8]")
run_value("its weights allow", "channels_100000", "[4, 4, 6, 8]", "[100000, 100000, 100000, 100000]")
run_value("at most 64 items", "many_channels", "[4, 4, 6, 8]", "[" + "1, " * 500 + "1]")
run_value("it", "deep_network", "[4, 4, 6, 8]", "[" + "1, " * 40 + "1]")
run_value("num_blocks", "blocks_10_9", "num_blocks: 3", f"num_blocks: {BIG}")
run_value("its weights allow", "blocks_10_6", "num_blocks: 3", "num_blocks: 1000000")
run_value("n_mels", "n_mels_10_8", "n_mels: 16", "n_mels: 100000000")
run_value("mel filters", "mel_filters", "n_mels: 16", "n_mels: 8192")
run_value("window_ms", "window_of_a_year", "window_ms: 128.0", "window_ms: 3.0e+10")
run_value("sample_rate", "rate_10_12", "sample_rate: 16000", "sample_rate: 1000000000000")
run_value("hop_ms", "hop_is_nan", "hop_ms: 32.0", "hop_ms: .nan")
run_value("log_floor", "floor_is_infinite", "log_floor: 1.0e-10", "log_floor: .inf")
run_value("instance_dim", "dimension_10_9", "instance_dim: 8", f"instance_dim: {BIG}")
run_value("its weights allow", "dimension_10_6", "instance_dim: 8", "instance_dim: 1000000")
run_value("detectors", "detectors_10_9", "detectors: 1", f"detectors: {BIG}")
run_value("labels", "classes_do_not_fit", "num_classes: 3", f"num_classes: {BIG}")
run_value("damaged", "huge_int", "num_blocks: 3", "num_blocks: " + "9" * 50_000)
run_value("damaged", "sexagesimal_int", "num_blocks: 3", "num_blocks: 190:20:30")
run_value("no_such", "unknown_argument", "num_blocks: 3", "no_such: 3")
run_value("damaged", "network_of_other_class", "network: !new:mil_asc.model.classifier.MILClassifier", "network: ")
yaml_of("at most", "labels_10_6")(
    lambda text: "labels: [" + ", ".join(map(str, range(10**6))) + "]\nmodel" + text.split("\nmodel", 1)[1]
)
yaml_of("labels must be", "labels_twice")(replaced("- park", "- bus"))


@run("is no plain file")
def settings_are_a_pipe(folder):
    (folder / "model.yaml").unlink()
    os.mkfifo(folder / "model.yaml")


@run("is no plain file")
def weights_are_an_endless_device(folder):
    (folder / "model.ckpt").unlink()
    (folder / "model.ckpt").symlink_to("/dev/zero")


@run("at most")
def weights_of_a_terabyte(folder):
    os.truncate(folder / "model.ckpt", 10**12)


@run("names '../")
def checksums_name_a_file_elsewhere(folder):
    with open(folder / "model.sha256", "a") as file:
        file.write(f"{'0' * 64}  ../../../../etc/passwd\n")


@run("at most")
def checksums_of_a_gigabyte(folder):
    os.truncate(folder / "model.sha256", 10**9)


# -- runs: weights


class Evil:
    """Unpickled, it makes a folder."""

    def __init__(self, made):
        self.made = made

    def __reduce__(self):
        return os.mkdir, (str(self.made),)


def _weights(folder, content):
    (folder / "model.ckpt").write_bytes(content)
    seal_run(folder)


@run("does not fit")
def plain_pickle_as_weights(folder):
    _weights(folder, pickle.dumps(Evil(folder.parent / f"made-{folder.name}")))


@run("is not allowed")
def pickle_in_an_archive(folder):
    stream = io.BytesIO()
    torch.save({"a": Evil(folder.parent / f"made-{folder.name}")}, stream)
    _weights(folder, stream.getvalue())


@run("does not fit")
def legacy_archive(folder):
    stream = io.BytesIO()
    torch.save(torch.load(folder / "model.ckpt"), stream, _use_new_zipfile_serialization=False)
    _weights(folder, stream.getvalue())


def _archive(folder, data, records=None, compression=zipfile.ZIP_STORED):
    """Replace the weights by an archive with this ``data.pkl`` and the records of the legal one."""
    with zipfile.ZipFile(folder / "model.ckpt") as archive:
        there = {info.filename.partition("/")[2]: archive.read(info) for info in archive.infolist()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in (there | {"data.pkl": data or there["data.pkl"]} | (records or {})).items():
            archive.writestr(f"archive/{name}", content)
    _weights(folder, stream.getvalue())


def _pickled(body):
    return b"\x80\x02" + body + b"."


@run("compressed")
def weights_that_unpack_to_a_gigabyte(folder):
    _archive(folder, None, {"data/9999": bytes(10**8)}, zipfile.ZIP_DEFLATED)


@run("not allowed")
def pickle_that_asks_for_memory(folder):
    _archive(folder, _pickled(b"c__builtin__\nbytearray\nK\x01\x85R"))


@run("does not fit")
def pickle_that_remembers_number_four_billion(folder):
    _archive(folder, _pickled(b"}r\xff\xff\xff\xff"))


@run("does not fit")
def pickle_of_a_huge_text(folder):
    _archive(folder, _pickled(b"X\xff\xff\xff\x7fabc"))


@run("does not fit")
def pickle_of_a_huge_number(folder):
    _archive(folder, _pickled(b"\x8b\xff\xff\xff\x7fabc"))


@run("uses BUILD")
def pickle_that_sets_the_state_of_a_tensor(folder):
    _archive(folder, _pickled(b"}}b"))


@run("it names os.system")
def pickle_that_names_a_function(folder):
    _archive(folder, _pickled(b"cos\nsystem\nX\x02\x00\x00\x00ls\x85R"))


def _resaved(folder, edit):
    weights = torch.load(folder / "model.ckpt")
    edit(weights)
    stream = io.BytesIO()
    torch.save(weights, stream)
    _weights(folder, stream.getvalue())


@run("not finite")
def nan_in_weights(folder):
    _resaved(folder, lambda weights: weights["detector.bias"].fill_(float("nan")))


@run("has unknown")
def one_tensor_too_many(folder):
    _resaved(folder, lambda weights: weights.update(more=torch.zeros(2)))


@run("lacks")
def one_tensor_missing(folder):
    _resaved(folder, lambda weights: weights.pop("detector.bias"))


@run("the model has")
def misshapen_tensor(folder):
    _resaved(folder, lambda weights: weights.update({"detector.bias": torch.zeros(4)}))


@run("the model has")
def tensor_of_another_type(folder):
    _resaved(folder, lambda weights: weights.update({"detector.bias": torch.zeros(3, dtype=torch.float64)}))


@run("does not lie within")
def tensor_that_claims_a_gigabyte(folder):
    _resaved(folder, lambda weights: weights.update(big=torch.zeros(1).expand(BIG)))


@run("of another length than it claims")
def values_that_are_not_there(folder):
    _archive(folder, None, {"data/0": b"\0\0\0\0"})


# -- models: config


def config_of(words, name):
    """Register a model whose config is changed by a function of its values, or replaced by the text it returns."""

    def register(edit):
        def change(folder):
            values = json.loads((folder / "config.json").read_text())
            found = edit(values)
            (folder / "config.json").write_text(found if isinstance(found, str) else json.dumps(values))
            seal_model(folder)

        model(words, name)(change)
        return edit

    return register


def config_value(words, name, keys, value):
    """A model with a value at these keys of its config."""

    def edit(values):
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = value

    config_of(words, name)(edit)


ARGUMENTS = ("extractor", "arguments")
config_value("unknown 'code'", "unknown_key", ["code"], "import os")
config_value("unknown 'seed'", "unknown_key_below", ["head", "seed"], 1)
config_value("head must be", "head_is_a_list", ["head"], [])
config_value("extractor.name must be one of", "name_of_a_function", ["extractor", "name"], "os.system")
config_value("extractor.name must be one of", "name_is_a_list", ["extractor", "name"], ["fuse"])
config_value("unknown '__class__'", "argument_of_another_kind", [*ARGUMENTS, "__class__"], "x")
config_value("channels", "channels_10_9", [*ARGUMENTS, "channels"], [BIG])
config_value("its weights allow", "channels_10_6", [*ARGUMENTS, "channels"], [10**6] * 4)
config_value("at most 64 items", "many_channels", [*ARGUMENTS, "channels"], [1] * 10_000)
config_value("channels must be", "channels_within_channels", [*ARGUMENTS, "channels"], [[[[1]]]])
config_value("config.json", "deep_network", [*ARGUMENTS, "channels"], [1] * 41)
config_value("its weights allow", "blocks_10_6", [*ARGUMENTS, "num_blocks"], 10**6)
config_value("num_blocks", "blocks_are_text", [*ARGUMENTS, "num_blocks"], "__import__('os')")
config_value("num_blocks", "huge_int", [*ARGUMENTS, "num_blocks"], 10**4000)
config_value("sample_rate", "rate_is_true", ["front_end", "sample_rate"], True)
config_value("front_end.n_mels", "n_mels_10_8", ["front_end", "n_mels"], 10**8)
config_value("mel filters", "mel_filters", ["front_end", "n_mels"], 8192)
config_value("window_ms", "window_of_a_year", ["front_end", "window_ms"], 3e10)
config_value("hop_ms", "hop_is_a_sample", ["front_end", "hop_ms"], 0.0625)
config_value("hop_ms", "hop_is_negative", ["front_end", "hop_ms"], -1.0)
config_value("front_end.kind must be", "unknown_front_end", ["front_end", "kind"], "torch.hub.load")
config_value("head.instance_dim", "dimension_10_9", ["head", "instance_dim"], BIG)
config_value("its weights allow", "dimension_10_6", ["head", "instance_dim"], 10**6)
config_value("head.pooling must be", "unknown_pooling", ["head", "pooling"], "eval")
config_value("pooling_options", "unknown_pooling_option", ["head", "pooling_options"], {"k": 3})
config_value("rule must be", "unknown_rule", ["rule"], "exec")
config_value("format must be 1", "other_format", ["format"], 2)
config_value("batch_norm", "batch_norm_is_negative", ["batch_norm"], -1)
config_value("labels must be", "labels_twice", ["labels"], ["bus", "bus", "tram"])
config_value("labels must be", "labels_10_5", ["labels"], [f"{n}" for n in range(100_000)])
config_value("at most 1.0 MB", "labels_10_6", ["labels"], [f"{n}" for n in range(10**6)])
config_value("the model has", "one_label_more", ["labels"], ["bus", "park", "tram", "metro"])
config_value("characters of one line", "label_with_escape_codes", ["labels"], ["bus", "park", "\x1b[2J"])
config_value("characters of one line", "endless_label", ["labels"], ["bus", "park", "x" * 5000])
config_value("trained_on", "provenance_is_a_number", ["trained_on"], {"seed": 1})
config_of("rule is missing", "missing_key")(lambda values: values.pop("rule") and None)
config_of("num_blocks is missing", "missing_argument")(
    lambda values: values["extractor"]["arguments"].pop("num_blocks") and None
)
config_of("stands twice", "key_twice")(lambda values: '{"rule": "smi",' + json.dumps(values)[1:])
config_of("NaN", "value_is_nan")(lambda values: json.dumps(values | {"batch_norm": float("nan")}))
config_of("too large", "value_is_infinite")(lambda values: json.dumps(values).replace('"stable"', "1e999"))
config_of("nested deeper", "deep_lists")(lambda values: "[" * 400_000)
config_of("nested deeper", "deep_mappings")(lambda values: '{"a":' * 100_000 + "1" + "}" * 100_000)
config_of("no legal JSON", "quotes_without_end")(lambda values: '"' + '\\"' * 400_000)
config_of("stands twice", "many_keys")(
    lambda values: "{" + ",".join(f'"{n}":1' for n in [*range(70_000), 69_999]) + "}"
)
config_of("its weights allow", "mel_filters_within_the_limit")(
    lambda values: values["front_end"].update(n_mels=256, window_ms=2000.0)
)
config_of("must be a mapping", "config_is_a_list")(lambda values: "[]")
config_of("no legal JSON", "config_is_empty")(lambda values: " ")
config_of("no legal JSON", "config_is_yaml")(lambda values: "labels: !apply:os.system [ls]")
config_of("no legal JSON", "digits_without_end")(lambda values: json.dumps(values).replace("16000", "9" * 500_000))


# -- models: weights


def tensors_of(words, name):
    """Register a model whose safetensors header and values are changed."""

    def register(edit):
        def change(folder):
            content = (folder / "model.safetensors").read_bytes()
            length = struct.unpack("<Q", content[:8])[0]
            header, values = edit(json.loads(content[8 : 8 + length]), content[8 + length :])
            text = header if isinstance(header, bytes) else json.dumps(header).encode()
            (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + values)
            seal_model(folder)

        model(words, name)(change)
        return edit

    return register


def raw_weights(words, name, content):
    def change(folder):
        (folder / "model.safetensors").write_bytes(content)
        seal_model(folder)

    model(words, name)(change)


def retensored(words, name):
    """Register a model whose weights are changed by a function of its tensors."""

    def register(edit):
        def change(folder):
            weights = safetensors.torch.load_file(folder / "model.safetensors")
            edit(weights)
            safetensors.torch.save_file(weights, folder / "model.safetensors")
            seal_model(folder)

        model(words, name)(change)
        return edit

    return register


def _first(header, **changes):
    """The header with changes of its first tensor's entry."""
    name = next(iter(header))
    return header | {name: header[name] | changes}


raw_weights("its header does not lie within it", "header_of_two_gigabytes", struct.pack("<Q", 2 * 10**9) + b"{}")
raw_weights("its header does not lie within it", "header_of_exabytes", struct.pack("<Q", 2**63) + b"{}")
raw_weights("its header does not lie within it", "weights_are_empty", b"")
raw_weights("its header does not lie within it", "weights_are_a_pickle", pickle.dumps(OrderedDict(a=1)))
raw_weights("no legal JSON", "header_is_no_json", struct.pack("<Q", 8) + b"notjson!")
raw_weights("no mapping", "header_is_a_list", struct.pack("<Q", 2) + b"[]")
raw_weights("nested deeper", "header_of_deep_lists", struct.pack("<Q", 10**5) + b"[" * 10**5)
tensors_of("stands twice", "name_twice")(
    lambda header, values: (b'{"detector.bias":' + json.dumps(header["detector.bias"]).encode() + b","
                            + json.dumps(header).encode()[1:], values)
)  # fmt: skip
tensors_of("of shape", "lying_shape")(lambda header, values: (_first(header, shape=[BIG]), values))
tensors_of("of shape", "shape_that_overflows")(lambda header, values: (_first(header, shape=[2**40] * 4), values))
tensors_of("whole numbers", "negative_shape")(lambda header, values: (_first(header, shape=[-1]), values))
tensors_of("whole numbers", "shape_is_text")(lambda header, values: (_first(header, shape="3"), values))
tensors_of("has dtype", "unknown_type")(lambda header, values: (_first(header, dtype="O"), values))
tensors_of("alone", "entry_with_code")(lambda header, values: (_first(header, code="import os"), values))
tensors_of("overlap", "tensors_overlap")(
    lambda header, values: (header | {"z": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, values)
)
tensors_of("overlap", "trailing_bytes")(lambda header, values: (header, values + b"PK\x03\x04"))
tensors_of("overlap", "truncated")(lambda header, values: (header, values[:-4]))
retensored("not finite", "weights_are_nan")(lambda weights: weights["detector.bias"].fill_(float("nan")))
retensored("not finite", "weights_are_infinite")(lambda weights: weights["detector.bias"].fill_(float("inf")))
retensored("has unknown", "tensor_too_many")(lambda weights: weights.update(more=torch.zeros(1)))
retensored("has unknown", "mel_filters_of_a_stranger")(
    lambda weights: weights.update({"front_end.mel.mel_scale.fb": torch.zeros(1025, 16)})
)
retensored("lacks", "tensor_missing")(lambda weights: weights.pop("detector.bias"))
retensored("the model has", "misshapen_tensor")(lambda weights: weights.update({"detector.bias": torch.zeros(9)}))
retensored("the model has", "half_precision")(
    lambda weights: weights.update({"detector.bias": torch.zeros(3, dtype=torch.float16)})
)


# -- models: files and checksums


@model("does not match its checksum")
def config_was_changed(folder):
    (folder / "config.json").write_text((folder / "config.json").read_text().replace("park", "pork"))


@model("README.md does not match its checksum")
def card_was_changed(folder):
    (folder / "README.md").write_text("# trust me")


@model("has no checksum of model.onnx")
def graph_without_a_checksum(folder):
    (folder / "model.onnx").write_bytes(b"anything")


@model("calibration.json is missing")
def calibration_is_missing(folder):
    (folder / "calibration.json").unlink()


@model("checksums.sha256 is missing")
def checksums_are_missing(folder):
    (folder / "checksums.sha256").unlink()


@model("model.safetensors is missing")
def weights_are_missing(folder):
    (folder / "model.safetensors").unlink()


def _add_checksum(name):
    def change(folder):
        with open(folder / "checksums.sha256", "a") as file:
            file.write(f"{'0' * 64}  {name}\n")

    return change


model("is no checksum of", "checksum_of_a_parent")(_add_checksum("../config.json"))
model("is no checksum of", "checksum_of_an_absolute_path")(_add_checksum("/etc/passwd"))
model("is no checksum of", "checksum_of_code")(_add_checksum("model.py"))
model("is no checksum of", "checksum_twice")(_add_checksum("config.json"))
model("is no checksum of", "checksum_of_itself")(_add_checksum("checksums.sha256"))
model("is no checksum of", "checksum_of_nothing")(_add_checksum(""))


@model("a link to a place outside")
def weights_link_elsewhere(folder):
    target = folder.parent / f"elsewhere-{folder.name}"
    target.write_bytes((folder / "model.safetensors").read_bytes())
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(target)


@model("a link to a place outside")
def card_links_to_a_password(folder):
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to("/etc/passwd")


@model("is no plain file")
def calibration_is_a_pipe(folder):
    (folder / "calibration.json").unlink()
    os.mkfifo(folder / "calibration.json")


@model("is no plain file")
def graph_is_a_folder(folder):
    (folder / "model.onnx").mkdir()


@model("at most")
def weights_of_a_terabyte_of_nothing(folder):
    os.truncate(folder / "model.safetensors", 10**12)


@model("at most")
def config_of_a_gigabyte(folder):
    os.truncate(folder / "config.json", 10**9)


@model("at most")
def calibration_of_a_gigabyte(folder):
    os.truncate(folder / "calibration.json", 10**9)


@model("calibration.json is no legal JSON")
def calibration_holds_nan(folder):
    (folder / "calibration.json").write_text('{"temperature": NaN}')
    seal_model(folder)
