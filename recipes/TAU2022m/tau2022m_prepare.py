"""Write the manifests: python tau2022m_prepare.py DATA_FOLDER SAVE_FOLDER"""

from pathlib import Path

from mil_asc.store.prepare import main

if __name__ == "__main__":
    main(Path(__file__).parents[2] / "hparams/data/tau2022m.yaml")
