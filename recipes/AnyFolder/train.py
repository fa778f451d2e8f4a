"""Train on a folder of class sub-folders: python train.py hparams/fuse_pnl.yaml --data_folder=DIR --num_classes=N"""

from mil_asc.training.launch import main

if __name__ == "__main__":
    main()
