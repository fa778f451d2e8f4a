"""Train on the embedded data set, made on the first run: python train.py hparams/fuse_pnl.yaml"""

from mil_asc.training.launch import main

if __name__ == "__main__":
    main()
