"""One stage of training a module: a `train(options)` each."""
