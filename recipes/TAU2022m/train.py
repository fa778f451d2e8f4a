"""Train on TAU Urban Acoustic Scenes 2022 Mobile: python train.py hparams/fuse_128k.yaml --data_folder=DIR"""

from mil_asc.training.launch import main

if __name__ == "__main__":
    main()
