"""``mil-asc ensemble``: the report of several finished runs whose confidences are averaged."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("ensemble")
@click.argument("runs", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RUN RUN...")
@click.option("--to", type=click.Path(path_type=Path), required=True, metavar="FOLDER", help="Where the report goes.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def command(runs: tuple[Path, ...], to: Path, quiet: bool) -> None:
    """Average the predictions of finished runs, and report what they reach together.

    Each RUN is the output folder of a finished training run; it stays as it is, and no audio is read. The runs need the
    same classes, the same evaluation set and the same instances; extractors, losses and seeds may differ. Confidences
    are averaged as probabilities, with equal weights. The report (report.html, report.json, predictions.npz) names the
    runs, with what each reaches alone. A report of an ensemble in FOLDER is replaced.

    \b
    Examples:
      mil-asc ensemble results/fuse_pnl/seed-1 results/fuse_pnl/seed-2 --to results/fuse_pnl/ensemble
      mil-asc ensemble results/fuse_pnl/seed-* results/bc_resnet_pnl/seed-* --to both
    """
    from mil_asc.results.ensemble import average_runs
    from mil_asc.results.ensemble_report import check_place, write_ensemble
    from mil_asc.training.console import print_results

    check_place(to, list(runs))
    ensemble = average_runs(runs)
    page = write_ensemble(to, ensemble)
    if quiet:
        return
    for member in ensemble.results["ensemble"]["members"]:
        scores = "  ".join(f"{rule.upper()} {share:.3f}" for rule, share in member["accuracy"].items())
        click.echo(f"{member['folder']}: seed {member['seed']}  {scores}  log loss {member['log_loss']:.3f}")
    for warning in ensemble.results["warnings"]:
        click.echo(f"warning: {warning}", err=True)
    print_results(ensemble.results, page)
