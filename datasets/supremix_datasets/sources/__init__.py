"""Files and tables at any fsspec address, and the limits on what is read from them."""
