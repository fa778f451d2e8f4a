"""Installs the package ``mil_asc``; the recipes run from a checkout: ``pip install -e .``."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = next(
    line.split('"')[1] for line in (ROOT / "mil_asc/__init__.py").read_text().splitlines() if "__version__" in line
)

SERVE = ["anyio>=4", "starlette>=0.45", "uvicorn>=0.54", "python-multipart>=0.0.20", "websockets>=13"]

setup(
    name="mil_asc",
    version=VERSION,
    description="Acoustic scene classification with multiple-instance learning, as SpeechBrain recipes",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["mil_asc", "mil_asc.*"]),
    package_data={
        "mil_asc": ["py.typed"],
        "mil_asc.corpora": ["*.yaml"],
        "mil_asc.results": ["*.html"],
        "mil_asc.paper": ["*.html"],
        "mil_asc.paper.facts": ["*.csv"],
        "mil_asc.packaging": ["shipped/*/*"],
        "mil_asc.presentation": ["*.html"],
        "mil_asc.web": ["static/*", "static/*/*"],
    },
    python_requires=">=3.10",
    install_requires=[
        "torch>=2.11,<2.16",
        "torchaudio>=2.11,<2.12",
        "speechbrain>=1.1,<1.2",
        "hyperpyyaml>=1.2.3,<1.3",
        "sentencepiece>=0.2",  # SpeechBrain asks for it
        "numpy>=1.26",
        "numba>=0.61",  # kernels of training on a CPU
        "scipy>=1.11",
        "soundfile>=0.12",
        "soxr>=0.5",
        "scikit-learn>=1.4",
        "matplotlib>=3.8",
        "jinja2>=3.1",
        "tensorboard>=2.16",
        "tqdm>=4.66",
        "requests>=2.32",
        "urllib3>=2.6.3",
        "filelock>=3.13",
        "ruamel.yaml>=0.18",
        "click>=8.1",
        "safetensors>=0.5",
        "onnxruntime>=1.22",
        "onnx>=1.18",
        "onnxscript>=0.5",
    ],
    entry_points={"console_scripts": ["mil-asc = mil_asc.cli.main:main"]},
    extras_require={
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            "librosa>=0.11",
            "ruff>=0.6",
            "mypy>=2.4",
            "setuptools>=70.1",  # builds the wheel that is tested
            "jsonschema>=4.20",  # answers of the server against their description
            *SERVE,
        ],
        # tools/study.py; two of its own dependencies require older versions: dcase_util pkg_resources, and pandas 3
        # hands out read-only arrays that sed_scores_eval cannot take
        "eval": ["sed_scores_eval>=0.0.4", "pandas<3", "setuptools<81"],
        "hub": ["huggingface_hub>=1.0"],  # models named hf:user/model
        "ray": ["ray>=2.40"],  # tools/reproduce.py --ray, mil-asc classify --ray
        "live": ["sounddevice>=0.5"],  # the microphone of mil-asc live; needs the library PortAudio (libportaudio2)
        "serve": SERVE,  # mil-asc serve
        "remote": ["fsspec>=2025.2", "s3fs>=2025.2"],  # recordings at s3://; other schemes need packages of their own
        "store": ["moto[s3]>=5", "flask>=3", "flask-cors>=5"],  # tests of the extra [remote]: an object store
        "parquet": ["pyarrow>=17"],  # mil-asc classify --format parquet
        "browser": ["playwright>=1.60"],  # tests of the page of mil-asc serve; needs the program chromium too
        # tools/benchmark.py --peers: networks that it compares with, with random weights
        "peers": [
            "transformers>=5",
            "hear21passt>=0.0.26",
            "torchvision>=0.26",
            "torchlibrosa>=0.1",
            "openvino>=2026.1",
        ],
        "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.6,<10", "mkdocstrings[python]>=1.0"],  # make docs
    },
)
