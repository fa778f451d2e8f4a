from pathlib import Path

import pytest
import ruamel.yaml

from mil_asc.errors import UserError
from mil_asc.mil.pooling import POOLINGS
from mil_asc.training.command_line import parse_command_line, read_command
from mil_asc.training.config import load_hparams
from mil_asc.training.entry import main
from mil_asc.training.execution import load_run
from mil_asc.training.run_options import REFUSED_OPTIONS, RUN_OPTIONS

ROOT = Path(__file__).parents[2]
RECIPE = str(ROOT / "recipes/TAU2019/hparams/fuse_pnl.yaml")
TINY = [
    "--data_folder=/nowhere",
    "--model.channels=[4,4,4,4]",
    "--model.features.n_mels=16",
    "--model.head.instance_dim=8",
]
RECIPES = sorted(ROOT.glob("recipes/*/hparams/*.yaml"))


@pytest.fixture(autouse=True)
def own_seed(monkeypatch):
    """Every loaded recipe sets SpeechBrain's seed in the environment; it is reset after the test."""
    monkeypatch.setenv("SB_GLOBAL_SEED", "0")


def load(*words):
    return load_run(read_command([RECIPE, *TINY, *words]))[1]


def refusal(*words):
    """The error message for a command line."""
    with pytest.raises(UserError) as caught:
        load(*words)
    message = str(caught.value)
    assert message and "\n" not in message
    return message


@pytest.mark.parametrize("words", [["--model.num_blocks=2"], ["--model.num_blocks", "2"]])
def test_both_option_spellings_set_nested_values(words):
    hparams = load(*words)
    assert hparams["model"]["num_blocks"] == 2
    assert len(hparams["model"]["network"].extractor[0].blocks) == 2


def test_end_of_a_key_is_enough():
    hparams = load("--num_blocks=2", "--features.n_mels=24", "--number_of_epochs=7", "--on_bad_audio=skip")
    assert hparams["model"]["num_blocks"] == 2 and hparams["model"]["network"].front_end.n_mels == 24
    assert hparams["training"]["lr_schedule"].number_of_epochs == 7
    assert hparams["data"]["on_bad_audio"] == "skip"


def test_arguments_of_code_have_no_short_key():
    """The optimizer's lr is set from learning_rate at every step, so a value for it would be lost."""
    assert "unknown option --lr; did you mean --learning_rate?" in refusal("--lr=0.001")


def test_short_key_means_the_key_with_fewest_parts():
    hparams = load("--labels=[a, b]", "--num_classes=2", "--data_folder=/elsewhere")
    assert hparams["data"]["labels"] == ["a", "b"] and hparams["model"]["network"].num_classes == 2
    assert hparams["data_folder"] == hparams["data"]["data_folder"] == "/elsewhere"


def test_pooling_options_reach_the_pooling():
    network = load("--pooling=top_k_mean", "--pooling_options={k: 3}")["model"]["network"]
    assert network.pooling.func is POOLINGS["top_k_mean"] and network.pooling.keywords == {"k": 3}
    words = ["--pooling=log_sum_exp", "--model.head.pooling_options.sharpness=2.0"]
    assert load(*words)["model"]["network"].decision == "bag"
    assert "pooling_options of max: unknown 'k'; legal: none" in refusal("--pooling_options={k: 2}")
    assert "unknown 'q'; legal: k" in refusal("--pooling=top_k_mean", "--pooling_options={q: 2}")
    assert "k must be a whole number from 1 up, got 0" in refusal("--pooling=top_k_mean", "--pooling_options={k: 0}")


def test_last_of_two_values_is_used():
    assert load("--seed=3", "--seed=4")["seed"] == 4
    assert load("--training.learning_rate=0.3", "--learning_rate=0.4")["training"]["learning_rate"] == 0.4


def test_group_of_values_leaves_the_other_values_of_the_group():
    words = ["--num_classes=3", "--model={features: {n_mels: 32}, head: {instance_dim: 4}}", "--hop_ms=64"]
    network = load("--data.labels=[a, b, c]", *words)["model"]["network"]
    assert network.num_classes == 3 and network.front_end.n_mels == 32
    assert network.front_end.hop_length == 1024 and network.detector.in_features == 4


@pytest.mark.parametrize(
    "words, near",
    [
        (["--data_floder=x"], "--data_folder"),
        (["--model.num_block=2"], "--model.num_blocks"),
        (["--model.features.n_mel=8"], "--model.features.n_mels"),
        (["--data.corpus.expected.trian=1"], "--data.corpus.expected.train"),
        (["--prec", "bf16"], "--precision"),
        (["--num_block=2"], "--model.num_blocks"),
        (["--debug_batch=1"], "--debug_batches"),
        (["--n_mel=64"], "--model.features.n_mels"),
        (["--hop=32"], "--model.features.hop_ms"),
        (["--poolnig=mean"], "--model.head.pooling"),
        (["--noprogresbar"], "--noprogressbar"),
        (["--test"], "--test_only"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest_key(words, near):
    assert f"did you mean {near}?" in refusal(*words)


@pytest.mark.parametrize("words", [["--debug", "False"], ["--debug=false"], ["--test_only", "true"], ["--debug="]])
def test_switch_with_a_value_is_refused(words):
    assert "is a switch and takes no value" in refusal(*words)


def test_given_switch_is_on_and_others_are_off():
    _, options, _ = parse_command_line([RECIPE, "--debug"])
    assert options == {"debug": True}


@pytest.mark.parametrize(
    "text", ["a=b", "k=v=w", "/a: b", "/data #1", "#1", "2019-01-02", "[1", "a, b", "@x", "%x", "no", "x y", "<x"]
)
def test_text_value_is_not_changed(text):
    if text.startswith("["):
        assert "is not a YAML value" in refusal(f"--experiment={text}")
    else:
        hparams = load(f"--experiment={text}", "--cache_folder", text)
        assert hparams["experiment"] == hparams["data"]["cache_folder"] == text


@pytest.mark.parametrize(
    "key, text, value",
    [
        ("training.momentum", "1e-5", 1e-5),
        ("training.learning_rate", "1.5e-3", 1.5e-3),
        ("training.learning_rate", "2", 2),
        ("training.max_grad_norm", "-1", -1),
        ("training.weight_decay", "0", 0),
        ("data.labels", "[a, 'b c', \"d\"]", ["a", "b c", "d"]),
        ("model.channels", "[4, 6, 8]", [4, 6, 8]),
        ("experiment", "'7'", "7"),
    ],
)
def test_values_keep_their_types(key, text, value):
    node = load(f"--{key}={text}")
    for part in key.split("."):
        node = node[part]
    assert node == value and type(node) is type(value)


def test_booleans_are_booleans():
    _, _, overrides = parse_command_line([RECIPE, "--a=true", "--b=false"])
    assert overrides == {"a": True, "b": False}


def test_exponent_without_a_point_is_a_number_in_the_built_object():
    floor = load("--model.features.log_floor=1e-5")["model"]["network"].front_end.log_floor
    assert type(floor) is float and floor == 1e-5


def test_exponent_without_a_point_in_a_file_is_a_number(tmp_path):
    text = Path(RECIPE).read_text().replace("../../../hparams", str(ROOT / "hparams"))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text.replace("sgd.yaml {}", "sgd.yaml\n  learning_rate: 2e-3"))
    assert load_hparams(recipe, {"data_folder": "x"})[0]["training"]["learning_rate"] == 2e-3


def test_values_below_includes_reach_the_built_objects():
    hparams = load(
        "--number_of_epochs=7",
        "--batch_size=5",
        "--training.momentum=0.5",
        "--data.labels=[a, b]",
        "--model.head.num_classes=2",
        "--model.features.hop_ms=16",
    )
    assert hparams["training"]["number_of_epochs"] == hparams["training"]["lr_schedule"].number_of_epochs == 7
    assert hparams["training"]["batch_size"] == 5
    assert hparams["training"]["optimizer"].keywords["momentum"] == 0.5
    assert hparams["data"]["corpus"].keywords == {
        "folder": "/nowhere",
        "labels": ["a", "b"],
        "expected": {"train": 9185, "evaluate": 4185},
        "official_seconds": 10.0,
    }
    network = hparams["model"]["network"]
    assert network.num_classes == 2 and network.front_end.n_mels == 16 and network.front_end.hop_length == 256


@pytest.mark.parametrize(
    "words, part",
    [
        ([], "one YAML file is needed, got none"),
        ([RECIPE, RECIPE], "one YAML file is needed, got"),
        (["nothing.yaml"], "nothing.yaml is not a file"),
        ([str(ROOT)], "is not a file"),
        ([RECIPE], "data_folder has no value: give --data_folder=..."),
        ([RECIPE, "--data_folder"], "--data_folder needs a value"),
        ([RECIPE, "--data_folder", "--debug"], "--data_folder needs a value"),
        ([RECIPE, "--data_folder="], "data_folder must be text"),
        ([str(ROOT / "hparams/models/fuse.yaml")], "has no key experiment"),
    ],
)
def test_invalid_command_line_prints_one_line(words, part, capsys):
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("error: ") and part in err


@pytest.mark.parametrize("text", ["a: [1", "", "- 1", "a: !new:mil_asc.nothing.Nothing", "a: !include:none.yaml {}"])
def test_file_that_is_not_a_recipe_prints_one_line(text, tmp_path, capsys):
    file = tmp_path / "odd.yaml"
    file.write_text(text)
    assert main([str(file)]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith("error: ") and "odd.yaml" in err


@pytest.mark.parametrize(
    "option, part",
    [
        ("--number_of_epochs=abc", "number_of_epochs must be a whole number from 1 up, got 'abc'"),
        ("--number_of_epochs=0", "number_of_epochs must be"),
        ("--number_of_epochs=1.5", "number_of_epochs must be"),
        ("--training.number_of_epochs=true", "number_of_epochs must be"),
        ("--batch_size=0", "batch_size must be"),
        ("--batch_size=[4]", "batch_size must be"),
        ("--seed=abc", "seed must be"),
        ("--seed=-1", "seed must be"),
        ("--seed=4294967296", "seed must be a whole number from 0 to 4294967295"),
        ("--training.learning_rate=0", "learning_rate must be a number above 0"),
        ("--training.learning_rate=.nan", "learning_rate must be"),
        ("--training.learning_rate=.inf", "learning_rate must be"),
        ("--training.momentum=1", "momentum must be"),
        ("--training.weight_decay=-1", "weight_decay must be"),
        ("--training.warmup_epochs=abc", "warmup_epochs must be"),
        ("--training.max_grad_norm=0", "max_grad_norm must be"),
        ("--training.evaluate_every=0", "evaluate_every must be"),
        ("--training.precise_bn_clips=-3", "precise_bn_clips must be"),
        ("--data.validation_fraction=1", "validation_fraction must be"),
        ("--data.validation_fraction=half", "validation_fraction must be"),
        ("--on_bad_audio=ignore", "on_bad_audio must be one of stop, skip"),
        ("--output_folder=7", "output_folder must be text"),
        ("--data_folder=2019", "data_folder must be text"),
        ("--model.channels=[]", "channels must be"),
        ("--model.channels=[4, -1]", "channels must be"),
        ("--model.channels=4", "channels must be"),
        ("--model.features.n_mels=1", "use more mel bins"),
        ("--model.features.hop_ms=0", "hop_ms must be"),
        ("--model.features.log_floor=0", "log_floor must be"),
        ("--model.frequency_kernel=2", "frequency_kernel must be an odd whole number"),
        ("--model=1", "--model is a group of values: set one of them, such as --model.channels=..."),
        ("--model.network=1", "--model.network is a group of values"),
        ("--training.brain=mine", "--training.brain names code"),
        ("--__set_seed=1", "names code"),
        ("--precision=fp8", "--precision must be one of fp32, fp16, bf16"),
        ("--debug_batches=few", "--debug_batches must be a whole number"),
        ("--debug_batches=0", "--debug_batches must be a whole number from 1 up"),
        ("--ckpt_interval_steps=x", "--ckpt_interval_steps must be a whole number"),
        ("--data.train_clips=20.5", "data.train_clips"),
        ("--max_grad_norm=x", "--max_grad_norm must be a number"),
        ("--max_grad_norm=0", "--max_grad_norm must be a number above 0, or -1"),
        ("--max_grad_norm=nan", "--max_grad_norm must be"),
        ("--batch_size=1" + "0" * 30, "batch_size must be a whole number of at most 9223372036854775807, got 1e+30"),
        ("--seed=1" + "0" * 5000, " is not a YAML value"),
        ("--learning_rate=1e308", "learning_rate must be a number of size 1e-37 to 1e+37, got 1e+308"),
        ("--learning_rate=1e-320", "learning_rate must be a number of size"),
        ("--weight_decay=1e300", "weight_decay must be a number of size"),
        ("--weight_decay=1" + "0" * 400, "weight_decay must be a number of size"),
        ("--log_floor=1e-300", "log_floor must be a number of size"),
        ("--batch_norm=1e300", "batch_norm must be a number of size"),
        ("--ckpt_interval_minutes=-5", "--ckpt_interval_minutes must be a whole number from 0 up, got -5"),
        ("--device=meta", "--device=meta: no such device is available"),
        ("--data.name=[a]", "data.name must be text"),
        ("--manifests=7", "manifests must be text"),
        ("--data.manifests=[7]", "data.manifests must be text"),
        ("--labels={a: 1}", "--data.labels takes a value, not a group of values"),
        ('--output_folder="a\\0b"', "output_folder must be text without NUL"),
        ("--cache_folder=a\udcff", "'--cache_folder=a\\udcff' is not UTF-8 text"),
        ("--data_folder=a<seed>b", "'a<seed>b' contains <seed>, which stands for another key in a YAML file"),
        ("--data={name: x<seed>}", "--data.name: 'x<seed>' contains <seed>"),
    ],
)
def test_wrong_value_raises_one_line(option, part):
    assert part in refusal(option)


def test_setting_a_key_and_one_of_its_parts_is_refused():
    assert "is set both as a value and as a group of values" in refusal("--pooling_options=3", "--pooling_options.k=2")


def test_run_options_have_their_types():
    words = ["--max_grad_norm", "-1", "--ckpt_interval_steps=3", "--precision=bf16"]
    _, options, _ = parse_command_line([RECIPE, *words])
    assert options == {"max_grad_norm": -1.0, "ckpt_interval_steps": 3, "precision": "bf16"}
    options, _ = load_run(read_command([RECIPE, *TINY, "--device=cpu", *words]))
    assert (options.max_grad_norm, options.ckpt_interval_steps, options.precision) == (-1.0, 3, "bf16")
    assert options.overridden_args == {"device", "max_grad_norm", "ckpt_interval_steps", "precision"}
    assert not options.debug


@pytest.mark.parametrize("option", ["--device=cuda", "--device=cuda:1", "--device=abacus", "--precision=fp16"])
def test_missing_device_prints_one_line(option, capsys, tmp_path):
    folder = tmp_path / "out"
    device = [] if option.startswith("--device") else ["--device=cpu"]
    assert main([RECIPE, *TINY, f"--output_folder={folder}", option, *device]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith("error: ") and "use --" in err
    assert not folder.exists()


def test_no_recipe_has_a_key_that_is_a_run_option():
    for recipe in RECIPES:
        assert not ruamel.yaml.YAML().load(recipe).keys() & (RUN_OPTIONS.keys() | REFUSED_OPTIONS.keys()), recipe


def write_brain_recipe(folder, body):
    """A recipe folder with a module ``own_brain`` and a YAML file that names its class."""
    text = Path(RECIPE).read_text().replace("../../../hparams", str(ROOT / "hparams"))
    (folder / "hparams").mkdir(parents=True)
    (folder / "own_brain.py").write_text(
        f"from mil_asc.training.brain import MILBrain\n\n\nclass Own(MILBrain):\n{body}"
    )
    recipe = folder / "hparams/own.yaml"
    recipe.write_text(text.replace("sgd.yaml {}", "sgd.yaml\n  brain: !name:own_brain.Own"))
    return recipe


def test_two_recipes_may_have_brains_of_the_same_name(tmp_path):
    for name in ("first", "second"):
        recipe = write_brain_recipe(tmp_path / name, f"    kind = {name!r}\n")
        assert load_hparams(recipe, {"data_folder": "x"})[0]["training"]["brain"].kind == name


def test_custom_brain_checks_its_settings(tmp_path):
    body = '    @classmethod\n    def check_settings(cls, settings):\n        raise ValueError("gain must be loud")\n'
    with pytest.raises(UserError, match="own.yaml: gain must be loud"):
        load_hparams(write_brain_recipe(tmp_path / "mine", body), {"data_folder": "x"})
