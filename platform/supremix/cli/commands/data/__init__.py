"""The commands about datasets and their images."""
