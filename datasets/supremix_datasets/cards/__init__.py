"""What a dataset is made of: its card, its samples, its reader, its augmentation."""
