"""Figures about a trained model: agreement, bias, regions of the label range, worst cases."""
