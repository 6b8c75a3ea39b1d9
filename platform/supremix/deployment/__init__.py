"""Trained models in the forms of other software: ONNX, a MONAI bundle, a PyTorch program."""
