"""Train on TAU Urban Acoustic Scenes 2019: python train.py hparams/fuse_pnl.yaml --data_folder=DIR"""

from mil_asc.training.launch import main

if __name__ == "__main__":
    main()
