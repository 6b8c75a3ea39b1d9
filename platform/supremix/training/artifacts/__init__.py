"""Files of a training: checkpoints, exported and pretrained models."""
