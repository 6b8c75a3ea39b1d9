"""Explanation maps of predictions, and the images of a run that they are made of."""
