"""Finding runs in folders and buckets, reading their tables, telling what is wrong with them."""
