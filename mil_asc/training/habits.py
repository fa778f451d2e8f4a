"""Advice for options that do not exist: names that other programs use, and names that are similar to legal ones."""

from difflib import get_close_matches

SYNONYMS = {
    "learning_rate": "lr learningrate base_lr initial_lr max_lr alpha eta",
    "number_of_epochs": "epochs epoch num_epochs n_epochs nb_epochs max_epochs train_epochs",
    "batch_size": "bs batchsize batch train_batch_size per_device_batch_size",
    "weight_decay": "wd decay l2",
    "warmup_epochs": "warmup warm_up",
    "momentum": "mom",
    "grad_accumulation_factor": "accumulate accumulation grad_accum gradient_accumulation_steps accum_iter",
    "max_grad_norm": "clip clip_grad grad_clip clip_norm gradient_clip_val",
    "output_folder": "out output output_dir out_dir outdir save save_dir save_folder savedir log_dir logdir results",
    "data_folder": "data_dir data_root data_path datadir dataset dataset_dir root input input_dir audio_dir",
    "device=cuda": "gpu gpus cuda use_gpu gpu_id accelerator",
    "device=cpu": "cpu no_cuda",
    "precision=bf16": "amp bf16 half mixed_precision use_amp autocast",
    "precision=fp16": "fp16",
    "test_only": "eval evaluate evaluate_only eval_only test inference",
    "noprogressbar": "quiet silent no_progress",
    "objective": "loss criterion",
    "model": "arch architecture network backbone net",
    "n_mels": "mels num_mels n_mel_bins mel_bins num_mel_bins",
    "hop_ms": "hop_length hop_size frame_shift",
    "window_ms": "window n_fft win_length window_size frame_length",
    "sample_rate": "sr fs samplerate sampling_rate",
    "num_classes": "classes n_classes nclasses",
    "seed": "random_seed manual_seed random_state",
    "folds": "k_folds n_folds num_folds kfold k_fold n_splits cv cross_validation",
    "validation_fraction": "val_split val_fraction valid_fraction validation_split",
}
"""Option of this package -> names that other programs have for it."""

ANSWERS = {
    "a stopped run resumes if the same command is given again": "resume resume_from continue checkpoint ckpt ckpt_path",
    "clips are decoded once and then read without worker processes": "workers num_workers n_workers jobs n_jobs",
    "the optimizer is named in a file of hparams/training/": "optimizer optim opt solver",
    "the schedule is named in a file of hparams/training/": "scheduler lr_scheduler schedule sched",
    "the YAML file is given without an option's name": "config cfg hparams config_file yaml",
}
"""What to say about options without an equivalent -> their names in other programs."""


def advice(key, legal):
    """What to use instead of the unknown option ``--key``; an empty text if nothing is meant or similar.

    Arguments
    ---------
    key : str
        The option as it was given, without dashes.
    legal : dict
        Legal options, as ``key`` may be meant to be spelled -> as they are shown.
    """
    plain = key.lower().replace("-", "_")
    meant = _named(plain, SYNONYMS)
    if meant and meant.partition("=")[0] in legal:
        return f"did you mean --{meant}?"
    if answer := _named(plain, ANSWERS):
        return answer
    near = get_close_matches(plain, sorted(legal), n=1)
    return f"did you mean --{legal[near[0]]}?" if near else ""


def _named(name, table):
    """The key of ``table`` among whose words ``name`` is; None if there is none."""
    return next((key for key, words in table.items() if name in words.split()), None)
