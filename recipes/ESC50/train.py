"""Train on ESC-50: python train.py hparams/fuse_pnl.yaml --data_folder=DIR"""

from mil_asc.training.launch import main

if __name__ == "__main__":
    main()
