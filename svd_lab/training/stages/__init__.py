"""The stages of training, one module each: options, and `train(options)`."""
