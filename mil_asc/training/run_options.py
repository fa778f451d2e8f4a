"""Run options of SpeechBrain: those that work here, and those that are refused, with the reason.

They are listed here, and compared with SpeechBrain's by a test, because SpeechBrain takes seconds to import.
"""

from dataclasses import dataclass

from mil_asc.checks import check_count, check_number
from mil_asc.errors import UserError

PRECISIONS = ("fp32", "fp16", "bf16")


@dataclass(frozen=True)
class RunOption:
    """A run option: the type of its value (``bool``: a switch without a value), its default, what it is for."""

    kind: type
    default: object
    help: str
    choices: tuple = ()


RUN_OPTIONS = {
    "device": RunOption(str, None, "cpu, cuda or cuda:1; default: the GPU if there is one"),
    "precision": RunOption(str, "fp32", "of training; default: bf16 if the device computes it natively", PRECISIONS),
    "eval_precision": RunOption(str, "fp32", "of evaluation", PRECISIONS),
    "test_only": RunOption(bool, False, "evaluate a trained run again"),
    "debug": RunOption(bool, False, "two batches, two epochs, in a separate folder (..._debug)"),
    "debug_batches": RunOption(int, 2, "batches of a debug run"),
    "debug_epochs": RunOption(int, 2, "epochs of a debug run"),
    "debug_persistently": RunOption(bool, False, "keep the checkpoints of a debug run"),
    "noprogressbar": RunOption(bool, False, "no progress bars"),
    "ckpt_interval_minutes": RunOption(int, 0, "minutes between checkpoints within an epoch; 0: none"),
    "ckpt_interval_steps": RunOption(int, 0, "steps between checkpoints within an epoch; 0: none"),
    "grad_accumulation_factor": RunOption(int, 1, "batches per optimizer step"),
    "max_grad_norm": RunOption(float, 5.0, "overrides the YAML file's value; -1: no clipping"),
    "remove_vector_weight_decay": RunOption(bool, False, "no weight decay of biases and batch norms"),
}
"""Run options by name, with SpeechBrain's types and defaults."""

TORCHRUN = "several devices are used with torchrun --nproc_per_node=N train.py ..., without further options"
COMPILE = "torch.compile kept recompiling the models for minutes in trials and did not finish"
JIT = "TorchScript cannot compile the models"
MIXED = "use --precision=bf16 or fp16"
STOPS = "a loss that is not finite always stops the run"
PROFILE = "the training loop does not call the profiler"
COLOURS = "the progress bar has no colours"
REFUSED_OPTIONS = {
    "compile": COMPILE,
    "compile_module_keys": COMPILE,
    "compile_mode": COMPILE,
    "compile_using_fullgraph": COMPILE,
    "compile_using_dynamic_shape_tracing": COMPILE,
    "jit": JIT,
    "jit_module_keys": JIT,
    "data_parallel_backend": TORCHRUN,
    "data_parallel_count": TORCHRUN,
    "distributed_backend": TORCHRUN,
    "distributed_launch": TORCHRUN,
    "find_unused_parameters": TORCHRUN,
    "auto_mix_prec": MIXED,
    "bfloat16_mix_prec": MIXED,
    "skip_nonfinite_grads": STOPS,
    "nonfinite_patience": STOPS,
    "profile_training": PROFILE,
    "profile_warmup": PROFILE,
    "profile_steps": PROFILE,
    "tqdm_colored_bar": COLOURS,
    "tqdm_barcolor": COLOURS,
    "optimizer_step_limit": "set --number_of_epochs",
    "log_config": "the log of a run is log.txt in its folder",
}
"""Run options of SpeechBrain that do not work here, or would have no effect, by name, with the reason."""


def read_run_option(name, text):
    """The value of a run option that is no switch, from the command line; ``UserError`` if it is not legal."""
    option = RUN_OPTIONS[name]
    if option.choices and text not in option.choices:
        raise UserError(f"--{name} must be one of {', '.join(option.choices)}; got {text!r}")
    try:
        value = option.kind(text)
    except ValueError as error:
        whole = "whole " if option.kind is int else ""
        raise UserError(f"--{name} must be a {whole}number; got {text!r:.80}") from error
    try:
        if option.kind is int:
            check_count(name, value, least=0 if name.startswith("ckpt_interval") else 1)
        if name == "max_grad_norm":
            check_max_grad_norm(value)
    except ValueError as error:
        raise UserError(f"--{error}") from error
    return value


def refuse_option(name):
    """Raise a ``UserError`` with the reason if ``name`` is a run option of SpeechBrain that does not work here."""
    if name in REFUSED_OPTIONS:
        raise UserError(f"--{name} does not work here: {REFUSED_OPTIONS[name]}")


def check_max_grad_norm(value):
    """Refuse norms that would stop or reverse the training (``ValueError``); -1 means no clipping."""
    check_number("max_grad_norm", value)
    if value == 0:
        raise ValueError("max_grad_norm must be a number above 0, or -1 for no clipping; 0 would stop the training")
