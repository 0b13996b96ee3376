"""From float weights to a compressed model: prune, share, fine-tune, fix the point. The only home of PyTorch."""
